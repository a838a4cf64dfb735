"""A Linux guest in QEMU, whose network adapter is this NIC: ``niclab qemu``."""
