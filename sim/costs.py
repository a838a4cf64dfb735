"""What a processor's work costs, each price with its unit and where it comes from."""

from dataclasses import dataclass
from typing import Final

from stack.environment import Cause

__all__ = ["IDEAL", "HostCosts"]


@dataclass(frozen=True, kw_only=True)
class HostCosts:
    """Prices in nanoseconds, or nanoseconds per byte. They are parameters of an experiment, and every report states
    them.

    The defaults describe a server of 2 to 3 GHz with the NIC on a PCI bus behind a bridge. A source is called
    *measured* if its text or abstract says the figure, *recollected* if the figure is cited from memory and the text
    was not at hand, and what has neither is an *assumption*. Two sums are held to one source: ``driver_rx``,
    ``skb_alloc`` and ``protocol_rx`` to the 1.26 us that Linux took to receive a UDP packet, ``protocol_tx``,
    ``driver_tx`` (two descriptors) and ``mmio_write`` to the 1.05 us to send one (recollected: Peter et al., Arrakis,
    OSDI 2014, table 1). How they divide is an assumption.
    """

    interrupt_latency: int = 300
    """ns from the pin to the handler's first instruction, in which the processor goes on with other work. Assumption:
    the message of an I/O APIC over the bus, and the end of the instructions in flight."""
    interrupt: int = 1000
    """ns per hardware interrupt: entry, acknowledgement, exit, and what of the caches is lost. Measured: 0.5 to 1.5 %
    of a processor at 1000 timer interrupts/s, the tick's own work included, so 5 to 15 us, up to 85 % of it indirect
    (Tsafrir, The context-switch overhead inflicted by hardware interrupts, ExpCS 2007, abstract). 15 % of that are 0.8
    to 2.3 us; 1 us is the direct part."""
    softirq: int = 300
    """ns per run of NET_RX_SOFTIRQ. Assumption."""
    scheduler: int = 1300
    """ns to switch to another process, or back to one that slept. Recollected: 1.1 to 1.6 us on Xeons of 2006 to 2010
    with the process pinned (Sigoure, How long does it take to make a context switch?, blog.tsunanet.net, 2010); 3.8 us
    on a 2 GHz Xeon (Li, Ding and Shen, Quantifying the cost of context switch, ExpCS 2007)."""
    driver_rx: int = 350
    """ns per received packet in the driver: descriptor, unmapping, refill (a part of the sum above)."""
    skb_alloc: int = 250
    """ns per sk_buff of a received packet: to allocate it with its data, and to free it (a part of the sum above).
    Measured, as a lower bound: 19 ns for an element of 256 bytes that is used again at once, 45 ns as the network uses
    it, for the structure alone (Brouer, qmempool, linux-mm, spinics msg81994)."""
    driver_tx: int = 150
    """ns per transmit descriptor written or packet cleaned (a part of the sum above). Recollected: FreeBSD's sendto
    spends about 0.2 us in the driver (Rizzo, netmap, USENIX ATC 2012)."""
    backlog: int = 100
    """ns per packet through netif_rx and process_backlog. Assumption: two queue operations with interrupts off."""
    gro: int = 100
    """ns per packet offered to GRO. Assumption. Receive aggregation gains because it is small against what a packet
    costs in the stack (Menon and Zwaenepoel, Optimizing TCP receive performance, USENIX ATC 2008)."""
    protocol_rx: int = 650
    """ns per packet through Ethernet, IP and TCP or UDP input (a part of the sum above)."""
    protocol_tx: int = 650
    """ns per packet (of whatever size) through TCP or UDP, IP and Ethernet output (a part of the sum above). Measured:
    0.21 us in FreeBSD's ether_output alone on an i7-870 (Rizzo, more network performance info: ether_output(),
    freebsd-net, 20 April 2012)."""
    system_call: int = 200
    """ns per socket call, both crossings, and what of the caches is lost. Measured: 0.11 us for a getuid in a loop on a
    laptop (stackoverflow.com/questions/1860253, 2009), the caches warm. Recollected: 0.10 us each way (Arrakis)."""
    copy_per_byte: float = 0.25
    """ns per byte between program and stack (4 GB/s). Recollected: 0.24 us in and 0.44 us out for a packet of 1 KiB
    (Arrakis)."""
    checksum_per_byte: float = 0.40
    """ns per byte of a checksum in software (2.5 GB/s). Assumption: about a byte per cycle from memory."""
    mmio_write: int = 100
    """ns of the processor per posted register write. Assumption: an uncached store and the doorbell's barrier."""
    mmio_read_latency: int = 800
    """ns from a register read to its value: the round trip over the bridges, in which the processor stands still.
    Measured on an e1000 in 2005, in cycles of 2.4 GHz: CTRL 1700, ICR and IMS 2100, that is 0.71 and 0.88 us (Olsson
    and Welte, README of github.com/herjulf/mmio_test)."""
    mmio_write_latency: int = 300
    """ns until a posted write reaches the device. Assumption: less than half of a read's round trip."""
    dma_read_latency: int = 800
    """ns from a device's read request to the first word. Assumption: as a register read, the other way round."""
    dma_write_latency: int = 300
    """ns until a device's posted write is visible. Assumption."""
    dma_width: int = 8
    """Bytes per 8 ns cycle that the bus moves each way: 8 is 1 GB/s, PCI-X at 133 MHz."""

    def per_operation(self) -> dict[Cause, int]:
        """Nanoseconds of one operation, for all that is not paid by the byte. A program's own work has no price: it is
        spent as time."""
        named = {cause: str(cause.value) for cause in Cause if cause not in (Cause.COPY, Cause.CHECKSUM, Cause.PROGRAM)}
        named[Cause.MMIO] = "mmio_write"
        return {cause: getattr(self, name) for cause, name in named.items()}

    def per_byte(self) -> dict[Cause, float]:
        """Nanoseconds per byte of the other two."""
        return {Cause.COPY: self.copy_per_byte, Cause.CHECKSUM: self.checksum_per_byte}


IDEAL: Final = HostCosts(
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
