"""The media access controller (IEEE 802.3 clauses 3 and 4), full duplex at 1 Gb/s, and its GMII (clause 35)."""
