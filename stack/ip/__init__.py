"""The network layer: IPv4 and IPv6, routes, neighbours, ICMP."""
