"""The Verilated NIC under cocotb: its bench, how it is built, and the bus that the driver sees."""
