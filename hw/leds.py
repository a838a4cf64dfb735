"""LEDs (manual 10.1 and 13.4.15 LEDCTL): four outputs, each shows what its mode says.

Of the modes that are about a PCI bus or about collisions none is ever true here: no bus is known to the NIC, and it is
full duplex only. A LED that blinks is on for 200 ms, then off for 200 ms, as long as its source is asserted; activity
is stretched to be seen, to at least that long and at most twice as long.
"""

from collections.abc import Mapping

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CYCLES_PER_BLINK", "LED_COUNT", "LedControl", "LedMode", "LedState", "Leds", "is_on"]

LED_COUNT = 4

CYCLES_PER_BLINK = 25_000_000
"""200 ms of 125 MHz: how long a blinking LED is on, and off."""


class LedMode(enum.Enum, shape=4):
    """What a LED shows (manual table 13-61)."""

    LINK_10_1000 = 0x0
    LINK_100_1000 = 0x1
    LINK_UP = 0x2
    ACTIVITY = 0x3
    LINK_ACTIVITY = 0x4
    LINK_10 = 0x5
    LINK_100 = 0x6
    LINK_1000 = 0x7
    PCIX_MODE = 0x8
    FULL_DUPLEX = 0x9
    COLLISION = 0xA
    BUS_SPEED = 0xB
    BUS_SIZE = 0xC
    PAUSED = 0xD
    LED_ON = 0xE
    LED_OFF = 0xF


LedControl = data.ArrayLayout(data.StructLayout({"mode": LedMode, "reserved": 2, "ivrt": 1, "blink": 1}), LED_COUNT)
"""LEDCTL."""

LedState = data.StructLayout({"link": 1, "speed": 2, "activity": 1, "full_duplex": 1, "paused": 1})
"""What the LEDs can show: STATUS.LU and SPEED, whether a frame is being sent or received, STATUS.FD and TXOFF."""


def _asserted(state: Mapping[str, int]) -> list[int]:
    """By mode, whether its source is asserted; for signals or for numbers."""
    link, activity = state["link"], state["activity"] & state["link"]
    at_10, at_100 = link & (state["speed"] == 0), link & (state["speed"] == 1)
    at_1000 = link & (state["speed"] >= 2)
    never = link & 0
    by_mode = {
        LedMode.LINK_10_1000: at_10 | at_1000,
        LedMode.LINK_100_1000: at_100 | at_1000,
        LedMode.LINK_UP: link,
        LedMode.ACTIVITY: activity,
        LedMode.LINK_ACTIVITY: link & (activity == 0),
        LedMode.LINK_10: at_10,
        LedMode.LINK_100: at_100,
        LedMode.LINK_1000: at_1000,
        LedMode.FULL_DUPLEX: link & state["full_duplex"],
        LedMode.PAUSED: state["paused"],
        LedMode.LED_ON: never | 1,
    }
    return [by_mode.get(mode, never) for mode in LedMode]


def is_on(mode: LedMode, *, ivrt: bool, blink: bool, lit: bool, state: Mapping[str, int]) -> bool:
    """Whether a LED is on (golden function of ``Leds``). ``lit`` is the phase of blinking, ``state`` has the fields of
    ``LedState``, its activity stretched.

    LINK_ACTIVITY with ``blink`` is on with a link, and blinks with activity; without, it goes out with activity.
    """
    if mode is LedMode.LINK_ACTIVITY and blink:
        on = bool(state["link"]) and (lit or not state["activity"])
    else:
        on = bool(_asserted(state)[mode.value]) and (lit or not blink)
    return on != ivrt


class Leds(wiring.Component):
    """Parameters
    ----------
    cycles_per_blink : int
        How long a blinking LED is on, and off.

    Members
    -------
    control : ``In(LedControl)``, state : ``In(LedState)``
    leds : ``Out(4)``
        LED0 lowest. High is asserted, which lights the LED; at the 82540EM's own pins asserted is low.
    """

    control: In(LedControl)
    state: In(LedState)
    leds: Out(LED_COUNT)

    def __init__(self, *, cycles_per_blink: int = CYCLES_PER_BLINK) -> None:
        if cycles_per_blink < 2:
            raise ValueError(f"cycles_per_blink is 2 or more, not {cycles_per_blink!r}")
        self._cycles = cycles_per_blink
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(range(self._cycles), init=self._cycles - 1)
        lit = Signal(init=1)
        seen, seen_before = Signal(), Signal()  # activity in this span of blinking, and in the last
        m.d.sync += [left.eq(left - 1), seen.eq(seen | self.state.activity)]
        with m.If(left == 0):
            m.d.sync += [
                left.eq(self._cycles - 1),
                lit.eq(~lit),
                seen_before.eq(seen | self.state.activity),
                seen.eq(0),
            ]
        state = {name: self.state[name] for name in LedState.members} | {"activity": seen | seen_before}
        asserted = Signal(len(LedMode))
        m.d.sync += asserted.eq(Cat(_asserted(state)))
        for number in range(LED_COUNT):
            led = self.control[number]
            # Its source with BLINK is the link; activity makes it blink.
            link_activity = led.blink & (led.mode == LedMode.LINK_ACTIVITY)
            steady = asserted.bit_select(led.mode.as_value(), 1)
            blinking = Array([steady & (lit | ~led.blink), asserted[LedMode.LINK_UP.value] & (lit | steady)])
            m.d.sync += self.leds[number].eq(blinking[link_activity] ^ led.ivrt)
        return m
