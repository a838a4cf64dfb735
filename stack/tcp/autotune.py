"""Receive buffer autotuning (Linux's tcp_rcv_space_adjust, dynamic right-sizing): the window follows the reader."""

from typing import TYPE_CHECKING, Final

from stack.tcp.parameters import SocketOptions, TcpParameters

if TYPE_CHECKING:
    from stack.tcp.connection import Connection

__all__ = ["ReceiveTuning", "maximum_buffer"]

_INITIAL_SEGMENTS: Final = 10
_SPARE_SEGMENTS: Final = 16


def maximum_buffer(parameters: TcpParameters, options: SocketOptions) -> int:
    """What a receive buffer may grow to: not at all, if the program has set it. The window scale follows from it."""
    if options.receive_buffer is not None:
        return options.receive_buffer
    if not parameters.moderate_receive_buffer:
        return parameters.receive_buffer
    return max(parameters.receive_buffer_maximum, parameters.receive_buffer)


class ReceiveTuning:
    """Once per round trip: twice of what the reader took in it must fit into the buffer, and more while it grows."""

    __slots__ = ("_connection", "_copied", "_echo", "_round_at", "_space", "_trip_at", "rtt", "started_at", "trip_edge")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self.rtt = 0
        """The receiver's own estimate of the round trip, ns."""
        self._space = 0
        self._copied = 0
        self._round_at = 0
        self._echo = -1
        """The timestamp of ours that came back last."""
        self.started_at = 0
        """When the connection was opened."""
        self.trip_edge = 0
        self._trip_at = 0

    @property
    def maximum(self) -> int:
        """What the buffer may grow to."""
        return maximum_buffer(self._connection.tcp.parameters, self._connection.options)

    def start(self, now: int) -> None:
        """The connection is established."""
        connection = self._connection
        self._space = min(connection.receiver.limit, _INITIAL_SEGMENTS * connection.receiver.mss)
        self._round_at = self._trip_at = self.started_at = now
        self.trip_edge = connection.receiver.edge
        self.rtt = connection.sender.rtt.srtt

    def received(self, edge: int, now: int) -> None:
        """RCV.NXT has come to ``trip_edge``: a whole window takes a round trip at least (tcp_rcv_rtt_measure)."""
        sample = max(now - self._trip_at, 1)
        self.rtt = min(self.rtt, sample) if self.rtt else sample
        self.trip_edge = edge
        self._trip_at = now

    def echoed(self, tsecr: int, now: int) -> None:
        """A whole segment brings back a timestamp of ours: that took a round trip, and with it the estimate can grow
        again (tcp_rcv_rtt_measure_ts)."""
        if tsecr == self._echo:
            return
        self._echo = tsecr
        sample = self._connection.timestamps.round_trip(tsecr, now)
        if sample is not None:
            self.rtt += (sample - self.rtt) // 8 if self.rtt else sample

    def copied(self, now: int) -> None:
        """The program has read."""
        connection = self._connection
        if now - self._round_at < self.rtt or not self.rtt:
            return
        receiver = connection.receiver
        copied = receiver.copied - self._copied
        if copied > self._space:
            # Room for what comes in the next round trip too, which in slow start is twice as much.
            window = 2 * copied + _SPARE_SEGMENTS * receiver.mss
            window += 2 * (window * (copied - self._space) // self._space)
            if connection.options.receive_buffer is None and not connection.tcp.memory.pressure:
                receiver.limit = max(receiver.limit, min(window, self.maximum))
            self._space = copied
        self._copied = receiver.copied
        self._round_at = now
