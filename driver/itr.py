"""The interrupt throttle rate: which rate the driver asks of the device, and when it changes its mind.

The decisions of Linux's e1000 (``e1000_update_itr``, ``e1000_set_itr`` and the watchdog's simple mode), in its integer
arithmetic. Nothing here touches the device: the rules are functions of counters, and give register values.
"""

from enum import Enum, IntEnum
from typing import Final

__all__ = [
    "BELOW_GIGABIT_RATE",
    "RATES",
    "START_RATE",
    "InterruptThrottleRate",
    "LatencyRange",
    "ThrottleMode",
    "parse_interrupt_throttle_rate",
    "ramp",
    "register_value",
    "simplified_rate",
    "update_itr",
]

MINIMUM_RATE: Final = 100
MAXIMUM_RATE: Final = 100_000

START_RATE: Final = 20_000
"""Interrupts per second in the dynamic modes before anything has been measured."""

BELOW_GIGABIT_RATE: Final = 4_000
"""Interrupts per second in the dynamic modes at 10 and 100 Mb/s, and while the link speed is not known."""


class LatencyRange(IntEnum):
    """Class of the traffic in one direction; the larger of two classes counts."""

    LOWEST_LATENCY = 0
    LOW_LATENCY = 1
    BULK_LATENCY = 2


RATES: Final = {
    LatencyRange.LOWEST_LATENCY: 70_000,
    LatencyRange.LOW_LATENCY: 20_000,
    LatencyRange.BULK_LATENCY: 4_000,
}
"""Interrupts per second for each class."""


class ThrottleMode(Enum):
    """What the module parameter InterruptThrottleRate asks for."""

    OFF = "off"
    DYNAMIC = "dynamic"
    CONSERVATIVE = "conservative"
    """Dynamic, but never in the class of lowest latency."""
    SIMPLIFIED = "simplified"
    """From the balance of octets sent and received."""
    FIXED = "fixed"


def parse_interrupt_throttle_rate(setting: int) -> tuple[ThrottleMode, int]:
    """The mode of a value of the module parameter, and the rate it starts with (interrupts per second, 0 for off).

    Takes 0 (off), 1 (dynamic), 3 (dynamic conservative), 4 (simplified) and 100..100000 (fixed rate). Raises
    ``ValueError`` for any other.
    """
    match setting:
        case 0:
            return ThrottleMode.OFF, 0
        case 1:
            return ThrottleMode.DYNAMIC, START_RATE
        case 3:
            return ThrottleMode.CONSERVATIVE, START_RATE
        case 4:
            # Linux starts with "4 interrupts per second" here, which overflows the 16-bit register, and corrects it in
            # the first watchdog. That one finds no traffic; so this starts with its answer.
            return ThrottleMode.SIMPLIFIED, simplified_rate(0, 0)
    if not MINIMUM_RATE <= setting <= MAXIMUM_RATE:
        raise ValueError(
            f"InterruptThrottleRate takes 0, 1, 3, 4 or {MINIMUM_RATE}..{MAXIMUM_RATE} interrupts/s, not {setting!r}"
        )
    return ThrottleMode.FIXED, setting


def register_value(rate: int) -> int:
    """ITR for ``rate`` interrupts per second: the interval in units of 256 ns (manual 13.4.18)."""
    return 1_000_000_000 // (rate * 256)


def update_itr(current: LatencyRange, packets: int, size: int, *, literal_figure: bool = False) -> LatencyRange:
    """The next class of one direction, from the packets and bytes (``size``) since the last interrupt.

    A published flow chart of this decision compares the total with 2000 bytes where Linux compares the average:
    ``literal_figure`` follows the chart. It sends two to six full frames per interrupt from low to bulk.
    """
    if packets == 0:
        return current
    average = size // packets
    match current:
        case LatencyRange.LOWEST_LATENCY:
            # Packets that large are TSO or jumbo.
            if average > 8000:
                return LatencyRange.BULK_LATENCY
            if packets < 5 and size > 512:
                return LatencyRange.LOW_LATENCY
        case LatencyRange.LOW_LATENCY:
            if size > 10000:
                if average > 8000 or packets < 10 or average > 1200:
                    return LatencyRange.BULK_LATENCY
                if packets > 35:
                    return LatencyRange.LOWEST_LATENCY
            elif (size if literal_figure else average) > 2000:
                return LatencyRange.BULK_LATENCY
            elif packets <= 2 and size < 512:
                return LatencyRange.LOWEST_LATENCY
        case LatencyRange.BULK_LATENCY:
            if size > 25000:
                if packets > 35:
                    return LatencyRange.LOW_LATENCY
            elif size < 6000:
                return LatencyRange.LOW_LATENCY
    return current


def ramp(rate: int, target: int) -> int:
    """The next rate on the way from ``rate`` to ``target``: up by a quarter of the target at a time, down at once."""
    return min(rate + target // 4, target) if target > rate else target


def simplified_rate(tx_octets: int, rx_octets: int) -> int:
    """Mode 4: 2000 interrupts per second for balanced traffic, 8000 for one-way traffic or none, linear between.

    Octets are those since the last call, from destination address to FCS.
    """
    total = (tx_octets + rx_octets) // 10_000
    difference = abs(tx_octets - rx_octets) // 10_000
    return difference * 6000 // total + 2000 if total else 8000


class InterruptThrottleRate:
    """The state of the throttle of one device. Each method that decides returns what to write to ITR, or None.

    ``setting`` is the module parameter; see ``parse_interrupt_throttle_rate``.
    """

    def __init__(self, setting: int, *, literal_figure: bool = False) -> None:
        self.mode, self.rate = parse_interrupt_throttle_rate(setting)
        self.setting = setting
        self.literal_figure = literal_figure
        self.tx_class = LatencyRange.LOWEST_LATENCY
        self.rx_class = LatencyRange.LOWEST_LATENCY

    @property
    def dynamic(self) -> bool:
        """True if the rate follows the traffic from poll to poll."""
        return self.mode in (ThrottleMode.DYNAMIC, ThrottleMode.CONSERVATIVE)

    def configure(self) -> int | None:
        """For bringing the device up: the present rate, or None if throttling is off."""
        return None if self.mode is ThrottleMode.OFF else register_value(self.rate)

    def set_itr(self, *, link_speed: int, tx_packets: int, tx_bytes: int, rx_packets: int, rx_bytes: int) -> int | None:
        """At the end of a poll in the dynamic modes, from what the poll saw. ``link_speed`` is in Mb/s, 0 if unknown.

        Bytes are counted without FCS. None if the rate stays. Raises ``ValueError`` in the other modes.
        """
        if not self.dynamic:
            raise ValueError(f"the throttle does not follow the traffic in mode {self.mode.value!r}")
        if link_speed != 1000:
            target = BELOW_GIGABIT_RATE
        else:
            self.tx_class = self._next_class(self.tx_class, tx_packets, tx_bytes)
            self.rx_class = self._next_class(self.rx_class, rx_packets, rx_bytes)
            target = RATES[max(self.tx_class, self.rx_class)]
        if target == self.rate:
            return None
        self.rate = ramp(self.rate, target)
        return register_value(self.rate)

    def set_simplified(self, *, tx_octets: int, rx_octets: int) -> int:
        """In the watchdog in mode 4, from the octets since the last one. Raises ``ValueError`` in the other modes."""
        if self.mode is not ThrottleMode.SIMPLIFIED:
            raise ValueError(f"the throttle does not follow the balance of octets in mode {self.mode.value!r}")
        self.rate = simplified_rate(tx_octets, rx_octets)
        return register_value(self.rate)

    def _next_class(self, current: LatencyRange, packets: int, size: int) -> LatencyRange:
        following = update_itr(current, packets, size, literal_figure=self.literal_figure)
        if self.mode is ThrottleMode.CONSERVATIVE and following is LatencyRange.LOWEST_LATENCY:
            return LatencyRange.LOW_LATENCY
        return following
