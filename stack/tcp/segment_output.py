"""What the sender asks of the connection that it belongs to."""

from typing import Protocol

__all__ = ["SegmentOutput"]


class SegmentOutput(Protocol):
    """Where segments go."""

    def transmit(self, sequence: int, payload: bytes, flags: int, *, retransmission: bool = False) -> bool:
        """Send a segment, or several that follow each other. False if this host dropped any."""

    def chunk(self) -> int:
        """Payload of the largest packet that may be sent: a segment, or a multiple of it."""

    def paced(self) -> bool:
        """Whether a queue below holds each packet until its time (SK_PACING_FQ)."""

    def timed_out(self) -> None:
        """The peer does not answer any more."""

    def call_soon(self) -> None:
        """Call ``Sender.output`` once the work at hand is done."""
