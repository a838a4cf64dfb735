"""Runs packetdrill scripts against the stack, in virtual time."""
