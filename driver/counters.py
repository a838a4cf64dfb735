"""What the driver counts about itself, beside the interface's own counters in ``NetDevice.stats``."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from driver.itr import LatencyRange

__all__ = ["AdapterCounters", "ItrChange", "PollTotals"]


class ItrChange(NamedTuple):
    """One write of ITR."""

    time: int
    """ns, at which the processor wrote."""
    register: int
    """The interval in units of 256 ns."""
    rx_class: LatencyRange
    tx_class: LatencyRange


@dataclass(slots=True)
class PollTotals:
    """Packets and bytes (without FCS) seen by the polls since the last interrupt: what the throttle decides on.

    A segmented packet counts as its segments, each with its own header.
    """

    tx_packets: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    rx_bytes: int = 0

    def clear(self) -> None:
        """An interrupt has come."""
        self.tx_packets = self.tx_bytes = self.rx_packets = self.rx_bytes = 0


@dataclass(slots=True)
class AdapterCounters:
    """Counters since the probe."""

    interrupts: int = 0
    interrupts_not_mine: int = 0
    """The handler was called, and ICR was 0."""
    polls: int = 0
    packets_per_poll: Counter[int] = field(default_factory=Counter)
    """How many polls (without NAPI: passes of the interrupt handler) received how many packets."""
    tx_descriptors: int = 0
    """Written, context descriptors included."""
    tx_contexts: int = 0
    tso_packets: int = 0
    tso_segments: int = 0
    """Frames that TSO packets were cut into."""
    tso_descriptors: int = 0
    """Written for TSO packets, context descriptors included."""
    tx_hangs: int = 0
    """Times that the device had a packet too long (Linux's tx_timeout_count)."""
    resets: int = 0
    """Resets with everything kept, since the probe."""
    tx_fifo_lost: int = 0
    """Packets that hung in the device, reported as sent, when it was reset."""
    tx_queue_stops: int = 0
    tx_queue_wakes: int = 0
    rx_csum_good: int = 0
    """Received packets whose TCP or UDP checksum the device found good."""
    rx_csum_errors: int = 0
    """Received packets whose TCP or UDP checksum the device found wrong."""
    tx_octets: int = 0
    """Given to the device: of each frame, from destination address to FCS (as GOTC counts)."""
    rx_octets: int = 0
    """Received, from destination address to FCS (as GORC counts)."""
