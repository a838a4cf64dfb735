"""The NIC on AXI: registers on AXI4-Lite, host memory on AXI4 (Arm IHI 0022H)."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.axi import MAX_ERRORS, AxiManager, AxiSignature
from hw.axi_lite import AxiLiteSignature, AxiLiteSubordinate
from hw.interfaces import GmiiSignature
from hw.leds import LED_COUNT
from hw.mdio import MdioSignature
from hw.nic import Nic
from hw.pins import PinSignature

__all__ = ["AxiNic"]


class AxiNic(wiring.Component):
    """A ``Nic`` between two AXI buses, in its domain ``sync``.

    Parameters
    ----------
    nic : Nic
        A fresh one.

    Members
    -------
    m_axi : ``Out(AxiSignature())``
    s_axil : ``In(AxiLiteSignature())``
    read_errors, write_errors : ``Out``
        As in ``AxiManager``.
    interrupt, gmii, link, mdio, leds, sdp, pme
        As in ``Nic``. The I/O window is of PCI alone.
    """

    m_axi: Out(AxiSignature())
    s_axil: In(AxiLiteSignature())
    read_errors: Out(range(MAX_ERRORS + 1))
    write_errors: Out(range(MAX_ERRORS + 1))
    interrupt: Out(1)
    gmii: Out(GmiiSignature())
    link: In(1)
    mdio: Out(MdioSignature())
    leds: Out(LED_COUNT)
    sdp: Out(PinSignature())
    pme: Out(1)

    def __init__(self, *, nic: Nic) -> None:
        if not isinstance(nic, Nic):
            raise ValueError(f"nic must be a Nic, not {nic!r}")
        self._nic = nic
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.nic = nic = self._nic
        m.submodules.manager = manager = AxiManager()
        m.submodules.subordinate = subordinate = AxiLiteSubordinate()
        connect(m, nic.memory, manager.memory)
        connect(m, nic.registers, subordinate.registers)
        connect(m, manager.axi, flipped(self.m_axi))
        connect(m, flipped(self.s_axil), subordinate.axi)
        connect(m, nic.gmii, flipped(self.gmii))
        connect(m, nic.mdio, flipped(self.mdio))
        connect(m, nic.sdp, flipped(self.sdp))
        m.d.comb += [
            subordinate.writes_pending.eq(manager.writes_pending),
            subordinate.write_done.eq(manager.write_done),
            self.read_errors.eq(manager.read_errors),
            self.write_errors.eq(manager.write_errors),
            self.interrupt.eq(nic.interrupt),
            nic.link.eq(self.link),
            self.leds.eq(nic.leds),
            self.pme.eq(nic.pme),
        ]
        return m
