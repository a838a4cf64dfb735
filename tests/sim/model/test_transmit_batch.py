"""Steps of the transmitter, and a NIC that is asked seldom, show the same as events, one by one, of which all is seen."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from driver.e1000 import E1000, E1000Parameters, probe
from driver.flow_control import FlowControl
from hw.descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.mac.pause import pause_frame
from hw.registers import BY_NAME, STATISTICS
from sim.engine import EventEngine
from sim.fidelity.traffic import plain, udp
from sim.host import HostCosts, HostCpu
from sim.model.bus import ModelBus, ModelPort
from sim.wire import Link, fcs
from stack.napi import SoftIrq
from stack.skbuff import IpSummed, SkBuff

_MEMORY: Final = 1 << 20
_GROUP: Final = bytes.fromhex("0180c2000001")
_READ: Final = ("TDH", "ICR", "TDFPC", "TDFH", "TDFT", "TDFHS", "STATUS", "GPTC", "TOTL", "TXDCTL", "TCTL")
_COSTS = st.sampled_from(
    (
        {},
        {"mmio_read_latency": 0, "mmio_write_latency": 0, "dma_read_latency": 0, "dma_write_latency": 0},
        {"mmio_read_latency": 100, "mmio_write_latency": 40, "dma_read_latency": 60, "dma_write_latency": 24},
        {"mmio_read_latency": 900, "mmio_write_latency": 500, "dma_read_latency": 500, "dma_write_latency": 900},
        {"dma_width": 4},
    )
)
_PAUSE = st.one_of(st.integers(0, 40), st.integers(0, 2_500), st.integers(0, 200).map(lambda cycles: 8 * cycles))


class _Machine:
    """``naive``: the NIC does one thing after the other, and is asked each time something is due inside it."""

    def __init__(self, costs: dict[str, int], *, naive: bool) -> None:
        self.env = EventEngine(seed=1)
        self.cpu = HostCpu(self.env, HostCosts(**costs))
        self.link = Link(self.env, delay=500)
        self.bus = ModelBus(self.env, self.cpu, memory_bytes=_MEMORY)
        ModelPort(self.bus, outgoing=self.link.a_to_b, incoming=self.link.b_to_a)
        nic = self.bus.nic
        self.steps = {True: 0, False: 0}
        if naive:
            nic.receive.batch = nic.mac.batch = nic.transmit.batch = None
            nic.transmit.looks_ahead = False
            nic.receive_lag = 0
            setattr(nic, "visible", nic.events.due)  # noqa: B010
            setattr(nic, "shows", lambda address, cycle: False)  # noqa: B010
        else:
            batch: Any = nic.mac.batch
            follow = batch._follow

            def counted(end: int, *, begun: bool) -> bool:
                done: bool = follow(end, begun=begun)
                self.steps[begun] += done
                return done

            batch._follow = counted
        self.frames: list[tuple[int, bytes]] = []
        self.accesses: list[tuple[int, int, bool, int]] = []
        self.rises: list[int] = []
        self.seen: list[Any] = []
        self.link.a_to_b.taps = [lambda direction, start, frame: self.frames.append((start, frame))]
        self.bus.accesses.append(lambda *access: self.accesses.append(access))
        self.bus.rises.append(self.rises.append)

    def from_wire(self, quanta: int | None) -> None:
        """A pause frame comes, or one with data."""
        frame = plain(7, 64, to_station=True)
        if quanta is not None:
            frame = pause_frame(destination=_GROUP, source=bytes(6), fct=0x8808, quanta=quanta)
        self.link.b_to_a.send(frame + fcs(frame))

    async def observe(self, name: str) -> None:
        self.seen.append((name, await self.bus.inspect32(BY_NAME[name].offset), self.env.now))

    async def outcome(self) -> dict[str, Any]:
        """All that can be observed, now at the end."""
        for name in (*_READ, *(item.name for item in STATISTICS)):
            await self.observe(name)
        port = self.bus.nic.port
        return {
            "frames": self.frames,
            "accesses": self.accesses,
            "rises": self.rises,
            "seen": self.seen,
            "spent": self.cpu.spent(),
            "dma": (self.bus.dma_read_bytes(), port.write_bytes, port.bad_reads),
            "memory": self.bus.memory.read(0, _MEMORY),
        }


def _same(run: Callable[[_Machine], Awaitable[None]], costs: dict[str, int]) -> dict[bool, int]:
    """Returns how many steps there were, by whether they were made at a frame's begin."""

    async def whole(machine: _Machine) -> dict[str, Any]:
        await run(machine)
        return await machine.outcome()

    machine, reference = _Machine(costs, naive=False), _Machine(costs, naive=True)
    found, wanted = machine.env.run(whole(machine)), reference.env.run(whole(reference))
    for name, value in wanted.items():
        assert found[name] == value, name
    return machine.steps


# The driver's way


@dataclass(frozen=True)
class _Traffic:
    sizes: tuple[int, ...]
    bursts: list[tuple[int, int]]
    """Packets, and ns of rest behind."""
    driver: dict[str, int]
    often: float
    """How often something else goes on beside a packet."""
    pauses: bool
    seed: int


_TRAFFIC = st.builds(
    _Traffic,
    sizes=st.sampled_from(((64,), (64, 65, 70, 72, 100), (64, 128, 200, 256), (*range(60, 600, 9),), (64, 64, 1518))),
    bursts=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 60_000)), min_size=1, max_size=4),
    driver=st.fixed_dictionaries(
        {
            "interrupt_throttle_rate": st.sampled_from((0, 1, 3, 4000, 100_000)),
            "tx_int_delay": st.sampled_from((8, 8, 0, 1, 32)),
            "tx_abs_int_delay": st.sampled_from((32, 32, 0, 1, 8)),
            "tx_descriptors": st.sampled_from((256, 256, 80)),
            "rx_descriptors": st.just(80),
        }
    ),
    often=st.sampled_from((0.0, 0.01, 0.1)),
    pauses=st.booleans(),
    seed=st.integers(0, 1 << 32),
)


def _drive(traffic: _Traffic) -> Callable[[_Machine], Awaitable[None]]:
    async def run(machine: _Machine) -> None:
        env, cpu, bus, draw = machine.env, machine.cpu, machine.bus, random.Random(traffic.seed)
        parameters = E1000Parameters(
            dma_drain=5_000, reset_recovery=2_000, flow_control=FlowControl(rx=traffic.pauses), **traffic.driver
        )
        device = await probe(bus, cpu, SoftIrq(env, cpu), parameters=parameters)
        device.receive = lambda skb: machine.seen.append((cpu.now, skb.frame()))
        await device.open()
        await env.sleep(20_000)
        number = 0
        for packets, rest in traffic.bursts:
            for _ in range(packets):
                device.queue_xmit(_packet(draw, number, draw.choice(traffic.sizes), often=traffic.often))
                number += 1
                if draw.random() < traffic.often:
                    await _beside(machine, device, draw)
            await cpu.settle()
            await env.sleep(rest)
        await env.sleep(200_000)
        machine.seen.append(astuple(device.counters))

    return run


def _packet(draw: random.Random, number: int, size: int, *, often: float) -> SkBuff:
    if draw.random() < often:
        frame = udp(number, size, to_station=False, checksum=False)
        return SkBuff(frame, ip_summed=IpSummed.PARTIAL, csum_start=34, csum_offset=6)
    tag = draw.randrange(4096) if draw.random() < often else None
    return SkBuff(plain(number, size, to_station=False), vlan_tci=tag)


async def _beside(machine: _Machine, device: E1000, draw: random.Random) -> None:
    what = draw.randrange(24)
    if what == 0:
        await device.reinit()
    elif what < 6:
        machine.from_wire(draw.choice((None, None, 0, 1, 4, 30)))
    elif what < 9:
        await machine.env.sleep(draw.randrange(3000))
    elif what < 14:
        await machine.bus.read32(BY_NAME[draw.choice(_READ)].offset)
    elif what < 19:
        machine.env.spawn(machine.observe(draw.choice(_READ)))
    else:
        await machine.cpu.settle()


@settings(max_examples=25)
@given(_TRAFFIC, _COSTS)
def test_driver(traffic: _Traffic, costs: dict[str, int]) -> None:
    _same(_drive(traffic), costs)


# Without a driver

_RING, _BUFFERS, _STRIDE = 0x8000, 0x10000, 1024


@dataclass(frozen=True)
class _Program:
    sizes: tuple[int, ...]
    odd: float
    """How often a descriptor is not one of a whole packet to be reported later."""
    descriptors: int
    first: int
    """Given before all else."""
    thresholds: dict[str, int]
    delays: tuple[int, int]
    gap: int
    seed: int
    actions: list[tuple[int, str, int, int]]
    """ns of rest before, what, and on what."""


_ACTIONS = st.one_of(
    st.tuples(_PAUSE, st.just("tail"), st.integers(-3, 40), st.just(0)),
    st.tuples(_PAUSE, st.just("tail"), st.integers(0, 1), st.just(0)),
    st.tuples(_PAUSE, st.sampled_from(("read", "observe")), st.integers(0, len(_READ) - 1), st.just(0)),
    st.tuples(_PAUSE, st.sampled_from(("look", "look", "peek", "memory", "descriptor")), st.integers(-2, 200),
              st.integers(0, 255)),
    st.tuples(_PAUSE, st.just("wire"), st.sampled_from((-1, 0, 1, 3, 20)), st.just(0)),
    st.tuples(_PAUSE, st.just("interrupt"), st.sampled_from((0, 1, 3, 4, 5)), st.sampled_from((0, 1, 4, 40, 400))),
    st.tuples(_PAUSE, st.just("settings"), st.integers(0, 11), st.integers(0, 200)),
    st.tuples(_PAUSE, st.just("bytes"), st.just(0), st.just(0)),
)
_PROGRAMS = st.builds(
    _Program,
    sizes=st.sampled_from(((60,), (1, 8, 30, 60, 61), (60, 100, 128), (*range(1, 600, 7),), (60, 60, 60, 1500))),
    odd=st.sampled_from((0.0, 0.0, 0.01, 0.1)),
    descriptors=st.sampled_from((128, 256, 256, 512)),
    first=st.integers(90, 250),
    thresholds=st.fixed_dictionaries(
        {
            "GRAN": st.sampled_from((1, 1, 1, 0)),
            "PTHRESH": st.sampled_from((0, 0, 1, 4, 8, 20)),
            "HTHRESH": st.sampled_from((0, 0, 1, 4)),
            "WTHRESH": st.sampled_from((1, 1, 1, 0, 2)),
            "LWTHRESH": st.integers(0, 3),
        }
    ),
    delays=st.tuples(st.sampled_from((8, 8, 1, 2, 32, 0)), st.sampled_from((32, 0, 1, 8))),
    gap=st.sampled_from((8, 8, 0, 40)),
    seed=st.integers(0, 1 << 32),
    actions=st.lists(_ACTIONS, min_size=1, max_size=60),
)


def _descriptor(draw: random.Random, program: _Program, number: int) -> bytes:
    address = _BUFFERS + _STRIDE * (number % 512) + draw.choice((0, 0, 0, 2, 5))
    length = draw.choice(program.sizes)
    flags = {"eop": 1, "rs": 1, "ide": 1, "ifcs": 1}
    if draw.random() < program.odd:
        kind = draw.randrange(5)
        if kind == 0:
            return TRANSMIT_CONTEXT.pack(dtyp=0, dext=1, ipcse=33, tucss=34, tucso=40, rs=1, ide=draw.randrange(2))
        if kind == 1:
            address = draw.choice((0, _MEMORY - 4, _MEMORY + 64))
        elif kind == 2:
            length = draw.choice((0, 1, 513, 1500))
        else:
            flags[draw.choice(tuple(flags))] = 0
    if draw.random() < 0.5:
        return TRANSMIT_DATA.pack(address=address, dtalen=length, dtyp=1, dext=1, **flags)
    return TRANSMIT_LEGACY.pack(address=address, length=length, **flags)


class _Software:
    def __init__(self, machine: _Machine, program: _Program) -> None:
        self.machine = machine
        self.program = program
        self.bus = machine.bus
        self.draw = random.Random(program.seed)
        self.tail = 0

    def write(self, name: str, value: int = 0, **fields: int) -> None:
        register = BY_NAME[name]
        self.bus.write32(register.offset, register.value(**fields) if fields else value)

    def set_up(self) -> None:
        program = self.program
        self.write("CTRL", SLU=1, ASDE=1, FD=1, RFCE=1)
        self.write("FCAL", int.from_bytes(_GROUP[:4], "little"))
        self.write("FCAH", int.from_bytes(_GROUP[4:], "little"))
        self.write("FCT", 0x8808)
        self.write("RCTL", EN=1)
        self.write("TIPG", IPGT=program.gap)
        self.write("TDBAL", _RING)
        self.write("TDLEN", 16 * program.descriptors)
        self.write("TXDCTL", **program.thresholds)
        self.write("TIDV", program.delays[0])
        self.write("TADV", program.delays[1])
        self.write("TCTL", EN=1, PSP=1)
        self.tail = 0

    def place(self, back: int) -> int:
        return (self.tail - back) % self.program.descriptors

    async def run(self) -> None:
        bus, env, program = self.bus, self.machine.env, self.program
        bus.memory.write(_BUFFERS, random.Random(1).randbytes(_STRIDE * 512))
        for number in range(program.descriptors):
            bus.memory.write(_RING + 16 * number, _descriptor(self.draw, program, number))
        self.set_up()
        await env.sleep(100_000)
        self.give(min(program.first, program.descriptors - 2))
        await env.sleep(self.draw.randrange(20_000))
        for rest, what, where, value in program.actions:
            await env.sleep(rest)
            await self.act(what, where, value)
        await env.sleep(50_000)

    def give(self, count: int) -> None:
        self.tail = (self.tail + count) % self.program.descriptors
        self.write("TDT", self.tail)

    async def act(self, what: str, where: int, value: int) -> None:
        machine, bus, memory, seen = self.machine, self.bus, self.bus.memory, self.machine.seen
        place = _RING + 16 * self.place(where)
        match what:
            case "tail":
                self.give(where)
            case "read":
                await bus.read32(BY_NAME[_READ[where]].offset)
            case "observe":
                machine.env.spawn(machine.observe(_READ[where]))
            case "look":
                seen.append(memory.read64(place + 8))
            case "peek":
                seen.append(memory.read(place, 16))
            case "memory":
                memory.write(_BUFFERS + _STRIDE * self.place(where) + value, bytes([value]) * 8)
            case "descriptor":
                raw = _descriptor(self.draw, self.program, value)
                if value & 1:
                    memory.write(place, raw)
                else:
                    memory.write128(place, *(int.from_bytes(raw[half : half + 8], "little") for half in (0, 8)))
            case "wire":
                machine.from_wire(None if where < 0 else where)
            case "interrupt":
                seen.append(bus.interrupt())
                name = ("IMS", "IMC", "ITR", "ICS", "IMS", "ICR")[where]
                self.write(name, value if name == "ITR" else 0x8003)
            case "bytes":
                seen.append(bus.dma_read_bytes())
            case "settings":
                self.change(where, value)

    def change(self, what: int, value: int) -> None:
        program = self.program
        if what < 3:
            self.write("CTRL", RST=1)
            self.set_up()
            self.give(value)
        elif what < 5:
            self.write("TCTL", PSP=1)
            self.write("TCTL", EN=1, PSP=1)
        elif what == 5:
            self.write("TCTL", EN=1, PSP=1, SWXOFF=1)
        elif what == 6:
            self.write("TDH", self.place(value))
        elif what == 7:
            self.write("TIDV", value % 4)
        elif what == 8:
            self.write("TADV", value % 4)
        elif what == 9:
            self.write("TXDCTL", **program.thresholds | {"LWTHRESH": value % 16, "PTHRESH": value // 16})
        elif what == 10:
            self.write("TIPG", IPGT=value % 16)
        else:
            self.write("TXDCTL", **program.thresholds | {"WTHRESH": value % 3})


def _play(program: _Program) -> Callable[[_Machine], Awaitable[None]]:
    return lambda machine: _Software(machine, program).run()


@settings(max_examples=60)
@given(_PROGRAMS, _COSTS)
def test_any_program(program: _Program, costs: dict[str, int]) -> None:
    _same(_play(program), costs)
