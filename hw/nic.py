"""The NIC: all engines, the registers they obey, and the ports to the host and to the PHY (manual chapters 2 and 13).

registers -> engines;  memory <-> arbiter <-> rings, transmit path, receive path;  GMII <-> MAC <-> paths
"""

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    DomainRenamer,
    Module,
    Mux,
    ResetInserter,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.cdc import AsyncFFSynchronizer, FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.dma import DmaArbiter
from hw.eeprom import Eeprom, image
from hw.eeprom_read import EepromReader
from hw.frame_records import TransmitWatch
from hw.interfaces import GmiiSignature, MemoryPort, RegisterPort
from hw.interrupt import InterruptController, InterruptThrottle, Semantics
from hw.io_window import IoPort, IoWindow
from hw.leds import LED_COUNT, Leds
from hw.mac.flow_control import FlowControl
from hw.mac.receive import MacReceive
from hw.mac.reconciliation import Reconciliation
from hw.mac.speed import AutoSpeedDetection, Speed
from hw.mac.transmit import MacTransmit
from hw.mdio import CYCLES_PER_MDC, MdioMaster, MdioSignature
from hw.moderation import InterruptDelay
from hw.nic_registers import (
    connect_diagnostics,
    connect_flow_control,
    connect_moderation,
    connect_receive,
    connect_ring,
    connect_statistics,
    connect_transmit,
)
from hw.phy import Phy
from hw.phy_link import PARTNER, LinkPartner
from hw.pins import Pins, PinSignature
from hw.receive.path import ReceivePath
from hw.register_file import RegisterFile
from hw.registers import BY_NAME
from hw.ring import RingPrefetch
from hw.statistics import Statistics
from hw.transmit.path import TransmitPath
from hw.wake.unit import WakeUp

__all__ = ["Nic"]

_RESET_CYCLES = 16
"""Length of the reset that CTRL.RST starts. The receive clock's side, which may be slower than that, is in reset from
then until its second cycle after."""

_MAC_LOOPBACK = 0b01
"""RCTL.LBM. What asks for loopback in a transceiver, 11, is for fibre."""

_BUFFER_KIB = 64
"""Size that PBA divides between receive and transmit."""

_TRANSMIT_RING, _TRANSMIT, _RECEIVE_RING, _RECEIVE = range(4)
"""Clients of the DMA arbiter."""


class Nic(wiring.Component):
    """An 82540EM. Domain ``sync`` runs at 125 MHz, and is GTX_CLK; domain ``gmii_rx`` is the PHY's RX_CLK.

    Parameters
    ----------
    mac_address : bytes
        Six bytes, unicast: the station's own, in the EEPROM.
    semantics : Semantics
        What ITR's interval is counted from.
    builtin_phy : bool
        Whether MDIO goes to the PHY model inside, which has a link when the pin ``link`` is high, or to the pins.
    partner : LinkPartner
        What the far end can do, for the built-in PHY.
    cycles_per_mdc : int
        Cycles per period of MDC.

    Members
    -------
    memory : ``Out(MemoryPort())``
    registers : ``Out(RegisterPort())``
        The memory window (BAR0).
    io : ``Out(IoPort())``
        The I/O window.
    interrupt : ``Out(1)``
        Level, high when asserted.
    gmii : ``Out(GmiiSignature())``
    link : ``In(1)``
        The PHY has a link; with the built-in PHY: there is a partner at the far end. Synchronised here.
    speed : ``In(Speed)``
        Only without the built-in PHY: the link's speed as the PHY says, steady while it has a link.
    mdio : ``Out(MdioSignature())``
        Management of the PHY. With the built-in PHY its ``i`` is not used.
    leds : ``Out(4)``
        High is on.
    sdp : ``Out(PinSignature())``
        Software-definable pins.
    pme : ``Out(1)``
        PME#, drawn active high: something asks for the host to be woken.
    """

    def __init__(
        self,
        *,
        mac_address: bytes = bytes.fromhex("020000000001"),
        semantics: Semantics = Semantics.SINCE_LAST_INTERRUPT,
        builtin_phy: bool = True,
        partner: LinkPartner = PARTNER,
        cycles_per_mdc: int = CYCLES_PER_MDC,
    ) -> None:
        if not isinstance(builtin_phy, bool):
            raise ValueError(f"builtin_phy must be True or False, not {builtin_phy!r}")
        self._eeprom = Eeprom(words=image(mac_address))
        self._throttle = InterruptThrottle(semantics=semantics)
        self._phy = Phy(partner=partner) if builtin_phy else None
        self._mdio = MdioMaster(cycles_per_mdc=cycles_per_mdc)
        super().__init__(
            {
                "memory": Out(MemoryPort()),
                "registers": Out(RegisterPort()),
                "io": Out(IoPort()),
                "interrupt": Out(1),
                "gmii": Out(GmiiSignature()),
                "link": In(1),
                "mdio": Out(MdioSignature()),
                "leds": Out(LED_COUNT),
                "sdp": Out(PinSignature()),
                "pme": Out(1),
                **({} if builtin_phy else {"speed": In(Speed)}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reset = Signal()
        reset_gmii_rx = Signal()
        reset_begun = Signal()  # from a register: it sets others asynchronously
        m.d.sync += reset_begun.eq(reset)
        m.submodules.reset_gmii_rx = AsyncFFSynchronizer(reset_begun, reset_gmii_rx, o_domain="gmii_rx")
        # A domain of its own: from its reset the FIFO in there learns that all its words are gone.
        m.domains.gmii_rx_engine = receive_clock = ClockDomain(local=True)
        m.d.comb += [
            receive_clock.clk.eq(ClockSignal("gmii_rx")),
            receive_clock.rst.eq(ResetSignal("gmii_rx") | reset_gmii_rx),
        ]

        # The bus side is not reset by CTRL.RST; every engine is.
        engine = ResetInserter(reset)
        m.submodules.file = file = RegisterFile()
        m.submodules.arbiter = arbiter = DmaArbiter(clients=4)
        m.submodules.interrupts = interrupts = engine(InterruptController(throttle=self._throttle))
        m.submodules.transmit_ring = transmit_ring = engine(RingPrefetch())
        m.submodules.receive_ring = receive_ring = engine(RingPrefetch())
        m.submodules.transmit = transmit = engine(TransmitPath())
        m.submodules.receive = receive = engine(ReceivePath())
        m.submodules.transmit_delay = transmit_delay = engine(InterruptDelay().create())
        m.submodules.receive_delay = receive_delay = engine(InterruptDelay().create())
        m.submodules.mac_transmit = mac_transmit = engine(MacTransmit())
        m.submodules.mac_receive = mac_receive = DomainRenamer({"gmii_rx": "gmii_rx_engine"})(engine(MacReceive()))
        m.submodules.flow_control = flow_control = engine(FlowControl())
        m.submodules.line = line = Reconciliation()  # it is the wire's, and not reset either
        m.submodules.transmit_watch = transmit_watch = engine(TransmitWatch())
        m.submodules.statistics = statistics = engine(Statistics())

        m.submodules.io_window = io_window = IoWindow()
        connect(m, flipped(self.registers), io_window.memory)
        connect(m, flipped(self.io), io_window.io)
        connect(m, io_window.registers, file.port)
        connect(m, arbiter.memory, flipped(self.memory))
        connect(m, transmit_ring.memory, arbiter.clients[_TRANSMIT_RING])
        connect(m, transmit.memory, arbiter.clients[_TRANSMIT])
        # The write-back has a client's write side to itself: the arbiter passes bursts on in the order in which they
        # are asked for, so a frame's data comes before its descriptor.
        for name in ("read_request", "read_data"):
            connect(m, getattr(receive_ring.memory, name), getattr(arbiter.clients[_RECEIVE_RING], name))
        for name in ("write_request", "write_data"):
            connect(m, getattr(receive.descriptor_memory, name), getattr(arbiter.clients[_RECEIVE_RING], name))
        connect(m, receive.memory, arbiter.clients[_RECEIVE])
        m.submodules.eeprom_reader = eeprom_reader = engine(EepromReader())
        # Software waits until the EEPROM has given its values, and no access to memory is on its way any more.
        draining = Signal()
        with m.If(reset):
            m.d.sync += draining.eq(1)
        with m.Elif(arbiter.idle):
            m.d.sync += draining.eq(0)
        m.d.comb += [
            arbiter.flush.eq(reset),
            file.reset.eq(reset),
            file.hold.eq(draining | eeprom_reader.loading),
        ]

        self._control(m, file, reset)
        link = self._link(m, file, reset, line)
        self._line(m, line, mac_transmit, mac_receive, flow_control, transmit_watch)
        self._eeprom_access(m, file, eeprom_reader, receive)
        delayed = connect_moderation(m, file, transmit, transmit_delay, receive, receive_delay)
        self._interrupts(m, file, interrupts, transmit, receive, delayed)
        connect_ring(m, file, "td", transmit_ring, transmit)
        connect_ring(m, file, "rd", receive_ring, receive)
        connect_transmit(m, file, reset, transmit_ring, transmit, mac_transmit, flow_control)
        connect_receive(m, file, receive_ring, receive, mac_receive)
        connect_flow_control(m, file, flow_control, receive, mac_transmit, transmit_watch)
        connect_statistics(m, file, statistics, transmit, transmit_watch, receive)
        connect_diagnostics(m, file, transmit, receive)
        self._leds(m, file, mac_receive)
        self._wake(m, file, eeprom_reader, receive, mac_receive, reset, link)
        return m

    def _control(self, m: Module, file: RegisterFile, reset: Signal) -> None:
        """CTRL.RST and PBA (13.4.1, 13.4.16)."""
        left = Signal(range(_RESET_CYCLES + 1))
        with m.If(file.ctrl.value.rst):
            m.d.sync += [left.eq(_RESET_CYCLES), reset.eq(1)]
        with m.Elif(reset):
            m.d.sync += [left.eq(left - 1), reset.eq(left != 1)]

        # Takes effect at a reset, so it is no use if that clears it.
        receive_kib = Signal(BY_NAME["PBA"]["RXA"].width, init=BY_NAME["PBA"]["RXA"].reset)
        with m.If(file.pba.written):
            m.d.sync += receive_kib.eq(file.pba.write_data)
        m.d.comb += [
            file.pba.hardware.rxa.eq(receive_kib),
            file.pba.hardware.txa.eq(_BUFFER_KIB - receive_kib),
        ]

    def _link(self, m: Module, file: RegisterFile, reset: Signal, line: Reconciliation) -> Value:
        """Link, speed and loopback (8.6.2, 13.4.1, 13.4.2, 13.4.22); returns whether the PHY has a link. FRCSPD goes
        before ASDE, and that before what the PHY says. The MAC is always full duplex. What loops needs no partner.
        """
        link, speed, phy_loopback = self._management(m, file, reset)
        m.submodules.detection = detection = AutoSpeedDetection()
        ctrl, status = file.ctrl.value, file.status.hardware
        mac_loopback = file.rctl.value.lbm == _MAC_LOOPBACK
        up = Signal()
        m.d.sync += up.eq((link | mac_loopback) & ctrl.slu)
        with m.If(ctrl.frcspd):
            m.d.comb += line.speed.eq(Mux(ctrl.speed[1], Speed.GIGABIT, ctrl.speed))
        with m.Elif(ctrl.asde):
            m.d.comb += line.speed.eq(detection.speed)
        with m.Else():
            m.d.comb += line.speed.eq(speed)
        m.d.comb += [
            line.loopback.eq(mac_loopback | phy_loopback),
            status.fd.eq(1),
            status.lu.eq(up),
            status.speed.eq(line.speed),
            status.asdv.eq(detection.speed),
        ]
        return link

    def _line(
        self,
        m: Module,
        line: Reconciliation,
        transmit: MacTransmit,
        receive: MacReceive,
        flow_control: FlowControl,
        watch: TransmitWatch,
    ) -> None:
        """Both halves of the MAC to the pins (clauses 22 and 35)."""
        connect(m, line.gmii, flipped(self.gmii))
        for name in ("txd", "tx_en", "tx_er"):
            m.d.comb += [getattr(end, name).eq(getattr(transmit, name)) for end in (line, watch)]
        for name in ("rxd", "rx_dv", "rx_er", "half"):
            m.d.comb += getattr(receive, name).eq(getattr(line, name))
        for step in (transmit.step, watch.step, flow_control.tick):
            m.d.comb += step.eq(line.tx_step)
        m.d.comb += receive.step.eq(line.rx_step)

    def _management(self, m: Module, file: RegisterFile, reset: Signal) -> tuple[Value, Value, Value]:
        """MDIC and the PHY (13.4.7); returns whether that has a link, of what speed, and whether it is in loopback. The
        PHY outlives CTRL.RST.
        """
        m.submodules.link = FFSynchronizer(self.link, link := Signal())
        m.submodules.mdio = master = self._mdio
        connect(m, file.mdic, master.mdic)
        m.d.comb += [
            master.reset.eq(reset),
            *(getattr(self.mdio, name).eq(getattr(master.bus, name)) for name in ("mdc", "o", "oe")),
        ]
        phy = self._phy
        if phy is None:
            m.d.comb += master.bus.i.eq(self.mdio.i)
            m.submodules.speed = FFSynchronizer(self.speed, speed := Signal(Speed), init=Speed.GIGABIT)
            return link, speed, Const(0)
        m.submodules.phy = phy
        connect(m, master.bus, phy.bus)
        m.d.comb += [phy.reset.eq(file.ctrl.value.phy_rst), phy.cable.eq(link)]
        return phy.link, phy.speed, phy.loopback

    def _eeprom_access(self, m: Module, file: RegisterFile, reader: EepromReader, receive: ReceivePath) -> None:
        """EECD, EERD, the station's address, and what else the EEPROM gives (5.6, 13.4.3, 13.4.4, 13.5.2)."""
        m.submodules.eeprom = eeprom = self._eeprom
        connect(m, file.eerd, reader.eerd)
        connect(m, file.ral, reader.ral_access)
        connect(m, file.rah, reader.rah_access)
        connect(m, reader.ral, receive.ral)
        connect(m, reader.rah, receive.rah)
        m.d.comb += [
            *(getattr(eeprom, name).eq(file.eecd.value[name]) for name in ("cs", "sk", "di")),
            file.eecd.hardware.do.eq(eeprom.do),
            file.eecd.hardware.gnt.eq(file.eecd.value.req),
            file.eecd.hardware.pres.eq(1),
            eeprom.read.eq(reader.read),
            eeprom.address.eq(reader.address),
            reader.valid.eq(eeprom.valid),
            reader.data.eq(eeprom.data),
            reader.restart.eq(file.ctrl_ext.value.ee_rst),
            file.ctrl.load.eq(reader.load),
            *(
                file.ctrl.load_data[BY_NAME["CTRL"][name.upper()].lsb].eq(reader.defaults[name])
                for name in ("fd", "lrst", "frcspd", "asde")
            ),
        ]

    def _interrupts(
        self,
        m: Module,
        file: RegisterFile,
        interrupts: InterruptController,
        transmit: TransmitPath,
        receive: ReceivePath,
        delayed: dict[str, Value],
    ) -> None:
        """Causes (13.4.17); ``delayed`` has those that come by way of the delay timers."""
        for name in ("icr", "ics", "ims", "imc", "itr"):
            connect(m, getattr(file, name), getattr(interrupts, name))
        link_before = Signal()
        m.d.sync += link_before.eq(file.status.hardware.lu)
        causes = {
            "TXQE": transmit.empty,
            "LSC": file.status.hardware.lu != link_before,
            "RXDMT0": receive.minimum,
            "RXO": receive.missed,
            "MDAC": self._mdio.done,
            "TXD_LOW": transmit.low,
            **self._pins(m, file),
            **delayed,
        }
        m.d.comb += [
            *(interrupts.causes[BY_NAME["ICR"][name].lsb].eq(cause) for name, cause in causes.items()),
            self.interrupt.eq(interrupts.interrupt),
        ]

    def _pins(self, m: Module, file: RegisterFile) -> dict[str, Value]:
        """Software-definable pins (13.4.1, 13.4.6); returns the causes GPI0 to GPI3."""
        m.submodules.pins = pins = Pins()
        ctrl, ctrl_ext = file.ctrl, file.ctrl_ext
        low, high = BY_NAME["CTRL"]["SWDPIN"].lsb, BY_NAME["CTRL_EXT"]["SDP_DATA"].lsb
        half = len(pins.read_data) // 2
        m.d.comb += [
            pins.written.eq(Cat(ctrl.written, ctrl_ext.written)),
            pins.write_data.eq(Cat(ctrl.write_data[low : low + half], ctrl_ext.write_data[high : high + half])),
            pins.direction.eq(Cat(ctrl.value.swdpio, ctrl_ext.value.sdp_iodir)),
            pins.enable.eq(ctrl_ext.value.gpi_en),
            Cat(ctrl.hardware.swdpin, ctrl_ext.hardware.sdp_data).eq(pins.read_data),
        ]
        connect(m, pins.pins, flipped(self.sdp))
        return {f"GPI{number}": pins.rises[number] for number in range(len(pins.rises))}

    def _leds(self, m: Module, file: RegisterFile, mac: MacReceive) -> None:
        """LEDs (10.1)."""
        m.submodules.leds = leds = Leds()
        status = file.status.hardware
        m.d.comb += [
            leds.control.as_value().eq(file.ledctl.value),
            leds.state.link.eq(status.lu),
            leds.state.speed.eq(status.speed),
            leds.state.activity.eq(self.gmii.tx_en | mac.words.valid),
            leds.state.full_duplex.eq(status.fd),
            leds.state.paused.eq(status.txoff),
            self.leds.eq(leds.leds),
        ]

    def _wake(
        self,
        m: Module,
        file: RegisterFile,
        reader: EepromReader,
        receive: ReceivePath,
        mac: MacReceive,
        reset: Signal,
        link: Signal,
    ) -> None:
        """Wake on LAN (6.4 and 13.6), which CTRL.RST leaves alone."""
        m.submodules.wake = wake = WakeUp()
        for name in ("wuc", "wufc", "wus", "ipav", "wupl", "ip4at", "ip6at", "wupm", "fflt", "ffmt", "ffvt"):
            connect(m, getattr(file, name), getattr(wake, name))
        station = Signal(48, reset_less=True)
        for table, part in ((receive.ral, station[:32]), (receive.rah, station[32:])):
            with m.If(table.write & (table.address == 0)):
                m.d.sync += part.eq(table.write_data)
        m.d.comb += [
            wake.load.eq(reader.load),
            wake.apme.eq(reader.defaults.apme),
            wake.apmpme.eq(reader.defaults.apmpme),
            wake.reset.eq(reset),
            wake.station.eq(station),
            wake.vet.eq(file.vet.value.value),
            wake.word.eq(mac.words.payload),
            wake.taken.eq(receive.taken),
            receive.watched.eq(wake.ready),
            wake.judge.eq(receive.decided),
            wake.verdict.eq(receive.verdict),
            wake.length.eq(receive.frame_length),
            wake.link.eq(link),
            self.pme.eq(wake.pme),
        ]
