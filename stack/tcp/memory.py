"""What all connections of a host keep in their buffers, and what happens when that becomes too much (tcp_mem; Linux's
sk_memory_allocated and tcp_enter_memory_pressure)."""

from typing import Final

from stack.counters import Counters
from stack.tcp.parameters import TcpParameters

__all__ = ["TcpMemory"]

_MINIMUM: Final = 4096
"""Bytes that each connection may keep in each direction, whatever the others have (the first value of tcp_wmem and
tcp_rmem)."""


class TcpMemory:
    """Bytes of data. Above ``memory_pressure``, until they are below ``memory_low`` again, no buffer grows; above
    ``memory_high`` programs wait before they write more, and what arrives is dropped."""

    __slots__ = ("_counters", "pressure", "used")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.used = 0
        self.pressure = False

    def change(self, delta: int, parameters: TcpParameters) -> None:
        """A connection keeps so many bytes more, or less."""
        self.used += delta
        if self.pressure:
            self.pressure = self.used > parameters.memory_low
        elif self.used > parameters.memory_pressure:
            self.pressure = True
            self._counters.mib["TcpExt.TCPMemoryPressures"] += 1

    def refuses(self, kept: int, parameters: TcpParameters) -> bool:
        """Whether a connection that keeps so much in one direction gets no more there."""
        return self.used > parameters.memory_high and kept >= _MINIMUM
