"""A board's generated top at its pins, in Verilator: the bench around it, the PHY, and the stations on the wire.

The PHY's RGMII is cocotbext-eth's. Its clock comes from the bench in HDL, for Python at every edge would be slow.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cocotb
from amaranth.lib import io
from cocotb.triggers import FallingEdge, RisingEdge
from cocotb_tools.check_results import get_results
from cocotbext.eth import GmiiFrame, RgmiiPhy

from hw.boards.all import BOARDS
from hw.boards.parameters import BoardParameters
from sim.board.elaborate import elaborate
from sim.rtl import build
from sim.rtl.verilator import FastVerilator
from sim.wire import Direction
from tests.hw.cocotb_engine import CocotbEngine

__all__ = ["MdioPhy", "RgmiiPort", "simulate_board"]

HERE = Path(__file__).parent
_FLAGS = ["-O3", "--timing", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "-Wno-fatal", "-Wno-lint"]


def _name(port: io.PortLike) -> str:
    return str((port.p if isinstance(port, io.DifferentialPort) else port.io).name)


def bench_verilog(board: Any) -> str:
    """The bench around ``top``. PHY_CLK is the PHY's own clock, at whose edges it changes RXD; RXC is delayed."""
    ports = board.ports(board.platform())
    rgmii, leds = ports.rgmii, ports.leds
    names = {
        "clock": ports.clock,
        "button": ports.button,
        "uart_rx": ports.uart_rx,
        "uart_tx": ports.uart_tx,
        "mdc": ports.mdc,
        "mdio": ports.mdio,
        "phy_reset_pin": ports.phy_reset,
        "txc": rgmii.txc,
        "tx_ctl": rgmii.tx_ctl,
        "td": rgmii.td,
        "rxc": rgmii.rxc,
        "rx_ctl": rgmii.rx_ctl,
        "rd": rgmii.rd,
        "led_link": leds.link,
        "led_activity": leds.activity,
        "led_interrupt": leds.interrupt,
        "led_connected": leds.connected,
        "led_error": leds.error,
    }
    connections = ", ".join(f".{_name(port)}({name})" for name, port in names.items())
    half = round(0.5e12 / board.clock_hz)
    return f"""`timescale 1ps/1ps
module bench(
  input uart_rx, output uart_tx, output txc, output tx_ctl, output [3:0] td,
  input rx_ctl, input [3:0] rd, output mdc, input mdio_phy, input mdio_phy_drives, output mdio_line,
  input button, output phy_reset_pin,
  output led_link, output led_activity, output led_interrupt, output led_connected, output led_error);
  reg clock = 0, phy_clk = 0, rxc = 0;
  reg [31:0] half = 4000, delay = 1200;
  wire mdio;
  assign mdio = mdio_phy_drives ? mdio_phy : 1'bz;
  pullup(mdio);
  assign mdio_line = mdio;
  always #{half} clock = !clock;
  always begin
    phy_clk = 0;
    #(delay) rxc = 1;
    #(half - delay) phy_clk = 1;
    #(delay) rxc = 0;
    #(half - delay);
  end
  top top({connections});
endmodule
"""


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def simulate_board(board: str, parameters: BoardParameters, *, name: str, test_module: str, testcase: str) -> None:
    """Build the top of a board in its bench, under ``build/tests/<name>``, and run a cocotb test on it.

    Raises ``AssertionError`` if it failed.
    """
    folder = build.BUILD / "tests" / name
    elaborate(board, parameters, folder / "top")
    sources = [HERE / "ecp5_cells.v", folder / "top" / "top.v"]
    control = 'public_flat_rw -module "bench" -var "*"\n'
    text = bench_verilog(BOARDS[board])
    digest = build.digest([path.read_text() for path in sources], text, control, _FLAGS, version("verilator"))
    runner = FastVerilator()
    runner.build_dir = folder / "simulator"
    results = folder / f"{testcase}.xml"
    with _locked(folder):
        with build.step(folder / "simulator", digest) as needed:
            if needed:
                (folder / "bench.sv").write_text(text)
                (folder / "bench.vlt").write_text("`verilator_config\n" + control)
                log = folder / "build.log"
                try:
                    runner.build(
                        sources=[folder / "bench.vlt", folder / "bench.sv", *sources],
                        hdl_toplevel="bench",
                        build_dir=folder / "simulator",
                        build_args=_FLAGS,
                        timescale=("1ps", "1ps"),
                        log_file=log,
                    )
                except RuntimeError:
                    print(log.read_text())
                    raise
        try:
            runner.test(
                hdl_toplevel="bench",
                hdl_toplevel_lang="verilog",
                test_module=test_module,
                testcase=testcase,
                build_dir=folder / "simulator",
                results_xml=str(results),
                seed=1,
                extra_env={"COCOTB_ANSI_OUTPUT": "0"},
            )
        except SystemExit as end:  # how the runner tells of failures under pytest
            print(f"the simulation ended with exit code {end.code}")
        ran, failed = get_results(results)
    assert ran, f"{test_module} has no cocotb test {testcase}"
    assert not failed, f"cocotb test {testcase} of {test_module} failed"


class _ClockedPhy(RgmiiPhy):
    """Its clock is made by the bench."""

    async def _run_clock(self, period: float) -> None:
        pass


class RgmiiPort:
    """Joins the board's RGMII to a link: frames cross whole, in both directions."""

    def __init__(self, engine: CocotbEngine, dut: Any, *, outgoing: Direction, incoming: Direction) -> None:
        self.malformed = 0
        """Frames from the board that 802.3 would not have: no preamble, or TX_ER."""
        self._engine = engine
        self._outgoing = outgoing
        self.phy = _ClockedPhy(dut.td, dut.tx_ctl, dut.txc, dut.rd, dut.rx_ctl, dut.phy_clk)
        for side in (self.phy.tx, self.phy.rx):
            side.log.setLevel("WARNING")
        incoming.whole = False
        incoming.deliver = self._deliver
        cocotb.start_soon(self._run())

    def _deliver(self, start: int, frame: bytes) -> None:
        self.phy.rx.send_nowait(GmiiFrame.from_raw_payload(frame))

    async def _run(self) -> None:
        while True:
            frame = await self.phy.tx.recv()
            start = int(frame.sim_time_start // 1000)
            preamble, octets = bytes(frame.data[:8]), bytes(frame.data[8:])
            if (frame.error is not None and any(frame.error)) or preamble != b"\x55" * 7 + b"\xd5":
                self.malformed += 1
            else:
                self._engine.post(lambda start=start, octets=octets: self._outgoing.carry(start, octets))


class MdioPhy:
    """A PHY's registers on MDIO (IEEE 802.3 clause 22.2.4); start ``run()``. ``faults`` counts broken rules."""

    def __init__(self, dut: Any, *, address: int, registers: dict[int, int]) -> None:
        self.registers = registers
        self.reads: list[int] = []
        self.writes: list[tuple[int, int]] = []
        self.faults = 0
        self._dut = dut
        self._address = address
        dut.mdio_phy_drives.value = 0
        dut.mdio_phy.value = 1

    async def run(self) -> None:
        ones = 0
        while True:
            bit = await self._bit()
            if bit:
                ones += 1
            else:
                self.faults += ones < 32
                ones = 0
                await self._frame()

    async def _bit(self) -> int:
        await RisingEdge(self._dut.mdc)
        return int(self._dut.mdio_line.value)

    async def _bits(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | await self._bit()
        return value

    async def _frame(self) -> None:
        """Behind the start's first bit."""
        start = await self._bit()
        operation, address, number = await self._bits(2), await self._bits(5), await self._bits(5)
        self.faults += start != 1
        if operation == 0b10 and address == self._address:
            self.reads.append(number)
            await self._bits(1)
            for bit in f"0{self.registers.get(number, 0):016b}":
                await FallingEdge(self._dut.mdc)
                self._dut.mdio_phy.value = int(bit)
                self._dut.mdio_phy_drives.value = 1
                await RisingEdge(self._dut.mdc)
            await FallingEdge(self._dut.mdc)
            self._dut.mdio_phy_drives.value = 0
            return
        turnaround, data = await self._bits(2), await self._bits(16)
        if operation == 0b01 and address == self._address:
            self.faults += turnaround != 0b10
            self.registers[number] = data
            self.writes.append((number, data))
