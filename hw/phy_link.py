"""What link the built-in PHY makes: by auto-negotiation (IEEE 802.3 clause 28, with the priorities of annex 28B.3, and
clause 40.5.1 for 1000BASE-T), by force, or to itself (clause 22.2.4.1.2).

Full duplex only: abilities of half duplex are shown and stored as in the hardware, but never resolved to, and half
duplex by force gives no link.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.mac.speed import Speed

__all__ = [
    "ADVERTISEMENT",
    "ADVERTISEMENT_BOOT",
    "CONTROL",
    "CONTROL_BOOT",
    "GIGABIT_CONTROL",
    "GIGABIT_CONTROL_BOOT",
    "PARTNER",
    "RESET",
    "RESTART",
    "LinkModel",
    "LinkPartner",
    "PhyLink",
]

CONTROL, ADVERTISEMENT, GIGABIT_CONTROL = 0, 4, 9
"""Numbers of the registers that say what link is wanted."""

CONTROL_BOOT, ADVERTISEMENT_BOOT, GIGABIT_CONTROL_BOOT = 0x1140, 0x0DE1, 0x0E00
"""Their values after reset: negotiate, and all that there is."""

RESET, RESTART = 15, 9
"""Bits of control that clear themselves."""

_LOOPBACK, _SPEED_LOW, _NEGOTIATE, _POWER_DOWN, _FULL, _SPEED_HIGH = 14, 13, 12, 11, 8, 6
"""Bits of control (clause 22.2.4.1)."""

_RELINK = (_SPEED_LOW, _NEGOTIATE, _POWER_DOWN, _FULL, _SPEED_HIGH)
"""Those whose change makes the link anew."""

_TEN_FULL, _HUNDRED_FULL = 6, 8
"""Bits of a base page (annex 28B.2)."""

_GIGABIT_FULL, _PARTNER_GIGABIT_FULL = 9, 11
"""1000BASE-T full duplex in register 9, and, of the partner, in register 10 (clause 40.5.1.1)."""

_SETTLE_CYCLES = 32
"""How long a link takes. In the hardware it is seconds, for which no simulation would want to wait."""


def _chosen(page: int, gigabit: int) -> set[Speed]:
    offers = {
        Speed.MEGABIT_10: page >> _TEN_FULL & 1,
        Speed.MEGABIT_100: page >> _HUNDRED_FULL & 1,
        Speed.GIGABIT: gigabit & 1,
    }
    return {speed for speed, offered in offers.items() if offered}


@dataclass(frozen=True, kw_only=True)
class LinkPartner:
    """The far end, which negotiates: its base page (register 5) and register 10, 1000BASE-T status.

    Raises ``ValueError`` if one of them is not a 16-bit number.
    """

    base_page: int = 0xC1E1
    gigabit_status: int = 0x3C00

    def __post_init__(self) -> None:
        for name in ("base_page", "gigabit_status"):
            if not 0 <= getattr(self, name) <= 0xFFFF:
                raise ValueError(f"{name} takes 16 bits, not {getattr(self, name)!r}")

    @property
    def speeds(self) -> set[Speed]:
        """What it can do in full duplex."""
        return _chosen(self.base_page, self.gigabit_status >> _PARTNER_GIGABIT_FULL)


PARTNER = LinkPartner()
"""Is able of everything but pause frames."""


class LinkModel:
    """Golden model of ``PhyLink``, without the time that a link takes. After each call ``link`` tells how it is, and
    ``relinked`` whether it was made anew."""

    def __init__(self, *, partner: LinkPartner = PARTNER) -> None:
        self._partner = partner
        self._cable = False
        self.reset()

    def reset(self) -> None:
        self._control = CONTROL_BOOT
        self._page, self._gigabit = ADVERTISEMENT_BOOT, GIGABIT_CONTROL_BOOT
        self._relink()

    def _relink(self) -> None:
        self.relinked = True
        self._negotiated = _chosen(self._page, self._gigabit >> _GIGABIT_FULL) & self._partner.speeds

    def cable(self, connected: bool) -> None:
        self.relinked = False
        if connected and not self._cable:
            self._relink()
        self._cable = connected

    def write(self, number: int, value: int) -> None:
        """A register has been written."""
        self.relinked = False
        if number == ADVERTISEMENT:
            self._page = value
        elif number == GIGABIT_CONTROL:
            self._gigabit = value
        elif number == CONTROL and value >> RESET & 1:
            self.reset()
        elif number == CONTROL:
            changed = any((self._control ^ value) >> bit & 1 for bit in _RELINK)
            self._control = value
            if changed or (value >> RESTART & 1 and self.negotiates):
                self._relink()

    @property
    def negotiates(self) -> bool:
        return bool(self._control >> _NEGOTIATE & 1)

    @property
    def loopback(self) -> bool:
        return bool(self._control >> _LOOPBACK & 1)

    @property
    def speed(self) -> Speed | None:
        """Negotiated or forced; ``None`` if there is none."""
        if self.negotiates:
            return max(self._negotiated, default=None)
        code = (self._control >> _SPEED_HIGH & 1) << 1 | self._control >> _SPEED_LOW & 1
        return Speed(code) if code in list(Speed) else None

    @property
    def link(self) -> bool:
        half = not self.negotiates and not self._control >> _FULL & 1
        if self._control >> _POWER_DOWN & 1 or half or self.speed is None:
            return False
        return self.loopback or (self._cable and self.speed in self._partner.speeds)


class PhyLink(wiring.Component):
    """The link.

    Parameters
    ----------
    partner : LinkPartner

    Members
    -------
    reset : ``In(1)``
        The reset pin.
    cable : ``In(1)``
        The partner is there.
    written : ``In(1)``, number : ``In(5)``, value : ``In(16)``
        Software writes a register.
    link : ``Out(1)``
        It comes 32 cycles after what makes it: the cable, power-up, reset, restarted negotiation, a change of what
        control forces. It goes at once.
    speed : ``Out(Speed)``
        Of the link. It changes only while that is down.
    negotiates, loopback : ``Out(1)``
        The bits of control.
    """

    reset: In(1)
    cable: In(1)
    written: In(1)
    number: In(5)
    value: In(16)
    link: Out(1)
    speed: Out(Speed)
    negotiates: Out(1)
    loopback: Out(1)

    def __init__(self, *, partner: LinkPartner = PARTNER) -> None:
        if not isinstance(partner, LinkPartner):
            raise ValueError(f"partner must be a LinkPartner, not {partner!r}")
        self._partner = partner
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = Signal(16, init=CONTROL_BOOT)
        page = Signal(16, init=ADVERTISEMENT_BOOT)
        gigabit = Signal(16, init=GIGABIT_CONTROL_BOOT)
        cable_before = Signal()
        left = Signal(range(_SETTLE_CYCLES + 1), init=_SETTLE_CYCLES)
        m.d.sync += cable_before.eq(self.cable)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)

        forgets = Signal()
        m.d.comb += forgets.eq(self.reset | (self.written & (self.number == CONTROL) & self.value[RESET]))
        with m.If(forgets):
            m.d.sync += [signal.eq(signal.init) for signal in (control, page, gigabit, left)]
        with m.Else():
            with m.If(self.cable & ~cable_before):
                m.d.sync += left.eq(_SETTLE_CYCLES)
            with m.If(self.written), m.Switch(self.number):
                with m.Case(ADVERTISEMENT):
                    m.d.sync += page.eq(self.value)
                with m.Case(GIGABIT_CONTROL):
                    m.d.sync += gigabit.eq(self.value)
                with m.Case(CONTROL):
                    m.d.sync += control.eq(self.value)
                    changed = Cat(self.value[bit] ^ control[bit] for bit in _RELINK)
                    with m.If(changed.any() | (self.value[RESTART] & self.value[_NEGOTIATE])):
                        m.d.sync += left.eq(_SETTLE_CYCLES)

        # What is advertised counts when the link is made, not when it is written.
        offers = {
            Speed.MEGABIT_10: page[_TEN_FULL],
            Speed.MEGABIT_100: page[_HUNDRED_FULL],
            Speed.GIGABIT: gigabit[_GIGABIT_FULL],
        }
        # Out of reset it is not 10 Mb/s for a moment: the MAC would need an octet's time, 100 cycles, to leave that.
        negotiated = Signal(data.StructLayout({"speed": Speed, "valid": 1}), init={"speed": Speed.GIGABIT})
        with m.If(left == _SETTLE_CYCLES):
            m.d.sync += negotiated.eq(0)
            for speed in sorted(self._partner.speeds):
                with m.If(offers[speed]):
                    m.d.sync += [negotiated.speed.eq(speed), negotiated.valid.eq(1)]

        forced = Signal(data.StructLayout({"speed": Speed, "valid": 1}))
        reachable = Signal()
        with m.Switch(forced.speed), m.Case(*sorted(self._partner.speeds)):
            m.d.comb += reachable.eq(1)
        m.d.comb += [
            self.negotiates.eq(control[_NEGOTIATE]),
            self.loopback.eq(control[_LOOPBACK]),
            forced.speed[0].eq(control[_SPEED_LOW]),
            forced.speed[1].eq(control[_SPEED_HIGH]),
            forced.valid.eq(control[_FULL] & ~(control[_SPEED_LOW] & control[_SPEED_HIGH])),
            self.speed.eq(Mux(self.negotiates, negotiated.speed, forced.speed)),
            self.link.eq(
                ~self.reset
                & (left == 0)
                & ~control[_POWER_DOWN]
                & Mux(self.negotiates, negotiated.valid, forced.valid)
                & (self.loopback | (self.cable & cable_before & (self.negotiates | reachable)))
            ),
        ]
        return m
