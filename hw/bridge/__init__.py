"""The NIC's host edge over a serial line: UART, framing, link, host memory on the chip (docs/bridge-protocol.md)."""
