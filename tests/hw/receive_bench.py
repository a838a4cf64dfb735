"""The receive path behind its MAC, with a ring, host memory and a model made of the golden functions."""

import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cocotb
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.eth import GmiiFrame, GmiiSource

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE
from hw.dma import DmaArbiter
from hw.interfaces import Descriptor, MemoryPort
from hw.mac.fcs import append_fcs
from hw.mac.receive import MacReceive
from hw.receive.dma import buffer_bytes, store
from hw.receive.filter import FilterSettings
from hw.receive.layouts import ChecksumControl, Drops, ReceiveControl, TypeControl
from hw.receive.path import ReceivePath
from hw.register_file import ArraySignature
from hw.registers import BY_NAME
from tests.hw.memory import HostMemory, fields
from tests.hw.receive_model import outcome
from tests.hw.simulate import CLOCK_PERIOD_NS
from tests.hw.streams import pack

__all__ = ["BASE", "OWN", "Bench", "MacAndPath", "Model", "join_bursts", "sort_writes"]

OWN = bytes.fromhex("020000000001")
BASE = 0x1_2345_6000
RING = 64


class MacAndPath(wiring.Component):
    """``MacReceive`` and ``ReceivePath``, as the NIC joins them. The two sides of its memory go through an arbiter."""

    rxd: In(8)
    rx_dv: In(1)
    rx_er: In(1)
    descriptors: In(stream.Signature(Descriptor))
    memory: Out(MemoryPort())
    rctl: In(ReceiveControl)
    rxcsum: In(ChecksumControl)
    types: In(TypeControl)
    link: In(1)
    ral: In(ArraySignature(BY_NAME["RAL"]))
    rah: In(ArraySignature(BY_NAME["RAH"]))
    mta: In(ArraySignature(BY_NAME["MTA"]))
    vfta: In(ArraySignature(BY_NAME["VFTA"]))
    base: In(64)
    length: In(20)
    tail: In(16)
    head_written: In(1)
    head_value: In(16)
    head: Out(16)
    stored: Out(1)
    minimum: Out(1)
    missed: Out(1)
    drops: Out(Drops)

    def __init__(self, *, buffer_words: int) -> None:
        self._path = ReceivePath(buffer_words=buffer_words)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.mac = mac = MacReceive()
        m.d.comb += mac.step.eq(1)
        m.submodules.path = path = self._path
        m.submodules.arbiter = arbiter = DmaArbiter(clients=2)
        wiring.connect(m, mac.words, path.words)
        wiring.connect(m, path.memory, arbiter.clients[0])
        wiring.connect(m, path.descriptor_memory, arbiter.clients[1])
        wiring.connect(m, arbiter.memory, wiring.flipped(self.memory))
        for name, member in self.signature.members.items():
            if name == "memory":
                continue
            if hasattr(mac, name):
                m.d.comb += getattr(mac, name).eq(getattr(self, name))
            elif member.is_signature:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(path, name))
            elif member.flow is In:
                m.d.comb += getattr(path, name).eq(getattr(self, name))
            else:
                m.d.comb += getattr(self, name).eq(getattr(path, name))
        return m


@dataclass
class Model:
    """What memory and counters must hold after the frames given to ``frame``."""

    settings: FilterSettings
    rxcsum: dict[str, int]
    vme: int
    descriptors: Iterator[tuple[int, int]]
    memory: dict[int, int] = field(default_factory=dict)
    """Bytes by address."""
    writes: list[tuple[int, int]] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)
    stored: int = 0

    def frame(self, frame: bytes, *, crc_error: bool = False, rx_error: bool = False) -> None:
        result = outcome(
            frame,
            crc_error=crc_error,
            rx_error=rx_error,
            settings=self.settings,
            rxcsum=self.rxcsum,
            vme=bool(self.vme),
        )
        if result.dropped:
            self.drops[result.dropped] += 1
            return
        rctl = self.settings.rctl
        size = buffer_bytes(bsize=rctl["bsize"], bsex=rctl["bsex"])
        for address, content in store(result.data, result.info, self.descriptors, base=BASE, size=size):
            self.memory |= {address + offset: octet for offset, octet in enumerate(content)}
            self.writes.append((address, len(content)))
        self.stored += 1


def sort_writes(
    writes: list[tuple[int, int]], *, ring: int = RING
) -> tuple[list[tuple[int, int]], list[tuple[int, int]], list[int]]:
    """The writes of data, those of the ``ring`` descriptors, and the bytes of data that each of these comes after."""
    data, descriptors, before = [], [], []
    for address, length in writes:
        if BASE <= address < BASE + DESCRIPTOR_BYTES * ring:
            descriptors.append((address, length))
            before.append(sum(octets for _, octets in data))
        else:
            data.append((address, length))
    return data, descriptors, before


def join_bursts(writes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Bursts that end at a multiple of 512 joined with those that go on there."""
    joined: list[tuple[int, int]] = []
    for address, length in writes:
        if joined and sum(joined[-1]) == address and address % 512 == 0:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((address, length))
    return joined


class Bench:
    """The bench around one ``MacAndPath``.

    ``rctl``, ``rxcsum`` and ``types`` give the fields that are not 0, ``multicast`` and ``vlan`` the registers of MTA
    and VFTA. Buffers lie 8 KiB apart, at odd addresses.
    """

    def __init__(
        self,
        dut: Any,
        *,
        rctl: dict[str, int] | None = None,
        rxcsum: dict[str, int] | None = None,
        types: dict[str, int] | None = None,
        multicast: Sequence[int] = (0,) * 128,
        vlan: Sequence[int] = (0,) * 128,
    ) -> None:
        self.dut = dut
        self.rctl = dict.fromkeys((name for name, _ in ReceiveControl), 0) | {"en": 1} | (rctl or {})
        self.rxcsum = {"pcss": 0, "ipofl": 1, "tuofl": 1} | (rxcsum or {})
        self.source = GmiiSource(dut.rxd, dut.rx_er, dut.rx_dv, dut.gmii_rx_clk)
        self.source.log.setLevel("WARNING")
        self.counts: Counter[str] = Counter()
        self.given: list[tuple[int, int]] = []
        self.types = dict.fromkeys((name for name, _ in TypeControl), 0) | (types or {})
        self.settings = FilterSettings(
            rctl=self.rctl,
            table=[(OWN, 0, True)],
            multicast=multicast,
            vlan=vlan,
            vet=self.types["vet"],
            rfce=bool(self.types["rfce"]),
            fct=self.types["fct"],
            fca=self.types["fca"].to_bytes(6, "little"),
        )
        self.model = Model(self.settings, self.rxcsum, self.types["vme"], iter(self._given()))
        self._offers: deque[tuple[int, int]] = deque()
        self._next = 0

    def _given(self) -> Iterator[tuple[int, int]]:
        index = 0
        while True:
            yield self.given[index]
            index += 1

    async def start(self, *, ready: float = 1.0, period_ps: int = 8000, seed: int = 1) -> None:
        dut = self.dut
        Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
        Clock(dut.gmii_rx_clk, period_ps, "ps").start()
        for name in ("rxd", "rx_dv", "rx_er", "descriptors__valid", "head_written"):
            getattr(dut, name).value = 0
        for name in ("ral", "rah", "mta", "vfta"):
            getattr(dut, f"{name}__write").value = 0
        dut.base.value = BASE
        dut.length.value = RING * DESCRIPTOR_BYTES
        dut.tail.value = 0
        dut.link.value = 1
        dut.rctl.value = pack(ReceiveControl, self.rctl)
        dut.rxcsum.value = pack(ChecksumControl, self.rxcsum)
        dut.types.value = pack(TypeControl, self.types)
        self.memory = HostMemory(dut, "memory", lambda: 0, ready=ready, seed=seed)
        cocotb.start_soon(self.memory.run())
        dut.rst.value = dut.gmii_rx_rst.value = 1
        await ClockCycles(dut.clk, 4)
        dut.rst.value = dut.gmii_rx_rst.value = 0
        await self.write_own()
        for index in range(128):
            await self._write("mta", index, self.settings.multicast[index])
            await self._write("vfta", index, self.settings.vlan[index])
        await ClockCycles(dut.clk, 4)
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._offer())

    async def write_own(self) -> None:
        """The station's address, which reset takes out of the table."""
        own = int.from_bytes(OWN, "little")
        await self._write("ral", 0, own & 0xFFFF_FFFF)
        await self._write("rah", 0, own >> 32 | 1 << 31)

    async def _write(self, port: str, index: int, value: int) -> None:
        getattr(self.dut, f"{port}__address").value = index
        getattr(self.dut, f"{port}__write_data").value = value
        getattr(self.dut, f"{port}__write").value = 1
        await ClockCycles(self.dut.clk, 1)
        getattr(self.dut, f"{port}__write").value = 0

    async def _watch(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            for name in ("stored", "minimum", "missed"):
                self.counts[name] += int(getattr(dut, name).value)
            drops = int(dut.drops.value)
            if drops:
                self.counts.update({name for name, value in fields(Drops, drops).items() if value})

    async def _offer(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if int(dut.descriptors__valid.value) and int(dut.descriptors__ready.value):
                self._offers.popleft()
            dut.descriptors__valid.value = bool(self._offers)
            if self._offers:
                index, address = self._offers[0]
                # What software left in the upper half must not shine through.
                dut.descriptors__payload.value = address | 0xFFFF_FFFF_FFFF_FFFF << 64 | index << 128

    def give(self, count: int, *, null: frozenset[int] = frozenset(), seed: int = 0) -> None:
        """Give this many descriptors, those numbered in ``null`` (counted from the first ever) with null addresses."""
        rng = random.Random(f"{seed} {self._next}")
        for _ in range(count):
            number, index = self._next, self._next % RING
            address = 0 if number in null else 0x10_0000_0000 + number * 0x8000 + rng.randrange(1024)
            self.given.append((index, address))
            self._offers.append((index, address))
            self._next += 1
        self.dut.tail.value = self._next % RING

    def send(self, frame: bytes, *, error: bool = False) -> None:
        """Queue a frame without FCS on the wire, and tell the model."""
        whole = append_fcs(frame)
        if error:
            whole = whole[:-1] + bytes([whole[-1] ^ 1])
        self.put(whole)
        self.model.frame(whole, crc_error=error)

    def put(self, whole: bytes, *, rx_error: bool = False) -> None:
        """Queue a frame with FCS on the wire."""
        errors = [0] * (8 + len(whole))
        errors[-1] = int(rx_error)
        self.source.send_nowait(GmiiFrame(bytes.fromhex("55555555555555d5") + whole, errors))

    async def settle(self, cycles: int = 600) -> None:
        """Wait until the wire has been idle for a time, and nothing more has been written."""
        await self.source.wait()
        while True:
            before = len(self.memory.writes)
            await ClockCycles(self.dut.clk, cycles)
            if len(self.memory.writes) == before:
                return

    def octets(self, address: int, length: int) -> bytes:
        """Bytes of host memory."""
        return bytes(
            self.memory.word(place & ~7) >> 8 * (place & 7) & 0xFF for place in range(address, address + length)
        )

    def check(self) -> None:
        """Everything that the model says, and nothing else: data in its order, descriptors in theirs, and each of these
        after its data. The next frame's data may come before."""
        model = self.model
        data, descriptors, before = sort_writes(self.memory.writes)
        model_data, model_descriptors, model_before = sort_writes(model.writes)
        assert descriptors == model_descriptors
        assert join_bursts(data) == join_bursts(model_data)
        assert all(seen >= least for seen, least in zip(before, model_before, strict=True))
        for address, length in model.writes:
            expected = bytes(model.memory[place] for place in range(address, address + length))
            assert self.octets(address, length) == expected, hex(address)
        assert {name: self.counts[name] for name, _ in Drops} == {name: model.drops[name] for name, _ in Drops}
        assert self.counts["stored"] == model.stored

    def status(self, number: int) -> dict[str, int]:
        """The descriptor of this number as it is in memory, but for its address."""
        return RECEIVE.unpack(bytes(8) + self.octets(BASE + DESCRIPTOR_BYTES * (number % RING) + 8, 8))
