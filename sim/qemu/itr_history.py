"""What the guest's driver sees from interrupt to interrupt, what it makes of ITR, and what ours would have made of it.

The stock e1000 driver (6.12, ``e1000_intr`` and ``e1000_clean``) zeroes its counts when it masks interrupts in its
handler, cleans both rings in its poll, writes ITR if the rate changes, and unmasks. What it has cleaned is seen from
outside: of receive descriptors by RDT, of transmit descriptors by DD, which it zeroes.
"""

import json
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

from driver.itr import InterruptThrottleRate
from hw.descriptors import RECEIVE, TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.registers import BY_NAME
from sim.qemu.guest_rings import GuestRing
from sim.vfio_user.function import Access
from sim.vfio_user.nic import Nic
from stack.environment import Environment

__all__ = ["ItrHistory", "Poll", "read_history", "replay"]

_ICR, _IMC, _IMS, _ITR, _TDH, _STATUS, _RCTL, _TCTL = (
    BY_NAME[name] for name in ("ICR", "IMC", "IMS", "ITR", "TDH", "STATUS", "RCTL", "TCTL")
)
_ALL = 0xFFFFFFFF
_CONTEXT = 0
_FCS_BYTES = 4
_CLEANED = 2
"""When the driver has given all free receive buffers back, the descriptor that it cleans next lies this far ahead of
the tail: one stays unused, and the tail is the last that was given, not the one after it."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One run of the driver's poll: packets and bytes cleaned since the interrupt, and ``itr``, what it then wrote to
    the register (None: nothing). ``time`` is in simulated nanoseconds, ``link_speed`` in Mb/s as the driver knows it.
    An opening of the interface is a poll that cleaned nothing and has ``opened`` set.
    """

    time: int
    link_speed: int
    tx_packets: int
    tx_bytes: int
    rx_packets: int
    rx_bytes: int
    itr: int | None
    opened: bool = False


@dataclass(frozen=True, slots=True)
class _Sent:
    """A packet given to the NIC: its last descriptor's place, counted without wrapping, and the driver's counts."""

    place: int
    segments: int
    size: int


class ItrHistory:
    """Watches register accesses (``observe``), and keeps a list of polls. ``close`` writes it as JSON."""

    def __init__(self, env: Environment, nic: Nic, path: Path) -> None:
        self._env = env
        self._nic = nic
        self._file = path.open("w")
        self._transmit = GuestRing("TD", nic.memory)
        self._receive = GuestRing("RD", nic.memory)
        self.polls: list[Poll] = []
        self._link_speed = 0
        self._acknowledged = False
        """The last access was the handler's read of ICR."""
        self._polling = False
        self._interrupted = False
        """In the handler during a poll, which changes nothing but the mask: VFIO's pin can come so late."""
        self._itr: int | None = None
        self._sent: deque[_Sent] = deque()
        self._context = (0, 0)
        self._packet = [0, 0]
        self._place = 0
        self._returned: list[int] = []

    async def observe(self, access: Access) -> None:
        if access.io:
            return
        if access.write:
            await self._written(access)
        self._acknowledged = not access.write and access.offset == _ICR.offset and access.value != 0

    async def _written(self, access: Access) -> None:
        if (places := self._transmit.follow(access)) is not None:
            self._queue(places)
        if (places := self._receive.follow(access)) is not None and self._polling:
            self._returned += [place + _CLEANED for place in places]
        match access.offset:
            case _IMC.offset if self._acknowledged and access.value == _ALL:
                if self._polling:
                    self._interrupted = True
                else:
                    self._polling, self._itr, self._returned = True, None, []
            case _ITR.offset if self._polling:
                self._itr = access.value
            case _ITR.offset:
                self._opened(access.value)
            case _IMS.offset if self._interrupted:
                self._interrupted = False
            case _IMS.offset if self._polling:
                self._polling = False
                await self._record()
            case _TCTL.offset if access.value & _TCTL.mask("EN"):
                status = await self._nic.read32(_STATUS.offset)
                self._link_speed = (10, 100, 1000, 1000)[_STATUS["SPEED"].get(status)]
            case _RCTL.offset if not access.value & _RCTL.mask("EN"):
                self._link_speed, self._polling, self._interrupted = 0, False, False

    def _opened(self, value: int) -> None:
        """The driver sets up its rings: what was in them is forgotten."""
        self._sent.clear()
        self._place = 0
        self._packet = [0, 0]
        self.polls.append(Poll(self._env.now, self._link_speed, 0, 0, 0, 0, value, opened=True))

    def _queue(self, places: range) -> None:
        """Read what the driver gives to the NIC, as it counts it: bytes with the headers of all segments."""
        for place in places:
            raw = self._transmit.read(place)
            self._place += 1
            legacy = TRANSMIT_LEGACY.unpack(raw)
            if not legacy["dext"]:
                self._add(legacy["length"], legacy["eop"], segmented=False)
                continue
            context = TRANSMIT_CONTEXT.unpack(raw)
            if context["dtyp"] == _CONTEXT:
                if context["tse"]:
                    self._context = (context["mss"], context["hdrlen"])
                continue
            data = TRANSMIT_DATA.unpack(raw)
            self._add(data["dtalen"], data["eop"], segmented=bool(data["tse"]))

    def _add(self, size: int, last: int, *, segmented: bool) -> None:
        self._packet[0] += size
        if not last:
            return
        total, segments = self._packet[0], 1
        if segmented:
            mss, header = self._context
            segments = max(-(-(total - header) // max(mss, 1)), 1)
            total += (segments - 1) * header
        self._sent.append(_Sent(self._place - 1, segments, total))
        self._packet = [0, 0]

    async def _record(self) -> None:
        """The poll is over. A packet before TDH is complete; if its DD is gone, the driver has cleaned it."""
        ring = self._transmit
        head = await self._nic.read32(_TDH.offset)
        pending = (ring.tail - head) % max(ring.count, 1)
        tx_packets = tx_bytes = 0
        while self._sent and self._sent[0].place < self._place - pending:
            last = ring.read(ring.tail - (self._place - self._sent[0].place))
            if TRANSMIT_LEGACY.unpack(last)["dd"]:
                break
            sent = self._sent.popleft()
            tx_packets += sent.segments
            tx_bytes += sent.size
        lengths = [RECEIVE.unpack(self._receive.read(place))["length"] - _FCS_BYTES for place in self._returned]
        self.polls.append(
            Poll(self._env.now, self._link_speed, tx_packets, tx_bytes, len(lengths), sum(lengths), self._itr)
        )

    def close(self) -> None:
        json.dump([asdict(poll) for poll in self.polls], self._file)
        self._file.close()


def read_history(path: Path) -> list[Poll]:
    """What ``ItrHistory.close`` wrote."""
    return [Poll(**content) for content in json.loads(path.read_text())]


def replay(polls: list[Poll], setting: int) -> list[int | None]:
    """What ``driver.itr`` writes to the register in each poll, with InterruptThrottleRate ``setting``, from the same
    counts and link speeds. Its state outlives a closing of the interface, as the stock driver's does."""
    throttle = InterruptThrottleRate(setting)
    values: list[int | None] = []
    for poll in polls:
        if poll.opened:
            values.append(throttle.configure())
        else:
            values.append(
                throttle.set_itr(
                    link_speed=poll.link_speed,
                    tx_packets=poll.tx_packets,
                    tx_bytes=poll.tx_bytes,
                    rx_packets=poll.rx_packets,
                    rx_bytes=poll.rx_bytes,
                )
            )
    return values
