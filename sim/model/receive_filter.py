"""Which frames are received, and as what they count: the golden filter (``hw.receive.filter``), and a memory for it."""

from typing import Final, NamedTuple

from hw.frame_records import Received, receive_increments
from hw.receive.filter import LONGEST, LONGEST_JUMBO, SHORTEST, FilterSettings, control_frame, drop_reason, is_inexact
from hw.vlan import tag_of

__all__ = ["Counted", "ReceiveFilter", "ReceiveTally", "Verdict"]

_HEADER: Final = 14
_LONG_HEADER: Final = 18
"""Bytes of a good frame that the filter looks at: up to its type, or behind that if it is that of a tag or of MAC
control frames."""
_REMEMBERED: Final = 1024


class Verdict(NamedTuple):
    """What the filter says of a frame."""

    keep: bool
    reason: str | None
    """The field of ``hw.receive.layouts.Drops``."""
    inexact: bool
    tag: int | None
    """VLAN tag control information."""
    control: str | None
    """The field of ``hw.receive.layouts.MacControl``."""
    quanta: int
    crc_error: bool
    broadcast: bool
    multicast: bool


class ReceiveFilter:
    """``settings`` are to be replaced, not changed."""

    def __init__(self, settings: FilterSettings) -> None:
        self.set(settings)

    def set(self, settings: FilterSettings) -> None:
        self.settings = settings
        self._longest = LONGEST_JUMBO if settings.rctl["lpe"] else LONGEST
        self._tagged = settings.vet.to_bytes(2, "big")
        self._controlled = settings.fct.to_bytes(2, "big")
        self._known: dict[bytes, Verdict] = {}

    def header(self, frame: bytes) -> bytes:
        """What of a good frame decides on it, beside its length."""
        kind = frame[12:14]
        return frame[: _LONG_HEADER if kind == self._tagged or kind == self._controlled else _HEADER]

    def judge(self, frame: bytes, *, crc_error: bool) -> Verdict:
        """What to do with a frame with FCS."""
        if crc_error or not SHORTEST <= len(frame) <= self._longest:
            return self._judge(frame, crc_error=crc_error)
        header = self.header(frame)
        verdict = self._known.get(header)
        if verdict is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            verdict = self._known[header] = self._judge(frame, crc_error=False)
        return verdict

    def _judge(self, frame: bytes, *, crc_error: bool) -> Verdict:
        settings = self.settings
        reason = drop_reason(frame, crc_error=crc_error, rx_error=False, overrun=False, settings=settings)
        control = control_frame(frame, crc_error=crc_error, settings=settings)
        address = frame[:6].ljust(6, b"\0")
        broadcast = address == b"\xff" * 6
        return Verdict(
            keep=reason is None,
            reason=reason,
            inexact=is_inexact(frame, crc_error=crc_error, rx_error=False, settings=settings),
            tag=tag_of(frame, settings.vet),
            control=control.kind if control else None,
            quanta=control.quanta if control else 0,
            crc_error=crc_error,
            broadcast=broadcast,
            multicast=bool(address[0] & 1) and not broadcast,
        )


class Counted:
    """A number of frames."""

    __slots__ = ("frames",)

    def __init__(self) -> None:
        self.frames = 0


class ReceiveTally:
    """Frames that are to be counted, by what they count as (``hw.frame_records``)."""

    def __init__(self) -> None:
        self._counted: dict[tuple[Verdict, int, bool, bool], Counted] = {}

    def counted(self, verdict: Verdict, length: int, *, lost: bool, no_buffer: bool) -> Counted:
        """How many frames of a kind there are to be counted; it stays the kind's."""
        key = verdict, length, lost, no_buffer
        counted = self._counted.get(key)
        if counted is None:
            counted = self._counted[key] = Counted()
        return counted

    def add(self, verdict: Verdict, length: int, *, lost: bool, no_buffer: bool) -> None:
        self.counted(verdict, length, lost=lost, no_buffer=no_buffer).frames += 1

    def clear(self) -> None:
        for counted in self._counted.values():
            counted.frames = 0

    def increments(self) -> dict[str, int]:
        """What they add to which counter; they are forgotten then."""
        total: dict[str, int] = {}
        for (verdict, length, lost, no_buffer), counted in self._counted.items():
            count, counted.frames = counted.frames, 0
            if not count:
                continue
            frame = Received(
                length=length,
                crc_error=verdict.crc_error,
                long=verdict.reason in ("oversize", "jabber"),
                kept=verdict.keep and not lost,
                lost=lost,
                no_buffer=no_buffer and verdict.keep,
                unwanted=verdict.reason in ("vlan", "no_match"),
                broadcast=verdict.broadcast,
                multicast=verdict.multicast,
                xon=verdict.control == "xon",
                xoff=verdict.control == "xoff",
                unsupported=verdict.control == "unsupported",
            )
            for name, amount in receive_increments(frame).items():
                total[name] = total.get(name, 0) + count * amount
        return total
