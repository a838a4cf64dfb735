"""The NIC: all engines, the registers they obey, and the ports to the host and to the PHY (manual chapters 2 and 13).

registers -> engines;  memory <-> arbiter <-> rings, transmit path, receive path;  GMII <-> MAC <-> paths
"""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.dma import DmaArbiter
from hw.interfaces import GmiiSignature, MemoryPort, RegisterPort
from hw.interrupt import InterruptController, InterruptThrottle, Semantics
from hw.mac.receive import MacReceive
from hw.mac.transmit import MacTransmit
from hw.receive.path import ReceivePath
from hw.register_file import RegisterFile
from hw.registers import BY_NAME
from hw.ring import RingPrefetch
from hw.transmit.path import TransmitPath

__all__ = ["Nic"]

_RESET_CYCLES = 16
"""Length of the reset that CTRL.RST starts: long enough for the receive clock's side to see it."""

_SPEED_1000 = 0b10

_TRANSMIT_RING, _TRANSMIT, _RECEIVE_RING, _RECEIVE = range(4)
"""Clients of the DMA arbiter."""


class Nic(wiring.Component):
    """An 82540EM. Domain ``sync`` runs at 125 MHz, and is GTX_CLK; domain ``gmii_rx`` is the PHY's RX_CLK.

    Parameters
    ----------
    mac_address : bytes
        Six bytes: what receive address 0 holds at power-up.
    semantics : Semantics
        What ITR's interval is counted from.

    Members
    -------
    memory : ``Out(MemoryPort())``
    registers : ``Out(RegisterPort())``
    interrupt : ``Out(1)``
        Level, high when asserted.
    gmii : ``Out(GmiiSignature())``
    link : ``In(1)``
        The PHY has a link. Synchronised here.
    """

    def __init__(
        self,
        *,
        mac_address: bytes = bytes.fromhex("020000000001"),
        semantics: Semantics = Semantics.SINCE_LAST_INTERRUPT,
    ) -> None:
        self._mac_address = mac_address
        self._throttle = InterruptThrottle(semantics=semantics)
        super().__init__(
            {
                "memory": Out(MemoryPort()),
                "registers": Out(RegisterPort()),
                "interrupt": Out(1),
                "gmii": Out(GmiiSignature()),
                "link": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reset = Signal()
        reset_gmii_rx = Signal()
        m.submodules.reset_gmii_rx = FFSynchronizer(reset, reset_gmii_rx, o_domain="gmii_rx")

        # The bus side is not reset by CTRL.RST; every engine is.
        engine = ResetInserter({"sync": reset, "gmii_rx": reset_gmii_rx})
        m.submodules.file = file = RegisterFile()
        m.submodules.arbiter = arbiter = DmaArbiter(clients=4)
        m.submodules.interrupts = interrupts = engine(InterruptController(throttle=self._throttle))
        m.submodules.transmit_ring = transmit_ring = engine(RingPrefetch())
        m.submodules.receive_ring = receive_ring = engine(RingPrefetch())
        m.submodules.transmit = transmit = engine(TransmitPath())
        m.submodules.receive = receive = engine(ReceivePath(mac_address=self._mac_address))
        m.submodules.mac_transmit = mac_transmit = engine(MacTransmit())
        m.submodules.mac_receive = mac_receive = engine(MacReceive())

        connect(m, flipped(self.registers), file.port)
        connect(m, arbiter.memory, flipped(self.memory))
        connect(m, transmit_ring.memory, arbiter.clients[_TRANSMIT_RING])
        connect(m, transmit.memory, arbiter.clients[_TRANSMIT])
        connect(m, receive_ring.memory, arbiter.clients[_RECEIVE_RING])
        connect(m, receive.memory, arbiter.clients[_RECEIVE])
        m.d.comb += [arbiter.flush.eq(reset), file.reset.eq(reset)]

        self._control(m, file, reset)
        self._interrupts(m, file, interrupts, transmit, receive)
        self._ring(m, file, "td", transmit_ring, transmit)
        self._ring(m, file, "rd", receive_ring, receive)
        self._transmit(m, file, transmit_ring, transmit, mac_transmit)
        self._receive(m, file, receive_ring, receive, mac_receive)
        return m

    def _control(self, m: Module, file: RegisterFile, reset: Signal) -> None:
        """CTRL and STATUS (13.4.1, 13.4.2)."""
        left = Signal(range(_RESET_CYCLES + 1))
        m.d.comb += reset.eq(left != 0)
        with m.If(file.ctrl.value.rst):
            m.d.sync += left.eq(_RESET_CYCLES)
        with m.Elif(reset):
            m.d.sync += left.eq(left - 1)

        m.submodules.link = FFSynchronizer(self.link, link := Signal())
        m.d.comb += [
            file.status.hardware.fd.eq(1),
            file.status.hardware.lu.eq(link & file.ctrl.value.slu),
            file.status.hardware.speed.eq(_SPEED_1000),
            file.status.hardware.asdv.eq(_SPEED_1000),
        ]

    def _interrupts(
        self,
        m: Module,
        file: RegisterFile,
        interrupts: InterruptController,
        transmit: TransmitPath,
        receive: ReceivePath,
    ) -> None:
        """Causes (13.4.17). The delay timers are not built: every write-back and every stored frame is a cause."""
        for name in ("icr", "ics", "ims", "imc", "itr"):
            connect(m, getattr(file, name), getattr(interrupts, name))
        link_before = Signal()
        m.d.sync += link_before.eq(file.status.hardware.lu)
        causes = {
            "TXDW": transmit.written,
            "TXQE": transmit.empty,
            "LSC": file.status.hardware.lu != link_before,
            "RXDMT0": receive.minimum,
            "RXO": receive.missed,
            "RXT0": receive.stored,
        }
        m.d.comb += [
            *(interrupts.causes[BY_NAME["ICR"][name].lsb].eq(cause) for name, cause in causes.items()),
            self.interrupt.eq(interrupts.interrupt),
        ]

    def _ring(
        self, m: Module, file: RegisterFile, prefix: str, ring: RingPrefetch, path: TransmitPath | ReceivePath
    ) -> None:
        """A ring's registers (13.4.25 to 13.4.29, 13.4.35 to 13.4.39) to its prefetcher and to its path."""
        low, high, length, head, tail = (getattr(file, prefix + name) for name in ("bal", "bah", "len", "h", "t"))
        for part in (ring, path):
            m.d.comb += [
                part.base[4:32].eq(low.value.base),
                part.base[32:].eq(high.value.base),
                part.length[7:].eq(length.value.len),
                part.tail.eq(tail.value.tail),
                part.head_written.eq(head.written),
            ]
        m.d.comb += [
            ring.head.eq(head.write_data),
            path.head_value.eq(head.write_data),
            head.hardware.head.eq(path.head),
        ]

    def _transmit(
        self, m: Module, file: RegisterFile, ring: RingPrefetch, path: TransmitPath, mac: MacTransmit
    ) -> None:
        connect(m, ring.descriptors, path.descriptors)
        connect(m, path.info, mac.info)
        connect(m, path.packets, mac.packets)
        m.d.comb += [
            ring.enable.eq(file.tctl.value.en),
            mac.enable.eq(file.tctl.value.en),
            mac.pad.eq(file.tctl.value.psp),
            mac.gap.eq(file.tipg.value.ipgt),
            self.gmii.txd.eq(mac.txd),
            self.gmii.tx_en.eq(mac.tx_en),
            self.gmii.tx_er.eq(mac.tx_er),
        ]

    def _receive(self, m: Module, file: RegisterFile, ring: RingPrefetch, path: ReceivePath, mac: MacReceive) -> None:
        connect(m, ring.descriptors, path.descriptors)
        connect(m, mac.words, path.words)
        connect(m, file.ral, path.ral)
        connect(m, file.rah, path.rah)
        m.d.comb += [
            ring.enable.eq(file.rctl.value.en),
            path.link.eq(file.status.hardware.lu),
            *(path.rctl[name].eq(file.rctl.value[name]) for name in path.rctl.shape().members),
            *(path.rxcsum[name].eq(file.rxcsum.value[name]) for name in path.rxcsum.shape().members),
            mac.rxd.eq(self.gmii.rxd),
            mac.rx_dv.eq(self.gmii.rx_dv),
            mac.rx_er.eq(self.gmii.rx_er),
        ]
