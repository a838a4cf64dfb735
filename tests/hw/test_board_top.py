"""The boards' tops at their real pins: the Python driver brings the NIC up over the UART, finds the link over MDIO,
answers ARP and ping, and, on the ECPIX-5, sends a file through RGMII with TSO. The far end of the RGMII is
cocotbext-eth's PHY.
"""

import random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import Timer

from driver.e1000 import E1000, E1000Parameters, probe
from hw.boards.parameters import BoardParameters
from sim.board.bus import SerialBus
from sim.board.link import LinkParameters
from sim.host import IDEAL, HostCpu
from sim.wire import Link
from sim.wire_device import WireDevice
from stack.host import NetworkStack
from stack.napi import SoftIrq
from stack.socket import AF_INET, SOCK_STREAM
from stack.tcp.parameters import TcpParameters
from tests.hw.board_bench import MdioPhy, RgmiiPort, simulate_board
from tests.hw.cocotb_engine import CocotbEngine
from tests.hw.serial_line import SerialLine

FAST = BoardParameters(
    build_id=bytes.fromhex("0123456789abcdef"),
    baud=12_500_000,
    phy_reset_cycles=1000,
    phy_interval_cycles=125_000,
    t1_cycles=125_000,
)
"""12.5 Mbaud, a PHY that is quick out of reset, and is looked at every millisecond."""

LINK = LinkParameters(baud=12_500_000, t1=2_000_000, connect_t1=500_000)
BOARD, PEER = "192.0.2.1", "192.0.2.2"
PEER_MAC = bytes.fromhex("020000000002")
TCP = TcpParameters(minimum_rto=60_000_000, initial_rto=60_000_000, delayed_ack=1_000_000, time_wait=1_000_000)
PHY_REGISTERS = {0: 0x1140, 1: 0x796D, 4: 0x0DE1, 5: 0xC1E1, 9: 0x0200, 10: 0x3C00}
"""Negotiated, 1 Gb/s, link up."""


_LIMIT = 200_000_000


class Bench:
    """The board, the host on its UART and the station on its wire."""

    def __init__(self, dut: Any, *, baud: int, clock_delay: int = 1200) -> None:
        """``clock_delay`` is how many ps RXC is late at the input registers: in the PHY, and in the FPGA."""
        self.dut = dut
        self.engine = engine = CocotbEngine(seed=1)
        dut.delay.value = clock_delay
        dut.button.value = 1  # the pin is low when it is pressed
        dut.uart_rx.value = 1
        self.mdio = MdioPhy(dut, address=0, registers=dict(PHY_REGISTERS))
        cocotb.start_soon(self.mdio.run())
        self.wire = Link(engine)
        self.port = RgmiiPort(engine, dut, outgoing=self.wire.a_to_b, incoming=self.wire.b_to_a)
        self.line = SerialLine(engine, dut.uart_rx, dut.uart_tx, baud=baud)
        self.cpu = HostCpu(engine, IDEAL)
        self.bus = SerialBus(engine, self.cpu, self.line.write, parameters=LINK)
        self.line.receive = self.bus.receive
        self.peer = WireDevice(
            engine, HostCpu(engine, IDEAL), outgoing=self.wire.b_to_a, incoming=self.wire.a_to_b, address=PEER_MAC
        )
        self.peer_stack = NetworkStack(engine, HostCpu(engine, IDEAL), tcp=TCP)
        self.peer_stack.add_interface(self.peer, PEER, 24)

    async def bring_up(self, *, rx_buffer_size: int) -> tuple[E1000, NetworkStack]:
        """Link, driver, stack, and carrier."""
        self.engine.call_at(_LIMIT, lambda: self.engine.fail(AssertionError("no end in time")))
        await self.bus.connect()
        parameters = E1000Parameters(
            interrupt_throttle_rate=0,
            tx_descriptors=80,
            rx_descriptors=80,
            rx_buffer_size=rx_buffer_size,
            dma_drain=10_000,
            reset_recovery=100_000,
        )
        device = await probe(self.bus, self.cpu, SoftIrq(self.engine, self.cpu), parameters=parameters)
        stack = NetworkStack(self.engine, self.cpu, tcp=TCP)
        stack.add_interface(device, BOARD, 24)
        await self.peer.open()
        await device.open()
        while not device.carrier:
            await self.engine.sleep(200_000)
        return device, stack

    async def send_file(self, stack: NetworkStack, content: bytes) -> bytes:
        """TCP from the board's host to the peer; returns what arrived."""
        received = bytearray()

        async def serve() -> None:
            listener = self.peer_stack.socket(AF_INET, SOCK_STREAM)
            await listener.bind((PEER, 5001))
            await listener.listen(1)
            connection, _ = await listener.accept()
            while piece := await connection.recv(65536):
                received.extend(piece)
            await connection.close()
            await listener.close()

        server = self.engine.spawn(serve(), name="peer's program")
        client = stack.socket(AF_INET, SOCK_STREAM)
        await client.connect((PEER, 5001))
        await client.sendall(content)
        await client.close()
        await server
        return bytes(received)


@cocotb.test()
async def file_with_tso(dut: Any) -> None:
    """Link up, ARP and ping from the wire, a file of 20 kB with TSO, and down again without a byte kept."""
    bench = Bench(dut, baud=12_500_000)
    await Timer(2, "us")
    content = random.Random(1).randbytes(20_000)

    async def run() -> None:
        device, stack = await bench.bring_up(rx_buffer_size=512)
        assert device.link_speed == 1000
        print(f"carrier after {bench.engine.now / 1e6:.2f} ms, {bench.line.octets} octets on the serial line")
        times = await bench.peer_stack.ping(BOARD, count=2, size=200, timeout=50_000_000)
        assert len(times) == 2
        print(f"ping: {times} ns")
        assert await bench.send_file(stack, content) == content
        print(f"file sent after {bench.engine.now / 1e6:.2f} ms, {bench.line.octets} octets on the serial line")
        counters = device.counters
        assert counters.tso_packets > 0
        assert counters.tso_segments >= 10
        assert counters.interrupts > 0
        retransmitted = stack.counters.mib["Tcp.RetransSegs"]
        print(
            f"{counters.tso_segments} segments by TSO, {counters.interrupts} interrupts, {retransmitted} retransmitted"
        )
        stack.close()
        bench.peer_stack.close()
        await device.stop()
        assert bench.bus.memory.allocated() == 0

    await bench.engine.run(run())
    assert bench.port.malformed == 0
    assert bench.peer.stats.rx_errors == 0
    assert not bench.bus.outside
    assert bench.mdio.faults == 0
    assert set(bench.mdio.reads) == {0, 1, 4, 5, 9, 10}
    assert bench.bus.link.counters.frames_resent == 0


@cocotb.test()
async def link_and_ping(dut: Any) -> None:
    """Link up, ARP and a ping from the wire. The Versa delays the data by 2 ns, for a clock that is later than that:
    the 88E1512 makes 2 ns, and the clock's way in the FPGA, which the models do not have, some more."""
    bench = Bench(dut, baud=12_500_000, clock_delay=3000)
    await Timer(2, "us")

    async def run() -> None:
        device, stack = await bench.bring_up(rx_buffer_size=256)
        assert device.link_speed == 1000
        assert len(await bench.peer_stack.ping(BOARD, size=200, timeout=50_000_000)) == 1
        stack.close()
        bench.peer_stack.close()
        await device.stop()
        assert bench.bus.memory.allocated() == 0

    await bench.engine.run(run())
    assert bench.port.malformed == 0
    assert bench.peer.stats.rx_errors == 0
    assert not bench.bus.outside
    assert bench.mdio.faults == 0


@pytest.mark.slow
@pytest.mark.parametrize(("board", "testcase"), [("ecpix5", "file_with_tso"), ("versa_ecp5", "link_and_ping")])
def test_board(board: str, testcase: str) -> None:
    simulate_board(board, FAST, name=f"board_{board}", test_module=__name__, testcase=testcase)
