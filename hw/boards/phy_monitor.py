"""Looks after a PHY outside of the chip: its reset, and its link, which it asks for over MDIO between the accesses of
software (IEEE 802.3 clauses 22.2.4, 28.2.4, 40.5.1).

The NIC wants link and speed as signals, as the 82540EM has them from the PHY inside. Registers that every PHY has are
enough for that.
"""

from collections.abc import Mapping

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.mac.speed import Speed
from hw.mdio import CYCLES_PER_MDC, READ, MdioMaster, MdioSignature
from hw.registers import BY_NAME

__all__ = ["PhyMonitor", "link_of"]

RESET_CYCLES = 2_500_000
"""20 ms of 125 MHz. The KSZ9031RNX and the 88E1512 want 10 ms from stable supplies on."""

INTERVAL_CYCLES = 1_250_000
"""10 ms between two looks, and from the end of reset to the first."""

_CONTROL, _STATUS, _ADVERTISEMENT, _PARTNER, _GIGABIT_CONTROL, _GIGABIT_STATUS = 0, 1, 4, 5, 9, 10

_SEQUENCE = (_CONTROL, _ADVERTISEMENT, _PARTNER, _GIGABIT_CONTROL, _GIGABIT_STATUS, _STATUS)
"""Status comes last: its link bit tells of a link that was lost meanwhile."""

_FORCED_LOW, _NEGOTIATE, _FORCED_HIGH = 13, 12, 6
"""Bits of control: the speed by force, in two parts, and whether it is negotiated."""
_LINK = 2
_HUNDRED_FULL, _HUNDRED_HALF = 8, 7
_GIGABIT_FULL, _PARTNER_GIGABIT_FULL = 9, 11


def link_of(registers: Mapping[int, int]) -> tuple[bool, Speed]:
    """Link and speed that registers tell of (golden function). A partner of 100 Mb/s that can only half duplex is of
    100 Mb/s all the same."""
    control = registers[_CONTROL]
    if not control >> _NEGOTIATE & 1:
        speed = (control >> _FORCED_HIGH & 1) << 1 | control >> _FORCED_LOW & 1
        return bool(registers[_STATUS] >> _LINK & 1), Speed(min(speed, Speed.GIGABIT))
    common = registers[_ADVERTISEMENT] & registers[_PARTNER]
    if registers[_GIGABIT_CONTROL] >> _GIGABIT_FULL & registers[_GIGABIT_STATUS] >> _PARTNER_GIGABIT_FULL & 1:
        speed = Speed.GIGABIT
    elif common & (1 << _HUNDRED_FULL | 1 << _HUNDRED_HALF):
        speed = Speed.MEGABIT_100
    else:
        speed = Speed.MEGABIT_10
    return bool(registers[_STATUS] >> _LINK & 1), speed


class PhyMonitor(wiring.Component):
    """Parameters
    ----------
    address : int
        Of the PHY, 0 to 31.
    reset_cycles, interval_cycles : int
        How long the PHY is in reset; how long to wait between two looks, and before the first.
    cycles_per_mdc : int
        As of ``MdioMaster``.

    Members
    -------
    software : ``In(MdioSignature())``
        Software's accesses. They wait for at most one frame.
    reset : ``In(1)``
        Put the PHY into reset anew.
    bus : ``Out(MdioSignature())``
        To the pins; its ``hold`` and ``request`` have no meaning.
    phy_reset : ``Out(1)``
    link : ``Out(1)``, speed : ``Out(Speed)``
        Registered. They change together, after a look.
    """

    software: In(MdioSignature())
    reset: In(1)
    bus: Out(MdioSignature())
    phy_reset: Out(1, init=1)
    link: Out(1)
    speed: Out(Speed, init=Speed.GIGABIT)

    def __init__(
        self,
        *,
        address: int,
        reset_cycles: int = RESET_CYCLES,
        interval_cycles: int = INTERVAL_CYCLES,
        cycles_per_mdc: int = CYCLES_PER_MDC,
    ) -> None:
        if not 0 <= address < 32:
            raise ValueError(f"address is 0 to 31, not {address!r}")
        if reset_cycles < 1:
            raise ValueError(f"reset_cycles is positive, not {reset_cycles!r}")
        if interval_cycles < 1:
            raise ValueError(f"interval_cycles is positive, not {interval_cycles!r}")
        self._address = address
        self._reset_cycles = reset_cycles
        self._interval_cycles = interval_cycles
        self._master = MdioMaster(cycles_per_mdc=cycles_per_mdc)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.master = master = self._master
        own, software = master.bus, self.software
        with m.If(own.request):
            m.d.comb += [getattr(self.bus, name).eq(getattr(own, name)) for name in ("mdc", "o", "oe")]
        with m.Else():
            m.d.comb += [getattr(self.bus, name).eq(getattr(software, name)) for name in ("mdc", "o", "oe")]
        m.d.comb += [own.i.eq(self.bus.i), software.i.eq(self.bus.i), software.hold.eq(own.request)]

        mdic = BY_NAME["MDIC"]
        values = {number: Signal(16, name=f"register_{number}") for number in _SEQUENCE}
        step = Signal(range(len(_SEQUENCE)))
        left = Signal(range(self._interval_cycles + 1), init=self._interval_cycles)
        failed = Signal()
        numbers = Array(Const(number, 5) for number in _SEQUENCE)
        m.d.comb += master.mdic.write_data.eq(
            sum(
                (Cat(Const(0, mdic[name].lsb), value) if mdic[name].lsb else value)
                for name, value in (
                    ("REG", numbers[step]),
                    ("PHY", Const(self._address, 5)),
                    ("OP", Const(READ, 2)),
                )
            )
        )
        answer = master.mdic.hardware
        with m.FSM():
            with m.State("WAIT"):
                m.d.sync += [step.eq(0), failed.eq(0)]
                with m.If(left != 0):
                    m.d.sync += left.eq(left - 1)
                with m.Else():
                    m.next = "ASK"
            with m.State("ASK"), m.If(~software.request):
                m.d.comb += master.mdic.written.eq(1)
                m.next = "READ"
            # READY falls in the cycle behind the command.
            with m.State("READ"):
                m.next = "ANSWER"
            with m.State("ANSWER"), m.If(answer.ready):
                m.d.sync += failed.eq(failed | answer.error)
                with m.Switch(step):
                    for index, number in enumerate(_SEQUENCE):
                        with m.Case(index):
                            m.d.sync += values[number].eq(answer.data)
                with m.If(step == len(_SEQUENCE) - 1):
                    m.next = "TELL"
                with m.Else():
                    m.d.sync += step.eq(step + 1)
                    m.next = "ASK"
            with m.State("TELL"):
                m.d.sync += [self.link.eq(values[_STATUS][_LINK] & ~failed), left.eq(self._interval_cycles)]
                with m.If(~failed):
                    m.d.sync += self.speed.eq(self._speed(values))
                m.next = "WAIT"

        in_reset = Signal(range(self._reset_cycles + 1), init=self._reset_cycles)
        m.d.sync += self.phy_reset.eq(in_reset != 0)
        with m.If(self.reset):
            m.d.sync += in_reset.eq(self._reset_cycles)
        with m.Elif(in_reset != 0):
            m.d.sync += in_reset.eq(in_reset - 1)
        with m.If(self.phy_reset):
            m.d.sync += [left.eq(self._interval_cycles), self.link.eq(0)]
        return m

    def _speed(self, values: Mapping[int, Signal]) -> Value:
        control = values[_CONTROL]
        common = values[_ADVERTISEMENT] & values[_PARTNER]
        gigabit = values[_GIGABIT_CONTROL][_GIGABIT_FULL] & values[_GIGABIT_STATUS][_PARTNER_GIGABIT_FULL]
        hundred = common[_HUNDRED_FULL] | common[_HUNDRED_HALF]
        forced = Mux(control[_FORCED_HIGH], Speed.GIGABIT, Cat(control[_FORCED_LOW], Const(0, 1)))
        negotiated = Mux(gigabit, Speed.GIGABIT, Mux(hundred, Speed.MEGABIT_100, Speed.MEGABIT_10))
        return Mux(control[_NEGOTIATE], negotiated, forced)
