"""The whole NIC under cocotb: software at its registers, host memory, and the far end of the GMII."""

from collections.abc import Callable, Mapping
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, Lock, RisingEdge, Timer
from cocotb.utils import get_sim_time
from cocotbext.eth import GmiiFrame, GmiiSink, GmiiSource

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE, TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.io_window import IoRequest
from hw.mac.fcs import append_fcs
from hw.mac.speed import Speed
from hw.mdio import CYCLES_PER_MDC, READ, WRITE
from hw.phy import PHY_ADDRESS
from hw.registers import BY_NAME
from tests.hw.memory import HostMemory
from tests.hw.register_port import Registers
from tests.hw.simulate import CLOCK_PERIOD_NS

__all__ = [
    "OWN",
    "PREAMBLE_AND_SFD",
    "RECEIVE_CLOCK_PS",
    "RECEIVE_RING",
    "RING",
    "TRANSMIT_RING",
    "NicBench",
]

OWN = bytes.fromhex("020000000001")
"""What ``Nic`` has as its station address unless told."""

RING = 256
"""Descriptors of each ring."""

TRANSMIT_RING = 0x1_0000
RECEIVE_RING = 0x2_0000
_RECEIVE_BUFFERS = 0x100_0000
_RECEIVE_BUFFER_STRIDE = 0x4000
_TRANSMIT_DATA = 0x200_0000

PREAMBLE_AND_SFD = bytes.fromhex("55555555555555d5")

_COMMAND_CYCLES = 64 * CYCLES_PER_MDC + 10
"""A management frame of 64 bits, and the way of a register's write to its begin and of its end to READY."""

RECEIVE_CLOCK_PS = {Speed.MEGABIT_10: 400_000, Speed.MEGABIT_100: 40_000, Speed.GIGABIT: 8_000}
"""RX_CLK's period (IEEE 802.3 clauses 22.2.2.2 and 35.2.2.2)."""


class _MiiSelect:
    """What cocotbext-eth's ends ask whether the pins carry nibbles."""

    def __init__(self, dut: Any) -> None:
        self._speed = dut.gmii__tx_speed

    @property
    def value(self) -> int:
        return int(int(self._speed.value) != Speed.GIGABIT)


class NicBench:
    """The bench around one ``Nic``: ``await start()`` once, then ``await open()`` for rings and MAC.

    Cycles are those of ``sync``: ``cycle()`` is the one that begins now, and what a register of the NIC is seen to
    change to "in cycle n" changed at the rising edge that begins n.

    ``latency`` gives the cycles that host memory takes to answer a read. ``memory`` and ``registers`` replace what is
    at the NIC's own ports.
    """

    def __init__(
        self, dut: Any, *, latency: Callable[[], int] = lambda: 20, memory: Any = None, registers: Any = None
    ) -> None:
        self.dut = dut
        self.memory = memory or HostMemory(dut, "memory", latency)
        nibbles = _MiiSelect(dut)
        self.source = GmiiSource(dut.gmii__rxd, dut.gmii__rx_er, dut.gmii__rx_dv, dut.gmii_rx_clk, mii_select=nibbles)
        self.sink = GmiiSink(
            dut.gmii__txd, dut.gmii__tx_er, dut.gmii__tx_en, dut.clk, enable=dut.gmii__tx_strobe, mii_select=nibbles
        )
        for end in (self.source, self.sink):
            end.log.setLevel("WARNING")
        self.rises: list[int] = []
        """Cycles in which the interrupt pin was first high."""
        self.falls: list[int] = []
        """Cycles in which it was first low again."""
        self.receive_tail = 0
        """Receive descriptors given so far, modulo the ring."""
        self.receive_next = 0
        """The receive descriptor that ``received`` looks at next."""
        self.transmit_tail = 0
        self._transmit_free = _TRANSMIT_DATA
        self._registers = registers or Registers(dut, port="registers")
        self._io = None if registers else Registers(dut, port="io", layout=IoRequest)
        self._access = Lock()
        self._receive_clock: Clock | None = None

    async def start(self, *, link: bool = True, receive_clock_ps: int = 1000 * CLOCK_PERIOD_NS) -> None:
        """Start clocks, reset and memory."""
        dut = self.dut
        dut.link.value = link
        dut.sdp__i.value = 0
        dut.rst.value = dut.gmii_rx_rst.value = 1
        Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
        self.clock_receiver(receive_clock_ps)
        cocotb.start_soon(self.memory.run())
        await ClockCycles(dut.clk, 4)
        dut.rst.value = dut.gmii_rx_rst.value = 0
        await ClockCycles(dut.clk, 4)
        cocotb.start_soon(self._watch_pin())

    async def restart(self) -> None:
        """As after ``start()``: for another try in the same simulation, whatever became of the last one."""
        dut = self.dut
        self.source.clear()
        await self.source.wait()
        dut.rst.value = dut.gmii_rx_rst.value = 1
        self._registers.forget()
        self._access = Lock()
        await ClockCycles(dut.clk, 4)
        self.memory.forget()
        dut.rst.value = dut.gmii_rx_rst.value = 0
        await ClockCycles(dut.clk, 4)
        self.sink.clear()

    def clock_receiver(self, period_ps: int) -> None:
        """RX_CLK with this period from now on."""
        if self._receive_clock is not None:
            self._receive_clock.stop()
        self._receive_clock = Clock(self.dut.gmii_rx_clk, period_ps, "ps", period_high=period_ps // 2)
        self._receive_clock.start()

    async def _watch_pin(self) -> None:
        while True:
            await RisingEdge(self.dut.interrupt)
            self.rises.append(self.cycle())
            await FallingEdge(self.dut.interrupt)
            self.falls.append(self.cycle())

    def cycle(self) -> int:
        """Number of the present cycle."""
        return int(get_sim_time("ns")) // CLOCK_PERIOD_NS

    # Registers

    async def write(self, name: str, value: int, *, index: int = 0) -> None:
        """Write a register by name (element ``index`` of an array). Returns when the NIC has taken the request, two
        cycles before it performs it."""
        async with self._access:
            await self._registers.write(_offset(name, index), value)

    async def read(self, name: str, *, index: int = 0) -> int:
        """Read a register by name. Returns in the cycle after that in which the response is taken."""
        async with self._access:
            return await self._registers.read(_offset(name, index))

    async def io_write(self, offset: int, value: int, *, strobe: int = 0b1111) -> None:
        """Write a word of the I/O window, or some of its bytes."""
        await self._io.request(address=offset, write=1, data=value, strobe=strobe)
        await self.wait(8)  # a second request would be taken before this one is performed

    async def io_read(self, offset: int) -> int:
        """Read a word of the I/O window."""
        return await self._io.read(offset)

    async def write_fields(self, name: str, **fields: int) -> None:
        """Write a register: these fields, all others 0."""
        await self.write(name, BY_NAME[name].value(**fields))

    async def write_phy(self, number: int, value: int) -> None:
        """Write a register of the PHY, and wait until that is done."""
        await self._manage(OP=WRITE, REG=number, DATA=value)

    async def read_phy(self, number: int) -> int:
        """Read a register of the PHY."""
        return BY_NAME["MDIC"]["DATA"].get(await self._manage(OP=READ, REG=number))

    async def _manage(self, **fields: int) -> int:
        await self.write_fields("MDIC", PHY=PHY_ADDRESS, **fields)
        await self.wait(_COMMAND_CYCLES)
        value = await self.read("MDIC")
        assert value & BY_NAME["MDIC"].mask("READY")
        return value

    # Rings

    async def open(
        self,
        *,
        buffers: int = 64,
        rctl: Mapping[str, int] | None = None,
        tctl: Mapping[str, int] | None = None,
    ) -> None:
        """Link up, both rings, ``buffers`` receive descriptors, receiver and transmitter on.

        Both are off meanwhile: a ring may not be changed under an engine that uses it (manual 13.4.28, 13.4.39).
        ``rctl`` and ``tctl`` give fields besides EN (and PSP of TCTL).
        """
        for name in ("RCTL", "TCTL"):
            await self.write(name, 0)
        await self.write_fields("CTRL", SLU=1, FD=1, SPEED=2)
        for prefix, base in (("TD", TRANSMIT_RING), ("RD", RECEIVE_RING)):
            await self.write(f"{prefix}BAL", base)
            await self.write(f"{prefix}BAH", 0)
            await self.write(f"{prefix}LEN", RING * DESCRIPTOR_BYTES)
            await self.write(f"{prefix}H", 0)
            await self.write(f"{prefix}T", 0)
        self.receive_tail = self.receive_next = self.transmit_tail = 0
        await self.write_fields("RCTL", **{"EN": 1, **(rctl or {})})
        await self.write_fields("TCTL", **{"EN": 1, "PSP": 1, **(tctl or {})})
        if buffers:
            await self.give(buffers)

    async def give(self, count: int) -> None:
        """Give receive descriptors, each with a buffer of 16 KiB, and write RDT."""
        for _ in range(count):
            address = _RECEIVE_BUFFERS + _RECEIVE_BUFFER_STRIDE * self.receive_tail
            place = RECEIVE_RING + DESCRIPTOR_BYTES * self.receive_tail
            self.memory.load(place, RECEIVE.pack(address=address))
            self.receive_tail = (self.receive_tail + 1) % RING
        await self.write("RDT", self.receive_tail)

    def received(self) -> list[tuple[dict[str, int], bytes]]:
        """The descriptors done since the last call, as fields and the bytes of their buffers."""
        done = []
        while self.receive_next != self.receive_tail:
            place = RECEIVE_RING + DESCRIPTOR_BYTES * self.receive_next
            fields = RECEIVE.unpack(self.octets(place, DESCRIPTOR_BYTES))
            if not fields["dd"]:
                break
            done.append((fields, self.octets(fields["address"], fields["length"])))
            self.receive_next = (self.receive_next + 1) % RING
        return done

    def load(self, data: bytes, *, lane: int = 0) -> int:
        """Put bytes for the transmitter into memory, ``lane`` (0..7) past a multiple of 8; their address."""
        address = self._transmit_free + lane
        padded = bytes(lane) + data
        padded += bytes(-len(padded) % 8)
        self.memory.load(self._transmit_free, padded)
        self._transmit_free += len(padded)
        return address

    def legacy(self, data: bytes, **fields: int) -> bytes:
        """A legacy descriptor for ``data``; EOP, IFCS and RS are set unless told."""
        return TRANSMIT_LEGACY.pack(
            **{"address": self.load(data), "length": len(data), "eop": 1, "ifcs": 1, "rs": 1, **fields}
        )

    def data(self, data: bytes, **fields: int) -> bytes:
        """A data descriptor for ``data``; EOP, IFCS and RS are set unless told."""
        return TRANSMIT_DATA.pack(
            **{
                "address": self.load(data),
                "dtalen": len(data),
                "dtyp": 1,
                "dext": 1,
                "eop": 1,
                "ifcs": 1,
                "rs": 1,
                **fields,
            }
        )

    def context(self, **fields: int) -> bytes:
        """A context descriptor."""
        return TRANSMIT_CONTEXT.pack(dext=1, **fields)

    async def transmit(self, *descriptors: bytes) -> None:
        """Put descriptors into the ring and write TDT."""
        for raw in descriptors:
            self.memory.load(TRANSMIT_RING + DESCRIPTOR_BYTES * self.transmit_tail, raw)
            self.transmit_tail = (self.transmit_tail + 1) % RING
        await self.write("TDT", self.transmit_tail)

    def octets(self, address: int, length: int) -> bytes:
        """Bytes of host memory."""
        first = address & ~7
        words = b"".join(self.memory.word(place).to_bytes(8, "little") for place in range(first, address + length, 8))
        return words[address - first : address - first + length]

    # Wire

    def put(self, whole: bytes, *, error_at: int | None = None, preamble: bytes = PREAMBLE_AND_SFD) -> GmiiFrame:
        """Queue a frame that has its FCS (or a wrong one) for the NIC to receive. ``error_at``: the byte, counted from
        the destination address (the preamble's last is -1), with RX_ER. ``sim_time_end`` of the result tells later when
        its last byte began."""
        errors = [0] * (len(preamble) + len(whole))
        if error_at is not None:
            errors[len(preamble) + error_at] = 1
        frame = GmiiFrame(preamble + whole, errors)
        self.source.send_nowait(frame)
        return frame

    def send(self, frame: bytes) -> GmiiFrame:
        """Queue a frame without FCS; it is padded to 60 bytes and gets its FCS."""
        return self.put(append_fcs(frame.ljust(60, b"\0")))

    def sent(self) -> list[bytes]:
        """Frames that the NIC has sent since the last call, with FCS."""
        frames = []
        while not self.sink.empty():
            frames.append(bytes(self.sink.recv_nowait().get_payload(strip_fcs=False)))
        return frames

    # Time

    async def wait(self, cycles: int) -> None:
        """Let this many cycles pass, until the rising edge at their end."""
        if cycles > 1:  # Python need not look at each
            await Timer((cycles - 1) * CLOCK_PERIOD_NS + 1, "ns")
        if cycles:
            await RisingEdge(self.dut.clk)

    async def settle(self, cycles: int = 1000) -> None:
        """Wait until the wire to the NIC is idle, and for ``cycles`` nothing has been written to memory or sent."""
        await self.source.wait()
        while True:
            before = len(self.memory.writes), self.sink.count()
            await self.wait(cycles)
            if before == (len(self.memory.writes), self.sink.count()) and not int(self.dut.gmii__tx_en.value):
                return


def _offset(name: str, index: int) -> int:
    register = BY_NAME[name]
    if not 0 <= index < register.count:
        raise ValueError(f"{name} has no element {index}")
    return register.offset + index * register.stride
