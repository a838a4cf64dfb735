"""TCP small queues: what one connection may have in its own host's queues (Linux's tcp_small_queue_check)."""

from typing import Final

from stack.skbuff import SkBuff
from stack.tcp.scoreboard import Sent
from stack.tcp.segment_output import SegmentOutput

__all__ = ["SmallQueue"]

_MILLISECOND_SHIFT: Final = 10
"""Bytes/s to the bytes of about a millisecond."""


class SmallQueue:
    """Counts what was given to qdisc and device and is not consumed yet."""

    __slots__ = ("_bytes", "_departed", "_output", "throttled")

    def __init__(self, output: SegmentOutput, initial: int) -> None:
        self._output = output
        self._bytes = 0
        self._departed = initial
        """End of what the device has consumed."""
        self.throttled = False
        """Something waits for a packet to leave."""

    def sent(self, length: int) -> None:
        """A packet with so many bytes of payload goes down."""
        self._bytes += length

    def full(self, rate: int, chunk: int, limit: int) -> bool:
        """A millisecond at ``rate`` bytes/s, two packets at least, but no more than ``limit``."""
        return self._bytes >= min(max(rate >> _MILLISECOND_SHIFT, 2 * chunk), limit)

    def departed(self, skb: SkBuff) -> None:
        """Destructor of a packet; ``skb.cb`` is the number after its last byte."""
        self._bytes -= len(skb.data)
        self._departed = max(self._departed, skb.cb)
        if self.throttled:
            # Not from here: this may be called in the midst of the device's own work (Linux's TSQ tasklet).
            self.throttled = False
            self._output.call_soon()

    def holds(self, sent: Sent) -> bool:
        """The segment has not left this host yet: sending it again would only lengthen the queue."""
        return self._bytes > 0 and self._departed < sent.end
