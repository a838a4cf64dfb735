"""The NIC on AXI: registers on AXI4-Lite, host memory on AXI4 (Arm IHI 0022H)."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.axi import MAX_ERRORS, AxiManager, AxiSignature
from hw.axi_lite import AxiLiteSignature, AxiLiteSubordinate
from hw.nic import Nic

__all__ = ["AxiNic"]

_NOT_PASSED = {"memory", "registers", "io"}


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
    all others
        As in ``Nic``, of which ``memory`` and ``registers`` are inside. The I/O window is of PCI alone.
    """

    def __init__(self, *, nic: Nic) -> None:
        if not isinstance(nic, Nic):
            raise ValueError(f"nic must be a Nic, not {nic!r}")
        self._nic = nic
        self._passed = {name: member for name, member in nic.signature.members.items() if name not in _NOT_PASSED}
        super().__init__(
            {
                "m_axi": Out(AxiSignature()),
                "s_axil": In(AxiLiteSignature()),
                "read_errors": Out(range(MAX_ERRORS + 1)),
                "write_errors": Out(range(MAX_ERRORS + 1)),
                **self._passed,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.nic = nic = self._nic
        m.submodules.manager = manager = AxiManager()
        m.submodules.subordinate = subordinate = AxiLiteSubordinate()
        connect(m, nic.memory, manager.memory)
        connect(m, nic.registers, subordinate.registers)
        connect(m, manager.axi, flipped(self.m_axi))
        connect(m, flipped(self.s_axil), subordinate.axi)
        for name, member in self._passed.items():
            inner, outer = getattr(nic, name), getattr(self, name)
            if member.is_signature:
                connect(m, inner, flipped(outer))
            elif member.flow is In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        m.d.comb += [
            subordinate.writes_pending.eq(manager.writes_pending),
            subordinate.write_done.eq(manager.write_done),
            self.read_errors.eq(manager.read_errors),
            self.write_errors.eq(manager.write_errors),
        ]
        return m
