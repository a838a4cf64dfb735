"""What a processor's work costs, each price with its unit and where it comes from."""

from dataclasses import dataclass

from stack.environment import Cause

__all__ = ["IDEAL", "HostCosts"]


@dataclass(frozen=True, kw_only=True)
class HostCosts:
    """Prices in nanoseconds, or nanoseconds per byte. They are parameters of an experiment, and every report states
    them.

    The defaults describe a server of 2 to 3 GHz with the NIC on a PCI bus behind a bridge. Three prices are held
    together by one measurement: ``driver_rx``, ``skb_alloc`` and ``protocol_rx`` add up to the 1.26 us that Linux took
    to receive a UDP packet, ``protocol_tx``, ``driver_tx`` (two descriptors) and ``mmio_write`` to the 1.05 us that it
    took to send one (Peter et al., Arrakis, OSDI 2014, table 1). How they divide is ours.
    """

    interrupt_latency: int = 300
    """ns from the pin to the handler's first instruction, in which the processor goes on with other work. An estimate:
    the message of an I/O APIC over the bus, and the end of the instructions in flight."""
    interrupt: int = 1000
    """ns per hardware interrupt: entry, acknowledgement, exit, and what of the caches is lost. Tsafrir (ExpCS 2007)
    finds 0.5 to 1.5 % of a processor at 1000 timer interrupts/s, the tick's own work included: 5 to 15 us, of which
    most is indirect; 1 us is the direct part."""
    softirq: int = 300
    """ns per run of NET_RX_SOFTIRQ: part of the same, an estimate."""
    scheduler: int = 1300
    """ns to switch to another process, or back to one that slept. Measured: 3.8 us on a 2 GHz Xeon (Li, Ding and Shen,
    ExpCS 2007), 1.1 to 1.6 us on four Xeons of 2006 to 2010 with the process pinned (Sigoure, tsunanet.net, 2010)."""
    driver_rx: int = 350
    """ns per received packet in the driver: descriptor, unmapping, refill (see above)."""
    skb_alloc: int = 250
    """ns per sk_buff of a received packet: to allocate it with its data, and to free it (see above)."""
    driver_tx: int = 150
    """ns per transmit descriptor written or packet cleaned (see above). netmap's profile of FreeBSD's sendto has about
    0.2 us in the driver (Rizzo, USENIX ATC 2012)."""
    backlog: int = 100
    """ns per packet through netif_rx and process_backlog: an estimate, two queue operations with interrupts off."""
    gro: int = 100
    """ns per packet offered to GRO: an estimate. Menon and Zwaenepoel (USENIX ATC 2008), whose receive aggregation it
    is, find the price small against what a packet costs in the stack."""
    protocol_rx: int = 650
    """ns per packet through Ethernet, IP and TCP or UDP input (see above)."""
    protocol_tx: int = 650
    """ns per packet (of whatever size) through TCP or UDP, IP and Ethernet output (see above). netmap's profile of
    FreeBSD's sendto has 950 ns in all, the system call and the driver included (Rizzo, USENIX ATC 2012)."""
    system_call: int = 200
    """ns per socket call, both crossings: 0.10 us each in Arrakis' table. The direct cost is some 150 cycles, the
    indirect one more (Soares and Stumm, FlexSC, OSDI 2010)."""
    copy_per_byte: float = 0.25
    """ns per byte between program and stack (4 GB/s). Arrakis' table has 0.24 us in and 0.44 us out for a packet of 1
    KiB."""
    checksum_per_byte: float = 0.40
    """ns per byte of a checksum in software (2.5 GB/s): an estimate, a byte or so per cycle from memory."""
    mmio_write: int = 100
    """ns of the processor per posted register write: an estimate, an uncached store and the doorbell's barrier."""
    mmio_read_latency: int = 800
    """ns from a register read to its value: the round trip over the bridges, in which the processor stands still.
    Binkert, Saidi and Reinhardt (ASPLOS 2006) measure some 0.8 us to a peripheral device on three machines."""
    mmio_write_latency: int = 300
    """ns until a posted write reaches the device: less than half of a read's round trip, an estimate."""
    dma_read_latency: int = 800
    """ns from a device's read request to the first word: the same way as a register read's, the other way round."""
    dma_write_latency: int = 300
    """ns until a device's posted write is visible."""
    dma_width: int = 8
    """Bytes per 8 ns cycle that the bus moves each way: 8 is 1 GB/s, PCI-X at 133 MHz."""

    def price(self, cause: Cause, count: int, size: int) -> int:
        """Nanoseconds for ``count`` operations on ``size`` bytes. A program's own work has no price: it is spent as
        time."""
        name = _PER_OPERATION.get(cause)
        if name is not None:
            per_operation: int = getattr(self, name)
            return per_operation * count
        return round((self.copy_per_byte if cause is Cause.COPY else self.checksum_per_byte) * size)


_PER_OPERATION: dict[Cause, str] = {cause: str(cause.value) for cause in Cause}
for _cause in (Cause.COPY, Cause.CHECKSUM):
    del _PER_OPERATION[_cause]
_PER_OPERATION[Cause.MMIO] = "mmio_write"
"""The fields of prices that are per operation, not per byte."""


IDEAL = HostCosts(
    interrupt_latency=0,
    interrupt=0,
    softirq=0,
    scheduler=0,
    driver_rx=0,
    skb_alloc=0,
    driver_tx=0,
    backlog=0,
    gro=0,
    protocol_rx=0,
    protocol_tx=0,
    system_call=0,
    copy_per_byte=0.0,
    checksum_per_byte=0.0,
    mmio_write=0,
)
"""A processor that takes no time: for peers that must not be the bottleneck."""
