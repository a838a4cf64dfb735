"""The receive ring: buffers for the device, packets for the stack (manual 3.2)."""

from collections.abc import Callable
from typing import Final

from driver.bus import Bus
from driver.counters import AdapterCounters, PollTotals
from driver.parameters import RX_BUFFER_SIZES
from driver.ring import DescriptorRing, upper_half
from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE
from hw.registers import BY_NAME
from stack.environment import Cause, Cpu
from stack.net_device import NetDeviceStats
from stack.skbuff import IpSummed, SkBuff

__all__ = ["RX_BUFFER_WRITE", "ReceiveRing"]

RX_BUFFER_WRITE: Final = 16
"""Buffers that are returned to the device at a time: one by one is too many register writes."""

_RCTL: Final = BY_NAME["RCTL"]
_RXCSUM: Final = BY_NAME["RXCSUM"]
_RDT: Final = BY_NAME["RDT"].offset
_RDTR: Final = BY_NAME["RDTR"].offset
_RADV: Final = BY_NAME["RADV"].offset

_DESCRIPTOR: Final[int] = DESCRIPTOR_BYTES
_LENGTH: Final = (1 << RECEIVE.fields["length"][1]) - 1
_DONE: Final = upper_half(RECEIVE, dd=1)
_END: Final = upper_half(RECEIVE, eop=1)
_IGNORE_CHECKSUM: Final = upper_half(RECEIVE, ixsm=1)
_TCP_CHECKED: Final = upper_half(RECEIVE, tcpcs=1)
_TCP_WRONG: Final = upper_half(RECEIVE, tcpe=1)
_TAGGED: Final = upper_half(RECEIVE, vp=1)
_SPECIAL: Final = RECEIVE.fields["special"][0] - 64
_CRC_ERROR: Final = upper_half(RECEIVE, ce=1)
_FRAME_ERRORS: Final = upper_half(RECEIVE, ce=1, se=1, seq=1, cxe=1, rxe=1)

_FCS: Final = 4
_TAG_BYTES: Final = 4
_ETHERNET_HEADER: Final = 14
_SHORTEST: Final = _ETHERNET_HEADER + _FCS
_MAXIMUM_FRAME: Final = 16384
"""Bytes with FCS of the longest frame the device takes in (manual 13.4.22, LPE)."""
_PAGE: Final = 4096


class ReceiveRing:
    """Each descriptor has a buffer of its own for good; a packet is copied out of it as ``bytes``."""

    def __init__(
        self,
        bus: Bus,
        cpu: Cpu,
        *,
        count: int,
        int_delay: int,
        abs_int_delay: int,
        buffer_size: int,
        checksum: bool,
        stats: NetDeviceStats,
        counters: AdapterCounters,
        totals: PollTotals,
    ) -> None:
        self.ring = DescriptorRing(bus.memory, count)
        self._buffers = 0
        self._unused = b""
        """The ring's descriptors as the device is given them, two rounds: what follows the last is the first."""
        self._buffer_size = buffer_size
        self._delays = (int_delay, abs_int_delay)
        self.checksum = checksum
        """Whether the device checks TCP's and UDP's checksums, from the next ``configure`` on."""
        self.receive_all = False
        """Frames with errors are received too, from the next ``configure`` on (``ethtool -K ... rx-all``)."""
        self._bus = bus
        self._memory = bus.memory
        self._cpu = cpu
        self._stats = stats
        self._counters = counters
        self._totals = totals
        self._start_packet()
        size, extension = RX_BUFFER_SIZES[buffer_size]
        self._size = _RCTL.value(BAM=1, BSIZE=size, BSEX=extension)
        self._enabled = False
        self.mode = 0
        """Further bits of RCTL: filters, long frames, bad frames."""

    def allocate(self) -> None:
        """Reserve the ring and its buffers. Raises ``MemoryError``, with nothing reserved, if there is no room."""
        self.ring.allocate()
        try:
            size = self.ring.count * self._buffer_size
            self._buffers = self._memory.allocate(size, min(self._buffer_size, _PAGE))
        except MemoryError:
            self.ring.free()
            raise
        addresses = range(self._buffers, self._buffers + size, self._buffer_size)
        self._unused = b"".join([RECEIVE.pack(address=address) for address in addresses]) * 2
        self._start_packet()

    def restart(self) -> None:
        """The device has been reset: all buffers are its again, from the first descriptor on."""
        self.ring.restart()
        self._start_packet()

    def resize(self, count: int, *, allocated: bool) -> None:
        """Have a ring of ``count`` descriptors, with its buffers if there are any now. Raises ``MemoryError``, with
        nothing changed."""
        old = self.ring, self._buffers
        self.ring = DescriptorRing(self._memory, count)
        if not allocated:
            return
        try:
            self.allocate()
        except MemoryError:
            self.ring, self._buffers = old
            raise
        old[0].free()
        self._memory.free(old[1])

    def free(self) -> None:
        """Give back all memory. The device must have been stopped."""
        self._memory.free(self._buffers)
        self.ring.free()

    async def configure(self, itr: Callable[[], None]) -> None:
        """Write the receiver's registers in Linux's order, ``itr`` in its place among them, and give it the buffers.

        The receiver is on before it has a buffer, as it is under Linux.
        """
        bus = self._bus
        int_delay, abs_int_delay = self._delays
        bus.write32(_RCTL.offset, self.control)
        bus.write32(_RDTR, int_delay)
        bus.write32(_RADV, abs_int_delay)
        itr()
        self.ring.configure(bus, "RD")
        rxcsum = await bus.read32(_RXCSUM.offset)
        checked = _RXCSUM.mask("TUOFL")
        bus.write32(_RXCSUM.offset, rxcsum | checked if self.checksum else rxcsum & ~checked)
        self._enabled = True
        bus.write32(_RCTL.offset, self.control)
        self._refill()

    def waiting(self) -> int:
        """Descriptors that the device has filled and ``clean`` has not taken yet."""
        ring = self.ring
        count = 0
        while count < ring.count and ring.upper((ring.next_to_clean + count) % ring.count) & _DONE:
            count += 1
        return count

    def disable(self) -> None:
        """Switch the receiver off."""
        self._enabled = False
        self._bus.write32(_RCTL.offset, self.control)

    @property
    def control(self) -> int:
        """What RCTL is to be: buffer size, filters, and whether the receiver is on."""
        return self._size | self.mode | (_RCTL.mask("EN") if self._enabled else 0)

    def write_mode(self) -> None:
        """``mode`` has changed."""
        self._bus.write32(_RCTL.offset, self.control)

    async def clean(self, budget: int | None, deliver: Callable[[SkBuff], None]) -> int:
        """Deliver what has been received, from at most ``budget`` descriptors (None: while there are any), and return
        how many those were."""
        ring = self.ring
        work = 0
        while budget is None or work < budget:
            index = ring.next_to_clean
            upper = ring.upper(index)
            if not upper & _DONE:
                break
            work += 1
            ring.next_to_clean = ring.after(index)
            self._cpu.charge(Cause.DRIVER_RX)
            skb = self._take(index, upper)
            if ring.unused() >= RX_BUFFER_WRITE:
                self._refill()
            if skb is not None:
                self._cpu.charge(Cause.SKB_ALLOC)
                deliver(skb)
            await self._cpu.settle()
        if ring.unused():
            self._refill()
        return work

    def _take(self, index: int, upper: int) -> SkBuff | None:
        """Copy a buffer out; the whole packet if this was its last one and it is good."""
        length = upper & _LENGTH
        if upper & _END and not upper & _FRAME_ERRORS and not self._length and _SHORTEST <= length <= self._buffer_size:
            # Almost every packet: a good one in one buffer.
            return self._received(self._memory.read(self._buffers + index * self._buffer_size, length), upper)
        self._length += length
        if length > self._buffer_size or self._length > _MAXIMUM_FRAME:
            self._bad_length = True
        if not self._bad_length:
            self._parts.append(self._memory.read(self._buffers + index * self._buffer_size, length))
        if not upper & _END:
            return None
        data = b"".join(self._parts)
        bad_length = self._bad_length or len(data) < _ETHERNET_HEADER + _FCS
        self._start_packet()
        if bad_length or (upper & _FRAME_ERRORS and not self.receive_all):
            self._stats.rx_errors += 1
            if upper & _CRC_ERROR:
                self._stats.rx_crc_errors += 1
            elif bad_length:
                self._stats.rx_length_errors += 1
            return None
        return self._received(data, upper)

    def _received(self, data: bytes, upper: int) -> SkBuff:
        """A good packet with its FCS."""
        length = len(data)
        self._counters.rx_octets += length
        self._totals.rx_packets += 1
        self._totals.rx_bytes += length - _FCS
        skb = SkBuff(data[:-_FCS], ip_summed=self._summed(upper))
        if upper & _TAGGED:
            skb.vlan_tci = upper >> _SPECIAL
            self._counters.rx_octets += _TAG_BYTES
        return skb

    def _start_packet(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0
        self._bad_length = False

    def _summed(self, upper: int) -> IpSummed:
        """The checksum's state (manual 3.2.9). A packet found wrong goes to the stack all the same, to be judged there
        and counted under the protocol's name."""
        if not self.checksum or upper & _IGNORE_CHECKSUM:
            return IpSummed.NONE
        if upper & _TCP_WRONG:
            self._counters.rx_csum_errors += 1
            return IpSummed.NONE
        if not upper & _TCP_CHECKED:
            return IpSummed.NONE
        self._counters.rx_csum_good += 1
        return IpSummed.UNNECESSARY

    def _refill(self) -> None:
        """Give all unused descriptors back.

        RDT is set to the last one given, not past it, as Linux does; so a descriptor with its status cleared stands
        behind those of the device at all times, and an old DD bit is never taken for a new one.
        """
        ring = self.ring
        start = _DESCRIPTOR * ring.next_to_use
        self._bus.write32(_RDT, ring.give_packed(self._unused[start : start + _DESCRIPTOR * ring.unused()]))
