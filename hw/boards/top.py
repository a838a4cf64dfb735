"""The top of every board: PLL, resets, NIC, serial bridge, PHY and LEDs.

Domains: ``bridge``, what outlives a link; ``sync``, the NIC, on the same clock, reset when a link is set up;
``gmii_rx``, the PHY's RX_CLK.
"""

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, Mux, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import AsyncFFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect

from hw.boards.board import Board, LedPorts
from hw.boards.ecp5 import Pll, RgmiiPins
from hw.boards.parameters import BoardParameters
from hw.boards.phy_monitor import PhyMonitor
from hw.bridge.bridge import SerialBridge
from hw.bridge.uart import BaudRate
from hw.nic import Nic

__all__ = ["BoardTop", "Stretch"]

CLOCK_HZ = 125e6


class Stretch(wiring.Component):
    """Makes an event long enough to be seen.

    Parameters
    ----------
    cycles : int

    Members
    -------
    i : ``In(1)``, o : ``Out(1)``
        ``o`` follows ``i``, and stays for so many cycles after.
    """

    i: In(1)
    o: Out(1)

    def __init__(self, *, cycles: int = 6_250_000) -> None:
        if cycles < 1:
            raise ValueError(f"cycles is positive, not {cycles!r}")
        self._cycles = cycles
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(range(self._cycles + 1))
        m.d.sync += [self.o.eq(left != 0), left.eq(Mux(self.i, self._cycles, Mux(left == 0, 0, left - 1)))]
        return m


class BoardTop(wiring.Component):
    """Has no members: it requests its pins from the platform that it is elaborated for.

    Parameters
    ----------
    board : Board
    parameters : BoardParameters
    """

    def __init__(self, *, board: Board, parameters: BoardParameters) -> None:
        if not isinstance(board, Board):
            raise ValueError(f"board must be a Board, not {board!r}")
        if not isinstance(parameters, BoardParameters):
            raise ValueError(f"parameters must be BoardParameters, not {parameters!r}")
        self._board = board
        self._parameters = parameters
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board, parameters = self._board, self._parameters
        ports = board.ports(platform)
        in_bridge = DomainRenamer({"sync": "bridge"})
        m.submodules.rgmii = rgmii = RgmiiPins(ports=ports.rgmii)
        m.submodules.nic = nic = Nic(mac_address=parameters.mac_address, builtin_phy=False)
        m.submodules.bridge = bridge = in_bridge(
            SerialBridge(
                rate=BaudRate(baud=parameters.baud, clock=CLOCK_HZ),
                build_id=parameters.build_id,
                memory_kib=board.memory_kib,
                t1_cycles=parameters.t1_cycles,
            )
        )
        m.submodules.monitor = monitor = in_bridge(
            PhyMonitor(
                address=board.phy_address,
                reset_cycles=parameters.phy_reset_cycles,
                interval_cycles=parameters.phy_interval_cycles,
            )
        )
        self._clocks(m, ports.clock, ports.button, rgmii.rxc, bridge.reset)
        connect(m, nic.gmii, rgmii.gmii)
        connect(m, nic.memory, bridge.memory)
        connect(m, nic.registers, bridge.registers)
        connect(m, nic.mdio, monitor.software)
        m.d.comb += [
            nic.link.eq(monitor.link),
            nic.speed.eq(monitor.speed),
            monitor.reset.eq(nic.phy_reset),
            bridge.interrupt.eq(nic.interrupt),
        ]

        m.submodules.uart_rx = uart_rx = io.Buffer("i", ports.uart_rx)
        m.submodules.uart_tx = uart_tx = io.Buffer("o", ports.uart_tx)
        m.submodules.mdc = mdc = io.Buffer("o", ports.mdc)
        m.submodules.mdio = mdio = io.Buffer("io", ports.mdio)
        m.submodules.phy_reset = phy_reset = io.Buffer("o", ports.phy_reset)
        m.d.comb += [
            bridge.rx.eq(uart_rx.i),
            uart_tx.o.eq(bridge.tx),
            mdc.o.eq(monitor.bus.mdc),
            mdio.o.eq(monitor.bus.o),
            mdio.oe.eq(monitor.bus.oe),
            monitor.bus.i.eq(mdio.i),
            phy_reset.o.eq(monitor.phy_reset),
        ]
        self._leds(m, ports.leds, nic, bridge)
        return m

    def _clocks(self, m: Module, clock: io.PortLike, button: io.PortLike, rxc: Signal, link_reset: Signal) -> None:
        m.submodules.clock = clock_buffer = io.Buffer("i", clock)
        m.submodules.button = button_buffer = io.Buffer("i", button)
        m.submodules.pll = pll = Pll(input_hz=self._board.clock_hz, output_hz=CLOCK_HZ)
        m.domains.bridge = ClockDomain()
        m.domains.sync = ClockDomain()
        m.domains.gmii_rx = ClockDomain()
        # A register drives the NIC's reset, which goes everywhere.
        nic_reset = Signal(init=1)
        m.d.bridge += nic_reset.eq(link_reset)
        m.d.comb += [
            pll.clki.eq(clock_buffer.i),
            ClockSignal("bridge").eq(pll.clko),
            ClockSignal("sync").eq(pll.clko),
            ClockSignal("gmii_rx").eq(rxc),
            ResetSignal("sync").eq(nic_reset),
        ]
        m.submodules.bridge_reset = ResetSynchronizer(~pll.locked | button_buffer.i, domain="bridge")
        m.submodules.gmii_rx_reset = AsyncFFSynchronizer(nic_reset, ResetSignal("gmii_rx"), o_domain="gmii_rx")

    def _leds(self, m: Module, ports: LedPorts, nic: Nic, bridge: SerialBridge) -> None:
        """LED0 and LED1 of the NIC as LEDCTL has them after reset: link, and activity."""
        in_bridge = DomainRenamer({"sync": "bridge"})
        m.submodules.interrupt_seen = interrupt = in_bridge(Stretch())
        m.submodules.error_seen = error = in_bridge(Stretch())
        m.d.comb += [interrupt.i.eq(nic.interrupt), error.i.eq(bridge.damaged)]
        for name, level in (
            ("link", nic.leds[0]),
            ("activity", nic.leds[1]),
            ("interrupt", interrupt.o),
            ("connected", bridge.connected),
            ("error", error.o),
        ):
            m.submodules[f"led_{name}"] = led = io.Buffer("o", getattr(ports, name))
            m.d.comb += led.o.eq(level)
