"""A PCI function that another process, QEMU say, uses through a vfio-user socket."""
