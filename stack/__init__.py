"""The network stack: buffers, devices, Ethernet to TCP, sockets. Imports nothing of the other rooms."""
