"""The wire: full-duplex Ethernet between two stations.

A frame here is what lies between preamble and inter-frame gap, FCS included (IEEE 802.3 clause 3). Each direction
serialises (preamble 8 bytes, frame, gap 12 bytes), delays, and may lose or damage a frame.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from zlib import crc32

from sim.engine import Scheduler

__all__ = ["GAP_BYTES", "PREAMBLE_BYTES", "Direction", "Faults", "Link", "Tap", "fcs", "fcs_is_good"]

PREAMBLE_BYTES: Final = 8
GAP_BYTES: Final = 12


def fcs(frame: bytes) -> bytes:
    """The frame check sequence of a frame without one (802.3 clause 3.2.9), as it is sent."""
    return crc32(frame).to_bytes(4, "little")


def fcs_is_good(frame: bytes) -> bool:
    """Whether a frame's last four bytes are the check sequence of the others."""
    return len(frame) > 4 and fcs(frame[:-4]) == frame[-4:]


class Tap(Protocol):
    """Sees each frame as it enters the wire."""

    def __call__(self, direction: "Direction", start: int, frame: bytes) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong on one direction; probabilities per frame."""

    loss: float = 0.0
    corruption: float = 0.0
    """One bit of the frame flips, so that the FCS is wrong."""

    def __post_init__(self) -> None:
        for name in ("loss", "corruption"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a probability, 0 to 1, not {getattr(self, name)!r}")


class Direction:
    """One way of the link.

    ``deliver(start, frame)`` is set by the receiving station. It is called when the frame's last bit has arrived
    (``whole=True``), or, for a station that plays the bits itself, when the first one arrives, or for one that does so
    in a time of its own (``ahead``) as soon as it is known when that will be.
    """

    def __init__(
        self, env: Scheduler, *, name: str, bit_rate: int, delay: int, faults: Faults, taps: list[Tap]
    ) -> None:
        self.env = env
        self.name = name
        self.byte_time = 8_000_000_000 // bit_rate
        """Nanoseconds per byte."""
        self.delay = delay
        self.faults = faults
        self.taps = taps
        self.deliver: Callable[[int, bytes], None] | None = None
        self.whole = True
        self.ahead = False
        self.frames = 0
        self.lost = 0
        self.corrupted = 0
        self._free_at = 0

    def send(self, frame: bytes) -> int:
        """Queue a frame behind those on their way; returns the time at which its gap is over."""
        return self.carry(max(self.env.now, self._free_at), frame)

    def send_burst(self, frames: list[bytes]) -> int:
        """Queue frames back to back; returns the time at which the last one's gap is over."""
        if not self.ahead or self.taps or self.faults.loss or self.faults.corruption or self.deliver is None:
            for frame in frames:
                self.send(frame)
            return self._free_at
        start, byte_time, delay, deliver = max(self.env.now, self._free_at), self.byte_time, self.delay, self.deliver
        for frame in frames:
            deliver(start + delay, frame)
            start += (PREAMBLE_BYTES + len(frame) + GAP_BYTES) * byte_time
        self.frames += len(frames)
        self._free_at = start
        return start

    def carry(self, start: int, frame: bytes) -> int:
        """A frame whose preamble starts (or, from a station that serialises by itself, started) at ``start``."""
        self.frames += 1
        end = start + (PREAMBLE_BYTES + len(frame)) * self.byte_time
        self._free_at = end + GAP_BYTES * self.byte_time
        for tap in self.taps:
            tap(self, start, frame)
        if self.faults.loss and self.env.random.random() < self.faults.loss:
            self.lost += 1
            return self._free_at
        if self.faults.corruption and self.env.random.random() < self.faults.corruption:
            self.corrupted += 1
            bit = self.env.random.randrange(8 * len(frame))
            damaged = bytearray(frame)
            damaged[bit // 8] ^= 1 << bit % 8
            frame = bytes(damaged)
        if self.deliver is None:
            return self._free_at
        if self.ahead:
            self._arrive(start + self.delay, frame)
            return self._free_at
        arrival = (end if self.whole else start) + self.delay
        self.env.call_at(arrival, lambda: self._arrive(start + self.delay, frame))
        return self._free_at

    def _arrive(self, start: int, frame: bytes) -> None:
        if self.deliver is not None:
            self.deliver(start, frame)


class Link:
    """Two directions between stations ``a`` and ``b``.

    ``bit_rate`` in bit/s (so that a byte takes whole nanoseconds), ``delay`` in nanoseconds each way.
    """

    def __init__(
        self,
        env: Scheduler,
        *,
        bit_rate: int = 1_000_000_000,
        delay: int = 500,
        a_to_b: Faults | None = None,
        b_to_a: Faults | None = None,
    ) -> None:
        if bit_rate <= 0 or 8_000_000_000 % bit_rate:
            raise ValueError(f"a byte must take whole nanoseconds, which it does not at {bit_rate} bit/s")
        self.taps: list[Tap] = []
        self.a_to_b = Direction(
            env, name="a to b", bit_rate=bit_rate, delay=delay, faults=a_to_b or Faults(), taps=self.taps
        )
        self.b_to_a = Direction(
            env, name="b to a", bit_rate=bit_rate, delay=delay, faults=b_to_a or Faults(), taps=self.taps
        )
