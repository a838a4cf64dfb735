"""What boards with a Lattice ECP5 share: the PLL and RGMII's pins (Lattice FPGA-TN-02200 sysCLOCK PLL, FPGA-TN-02035
high-speed I/O).
"""

from dataclasses import dataclass

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from hw.boards.rgmii import RgmiiReceive, RgmiiTransmit
from hw.interfaces import GmiiSignature

__all__ = ["Pll", "PllDividers", "RgmiiPins", "RgmiiPorts", "pll_dividers"]

TAP_SECONDS = 25e-12
"""Of DELAYG, of which there are 128."""

_TAPS = 128
_INPUT_DIVIDERS = range(1, 129)
_VCO_HZ = (400e6, 800e6)
_PHASE_DETECTOR_HZ = (3.125e6, 400e6)


@dataclass(frozen=True, kw_only=True)
class PllDividers:
    """CLKI_DIV, CLKFB_DIV and CLKOP_DIV, with CLKOP fed back."""

    input: int
    feedback: int
    output: int


def pll_dividers(input_hz: float, output_hz: float) -> PllDividers:
    """The dividers with the fastest phase detector. Raises ``ValueError`` if none make exactly this frequency."""
    for divider in _INPUT_DIVIDERS:
        detector = input_hz / divider
        feedback = output_hz / detector
        if feedback != round(feedback) or not _PHASE_DETECTOR_HZ[0] <= detector <= _PHASE_DETECTOR_HZ[1]:
            continue
        output = round(sum(_VCO_HZ) / 2 / output_hz)
        if output >= 1 and _VCO_HZ[0] <= output * output_hz <= _VCO_HZ[1]:
            return PllDividers(input=divider, feedback=round(feedback), output=output)
    raise ValueError(f"no dividers make {output_hz!r} Hz of {input_hz!r} Hz")


class Pll(wiring.Component):
    """EHXPLLL with one output.

    Parameters
    ----------
    input_hz, output_hz : float

    Members
    -------
    clki : ``In(1)``, clko : ``Out(1)``
    locked : ``Out(1)``
        Asynchronous.
    """

    clki: In(1)
    clko: Out(1)
    locked: Out(1)

    def __init__(self, *, input_hz: float, output_hz: float) -> None:
        self._dividers = pll_dividers(input_hz, output_hz)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dividers = self._dividers
        m.submodules.pll = Instance(
            "EHXPLLL",
            p_CLKI_DIV=dividers.input,
            p_CLKFB_DIV=dividers.feedback,
            p_CLKOP_DIV=dividers.output,
            p_CLKOP_ENABLE="ENABLED",
            # Half of the output divider: no phase shift.
            p_CLKOP_CPHASE=dividers.output // 2,
            p_CLKOP_FPHASE=0,
            p_FEEDBK_PATH="CLKOP",
            p_OUTDIVIDER_MUXA="DIVA",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            i_CLKI=self.clki,
            i_CLKFB=self.clko,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_CLKOP=self.clko,
            o_LOCK=self.locked,
        )
        return m


@dataclass(frozen=True, kw_only=True)
class RgmiiPorts:
    """The pins of an RGMII, without management, and the delays of the clock out and of the data in, in seconds."""

    txc: io.PortLike
    tx_ctl: io.PortLike
    td: io.PortLike
    rxc: io.PortLike
    rx_ctl: io.PortLike
    rd: io.PortLike
    tx_delay: float
    rx_delay: float

    def __post_init__(self) -> None:
        for name in ("tx_delay", "rx_delay"):
            if not 0 <= getattr(self, name) < _TAPS * TAP_SECONDS:
                raise ValueError(f"{name} is 0 to {(_TAPS - 1) * TAP_SECONDS:g} s, not {getattr(self, name)!r}")


class RgmiiPins(wiring.Component):
    """GMII at RGMII's pins: ODDRX1F and IDDRX1F, with DELAYG between those and the pins.

    Parameters
    ----------
    ports : RgmiiPorts

    Members
    -------
    gmii : ``In(GmiiSignature())``
    rxc : ``Out(1)``
        The clock of domain ``gmii_rx``.
    """

    gmii: In(GmiiSignature())
    rxc: Out(1)

    def __init__(self, *, ports: RgmiiPorts) -> None:
        if not isinstance(ports, RgmiiPorts):
            raise ValueError(f"ports must be RgmiiPorts, not {ports!r}")
        self._ports = ports
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports, gmii = self._ports, self.gmii
        m.submodules.transmit = transmit = RgmiiTransmit()
        m.submodules.receive = receive = RgmiiReceive()
        m.submodules.rxc = rxc = io.Buffer("i", ports.rxc)
        m.d.comb += [
            *(
                getattr(transmit, name).eq(getattr(gmii, name))
                for name in ("txd", "tx_en", "tx_er", "tx_strobe", "tx_speed")
            ),
            *(getattr(gmii, name).eq(getattr(receive, name)) for name in ("rxd", "rx_dv", "rx_er")),
            self.rxc.eq(rxc.i),
        ]
        self._outputs(m, "txc", ports.txc, transmit.txc, ports.tx_delay)
        self._outputs(m, "tx_ctl", ports.tx_ctl, transmit.tx_ctl, 0)
        self._outputs(m, "td", ports.td, transmit.td, 0)
        self._inputs(m, "rx_ctl", ports.rx_ctl, receive.rx_ctl, ports.rx_delay)
        self._inputs(m, "rd", ports.rd, receive.rd, ports.rx_delay)
        return m

    def _delayed(self, m: Module, name: str, signals: Signal, delay: float) -> Signal:
        """Signals some taps later. Without a delay there is no DELAYG."""
        taps = round(delay / TAP_SECONDS)
        if not taps:
            return signals
        delayed = Signal.like(signals, name=f"{name}_delayed")
        for bit in range(len(signals)):
            m.submodules[f"{name}_delay_{bit}"] = Instance(
                "DELAYG",
                p_DEL_MODE="USER_DEFINED",
                p_DEL_VALUE=taps,
                i_A=signals[bit],
                o_Z=delayed[bit],
            )
        return delayed

    def _outputs(self, m: Module, name: str, port: io.PortLike, pairs: Signal, delay: float) -> None:
        pins = Signal(len(port), name=f"{name}_pins")
        for bit in range(len(port)):
            m.submodules[f"{name}_ddr_{bit}"] = Instance(
                "ODDRX1F",
                i_SCLK=ClockSignal("sync"),
                i_RST=Const(0),
                i_D0=pairs[bit],
                i_D1=pairs[len(port) + bit],
                o_Q=pins[bit],
            )
        m.submodules[f"{name}_buffer"] = buffer = io.Buffer("o", port)
        m.d.comb += buffer.o.eq(self._delayed(m, name, pins, delay))

    def _inputs(self, m: Module, name: str, port: io.PortLike, pairs: Signal, delay: float) -> None:
        m.submodules[f"{name}_buffer"] = buffer = io.Buffer("i", port)
        pins = self._delayed(m, name, buffer.i, delay)
        for bit in range(len(port)):
            m.submodules[f"{name}_ddr_{bit}"] = Instance(
                "IDDRX1F",
                i_SCLK=ClockSignal("gmii_rx"),
                i_RST=Const(0),
                i_D=pins[bit],
                o_Q0=pairs[bit],
                o_Q1=pairs[len(port) + bit],
            )
