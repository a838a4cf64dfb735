"""Wake on LAN (manual 6.4 and 13.6): what in a received frame, or in the link, asks for the host to be woken."""
