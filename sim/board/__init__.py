"""A NIC on a board: the host's side of the serial bridge, and what builds and loads the bitstream."""
