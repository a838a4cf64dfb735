"""What is synthesised: the NIC in Amaranth, and the one table of its registers and descriptors."""
