"""The transmit ring: packets into descriptors, and back when the device has sent them (manual 3.3 and 3.4)."""

from dataclasses import dataclass
from typing import Final

from driver.bus import Bus
from driver.counters import AdapterCounters, PollTotals
from driver.offload import TransmitPlan
from driver.ring import DescriptorRing, upper_half
from hw.descriptors import TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.registers import BY_NAME
from stack.environment import Cause, Cpu
from stack.net_device import NetDeviceStats
from stack.skbuff import SkBuff

__all__ = ["TX_WAKE_THRESHOLD", "TransmitRing"]

TX_WAKE_THRESHOLD: Final = 32
"""Descriptors that must be unused before a stopped queue is woken."""

_ROOM_FOR_NEXT: Final = 24
"""Descriptors that must be unused, or the queue stops: a context and 64 KiB in pieces, with a margin."""

_GAP: Final = 2
"""Descriptors kept free behind each packet, as Linux does, so that head and tail stay apart."""

_MAXIMUM_PIECE: Final = 4096
"""Bytes per descriptor."""

_SENTINEL: Final = 4
"""Bytes in the last descriptor of a TSO packet, and of the packet after one: the 82540 may write back the descriptor
of the whole before it has read the data (specification update, premature write-back in TSO mode)."""

_TCTL: Final = BY_NAME["TCTL"]
_TCTL_VALUE: Final = _TCTL.value(PSP=1, CT=0x0F, COLD=0x3F, RTLC=1)
_TIPG: Final = BY_NAME["TIPG"]
_TIDV: Final = BY_NAME["TIDV"].offset
_TADV: Final = BY_NAME["TADV"].offset
_TXDCTL: Final = BY_NAME["TXDCTL"]
_TDT: Final = BY_NAME["TDT"].offset
_TDH: Final = BY_NAME["TDH"].offset
_TDFPC: Final = BY_NAME["TDFPC"].offset

_LONGEST_PACKET: Final = 16384
"""Bytes."""

# The command and status bits lie at the same places in legacy and data descriptors.
_LAST: Final = upper_half(TRANSMIT_LEGACY, eop=1, rs=1)
_DELAYED: Final = upper_half(TRANSMIT_LEGACY, ide=1)
_DONE: Final = upper_half(TRANSMIT_DATA, dd=1)


@dataclass(init=False, slots=True)
class _Mapping:
    """A packet that the device may read."""

    skb: SkBuff
    address: int
    last: int
    """Index of its last descriptor."""
    descriptors: int
    segments: int
    wire_bytes: int
    words: list[int]
    """Its descriptors, each in two halves, to give them again after a reset."""
    after_tso: bool
    """Whether it is one that the device is to cut."""
    given: int
    """ns: when the device got it."""
    next: "_Mapping | None"
    """The packet behind it."""

    # By hand, as in ``SkBuff``.
    def __init__(self, skb: SkBuff, address: int, plan: TransmitPlan, words: list[int], given: int) -> None:
        self.skb = skb
        self.address = address
        self.last = 0
        self.descriptors = len(words) // 2
        self.segments = plan.segments
        self.wire_bytes = plan.wire_bytes
        self.words = words
        self.after_tso = bool(plan.mss)
        self.given = given
        self.next = None


class TransmitRing:
    """Gives packets to the device and takes them back. ``enqueue`` is synchronous: DMA does the copying."""

    def __init__(
        self,
        bus: Bus,
        cpu: Cpu,
        *,
        count: int,
        int_delay: int,
        abs_int_delay: int,
        stats: NetDeviceStats,
        counters: AdapterCounters,
        totals: PollTotals,
    ) -> None:
        self.ring = DescriptorRing(bus.memory, count)
        self._bus = bus
        self._memory = bus.memory
        self._cpu = cpu
        self._stats = stats
        self._counters = counters
        self._totals = totals
        self._oldest: _Mapping | None = None
        """Of the packets that the device has, each of which knows the next one."""
        self._newest: _Mapping | None = None
        self._after_tso = False
        self.detect_hang = False
        """The watchdog asks the next ``clean`` to look for a packet that does not leave."""
        self._delays = (int_delay, abs_int_delay)
        # TIDV of 0 is not allowed with IDE (manual 13.4.41).
        self._last = _LAST | _DELAYED if int_delay else _LAST

    def allocate(self) -> None:
        """Reserve the ring. Raises ``MemoryError`` if there is no room for it."""
        self.ring.allocate()
        self._after_tso = False

    def resize(self, count: int, *, allocated: bool) -> None:
        """Have a ring of ``count`` descriptors, in memory if it is there now; ``restart`` follows then. Raises
        ``MemoryError``, with nothing changed."""
        ring = DescriptorRing(self._bus.memory, count)
        if allocated:
            ring.allocate()
            self.ring.free()
        self.ring = ring

    def free(self) -> None:
        """Give back all memory and all packets. The device must have been stopped."""
        while (mapping := self._oldest) is not None:
            self._oldest = mapping.next
            self._release(mapping)
        self.ring.free()

    def configure(self) -> None:
        """Write the transmitter's registers, in Linux's order. It stays off until the link is up."""
        self.ring.configure(self._bus, "TD")
        self._bus.write32(_TIPG.offset, _TIPG.value(IPGT=8, IPGR1=8, IPGR2=6))
        int_delay, abs_int_delay = self._delays
        self._bus.write32(_TIDV, int_delay)
        self._bus.write32(_TADV, abs_int_delay)
        # Write back descriptors whole, one at a time.
        self._bus.write32(_TXDCTL.offset, _TXDCTL.value(GRAN=1, WTHRESH=1))
        self._bus.write32(_TCTL.offset, _TCTL_VALUE)

    def enable(self, on: bool) -> None:
        """Switch the transmitter on or off."""
        self._bus.write32(_TCTL.offset, _TCTL_VALUE | (_TCTL.mask("EN") if on else 0))
        if on and self._oldest is not None:
            # From before a reset.
            self.ring_doorbell()

    def has_room(self) -> bool:
        """Whether any ordinary packet finds the descriptors it needs."""
        return self.ring.unused() >= _ROOM_FOR_NEXT

    def enqueue(self, skb: SkBuff, plan: TransmitPlan) -> bool:
        """Write a packet's descriptors and ring the doorbell. False, and nothing done, if there are too few left.

        Raises ``MemoryError`` if the packet cannot be mapped.
        """
        length, context, counters = len(plan.frame), plan.context, self._counters
        longest = self._longest_piece(length, plan.mss)
        body = length - _SENTINEL if plan.mss or self._after_tso else length
        descriptors = -(-body // longest) + (body < length) + (context is not None)
        if self.ring.unused() < descriptors + _GAP:
            return False
        address = self._memory.allocate(length)
        self._memory.write(address, plan.frame)
        words: list[int] = []
        if context is not None:
            words += (int.from_bytes(context[:8], "little"), int.from_bytes(context[8:], "little"))
            counters.tx_contexts += 1
        start = 0
        while start < length:
            end = min(start + longest, body) if start < body else length
            words.append(address + start)
            words.append(plan.upper | end - start | (self._last if end == length else 0))
            start = end
        mapping = _Mapping(skb, address, plan, words, self._cpu.now)
        self._give(mapping)
        counters.tx_descriptors += descriptors
        counters.tx_octets += plan.octets
        if plan.mss:
            counters.tso_packets += 1
            counters.tso_segments += mapping.segments
            counters.tso_descriptors += descriptors
        self._cpu.charge(Cause.DRIVER_TX, count=descriptors)
        self.ring_doorbell()
        return True

    def _give(self, mapping: _Mapping) -> None:
        """Write a packet's descriptors."""
        mapping.last = self.ring.give(mapping.words)
        if self._oldest is None or self._newest is None:
            self._oldest = mapping
        else:
            self._newest.next = mapping
        self._newest = mapping
        self._after_tso = mapping.after_tso

    async def drain(self, link_speed: int) -> None:
        """Wait while the device sends what it has; up to where it does not get on any more. ``link_speed`` in Mb/s."""
        interval = _LONGEST_PACKET * 8 * 1000 // link_speed
        before: tuple[int, int] | None = None
        while True:
            state = (await self._bus.read32(_TDH), await self._bus.read32(_TDFPC))
            if state == (self.ring.next_to_use, 0):
                # The last one may be on the wire.
                await self._bus.env.sleep(interval)
                return
            if state == before:
                self._counters.tx_fifo_lost += state[1]
                return
            before = state
            await self._bus.env.sleep(interval)

    def restart(self) -> list[SkBuff]:
        """The device has been reset: give it again what it has not sent, from the first descriptor on. Returns the
        packets for which the ring, which may be another one now, has no room."""
        self.ring.restart()
        self._after_tso = False
        pending, self._oldest = self._oldest, None
        left: list[SkBuff] = []
        while (mapping := pending) is not None:
            pending, mapping.next = mapping.next, None
            if left or self.ring.unused() < mapping.descriptors + _GAP:
                self._memory.free(mapping.address)
                left.append(mapping.skb)
            else:
                mapping.given = self._cpu.now
                self._give(mapping)
        return left

    def ring_doorbell(self) -> None:
        """Tell the device of all that it has been given."""
        self._bus.write32(_TDT, self.ring.next_to_use)

    def hangs(self, now: int, limit: int) -> bool:
        """Whether the device has had its oldest packet for more than ``limit`` ns."""
        return self._oldest is not None and now - self._oldest.given > limit

    async def clean(self) -> tuple[int, bool]:
        """Take back what has been sent. Returns the number of packets, and whether it saw the end of them.

        Takes at most a ring's worth, so that receiving has its turn (Linux's bound).
        """
        packets = 0
        descriptors = 0
        while (mapping := self._oldest) is not None and self.ring.upper(mapping.last) & _DONE:
            if descriptors >= self.ring.count:
                return packets, False
            self._oldest = mapping.next
            packets += 1
            descriptors += mapping.descriptors
            self.ring.next_to_clean = self.ring.after(mapping.last)
            self._totals.tx_packets += mapping.segments
            self._totals.tx_bytes += mapping.wire_bytes
            self._stats.tx_packets += mapping.segments
            self._stats.tx_bytes += mapping.wire_bytes
            self._cpu.charge(Cause.DRIVER_TX)
            self._release(mapping)
            await self._cpu.settle()
        return packets, True

    def _release(self, mapping: _Mapping) -> None:
        self._memory.free(mapping.address)
        mapping.skb.consume()

    def _longest_piece(self, length: int, mss: int) -> int:
        """Bytes of a packet that one descriptor takes at most.

        With TSO those of four segments (the device's check for room in its FIFO assumes that), unless the packet would
        then take more than half of the ring and might never find the room.
        """
        if not mss:
            return _MAXIMUM_PIECE
        return max(min(4 * mss, _MAXIMUM_PIECE), -(-2 * length // self.ring.count))
