"""Steps of the transmitter, and a NIC that is asked seldom, show the same as one event after the other."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import astuple
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from driver.e1000 import E1000, E1000Parameters, probe
from driver.flow_control import FlowControl
from hw.descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.mac.pause import pause_frame
from hw.registers import BY_NAME, STATISTICS
from sim.clock import CYCLE_NS
from sim.engine import EventEngine
from sim.fidelity.traffic import plain, segmented, udp
from sim.host import HostCosts, HostCpu
from sim.model.bus import ModelBus, ModelPort
from sim.wire import Link, fcs
from stack.napi import SoftIrq
from stack.skbuff import IpSummed, SkBuff

_MEMORY: Final = 1 << 20
_GROUP: Final = bytes.fromhex("0180c2000001")
_READ: Final = ("TDH", "ICR", "TDFPC", "TDFH", "TDFT", "TDFHS", "STATUS", "GPTC", "TOTL", "TXDCTL", "TCTL")
_COSTS: Final[tuple[dict[str, int], ...]] = (
    *[{}, {"driver_tx": 20, "mmio_write": 20}] * 2,
    *[{"mmio_read_latency": 300, "mmio_write_latency": 160, "dma_read_latency": 200, "dma_write_latency": 0}] * 2,
    *[{"mmio_read_latency": 900, "mmio_write_latency": 500, "dma_read_latency": 500, "dma_write_latency": 900}] * 3,
    {"mmio_read_latency": 100, "mmio_write_latency": 40, "dma_read_latency": 60, "dma_write_latency": 24},
    {"mmio_read_latency": 0, "mmio_write_latency": 0, "dma_read_latency": 0, "dma_write_latency": 0},
    {"dma_width": 4},
    {"dma_width": 2},
)
_SEEDS = st.integers(0, (1 << 64) - 1)
"""What is done is drawn from a seed: Hypothesis would draw much that differs little, and little with a backlog."""


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
            setattr(self.bus, "_renew", lambda: None)  # noqa: B010  # ``stale_at`` stays 0
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
        self.frames: list[tuple[int, int, bytes]] = []
        """Begin, the cycle in which the wire is told, and bytes."""
        self.accesses: list[tuple[int, int, bool, int]] = []
        self.rises: list[int] = []
        self.seen: list[Any] = []
        self.bursts: list[tuple[str, int, int, int]] = []
        self.link.a_to_b.taps = [
            lambda direction, start, frame: self.frames.append((start, -(-self.env.now // CYCLE_NS), frame))
        ]
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
            "bursts": self.bursts,
            "spent": self.cpu.spent(),
            "dma": (self.bus.dma_read_bytes(), port.bad_reads),
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


class _Traffic:
    def __init__(self, seed: int) -> None:
        self.draw = draw = random.Random(seed)
        self.costs = draw.choice(_COSTS)
        self.sizes = draw.choice(
            ((64,), (64, 65, 70, 72, 100), (64, 128, 200, 256), (*range(60, 400, 9),), (*(64,) * 9, 1518))
        )
        self.bursts = [
            (draw.randrange(draw.choice((1, 200, 200)), 400), draw.randrange(60_000))
            for _ in range(draw.randrange(1, 4))
        ]
        """Packets, and ns of rest behind."""
        self.driver = {
            "interrupt_throttle_rate": draw.choice((0, 1, 3, 4000, 100_000)),
            "tx_int_delay": draw.choice((8, 8, 8, 32, 1, 0)),
            "tx_abs_int_delay": draw.choice((32, 32, 0, 1, 8)),
            "tx_descriptors": draw.choice((256, 256, 256, 512, 512, 80)),
            "rx_descriptors": 80,
        }
        self.often = draw.choice((0.0, 0.01, 0.1))
        """How often something else goes on beside a packet."""
        self.flow_control = FlowControl(rx=draw.random() < 0.5, tx=draw.random() < 0.1)


async def _drive(traffic: _Traffic, machine: _Machine) -> None:
    env, cpu, bus, draw = machine.env, machine.cpu, machine.bus, traffic.draw
    parameters = E1000Parameters(
        dma_drain=5_000, reset_recovery=2_000, flow_control=traffic.flow_control, **traffic.driver
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


def _packet(draw: random.Random, number: int, size: int, *, often: float) -> SkBuff:
    if draw.random() < often / 4:
        return segmented(number, max(size, 64), draw.randrange(2, 9))
    if draw.random() < often:
        frame = udp(number, size, to_station=False, checksum=False)
        return SkBuff(frame, ip_summed=IpSummed.PARTIAL, csum_start=34, csum_offset=6)
    tag = draw.randrange(4096) if draw.random() < often else None
    return SkBuff(plain(number, size, to_station=False), vlan_tci=tag)


async def _beside(machine: _Machine, device: E1000, draw: random.Random) -> None:
    what = draw.randrange(60)
    if what == 0:
        await device.reinit()
    elif what < 10:
        machine.from_wire(draw.choice((None, None, 0, 1, 4, 30)))
    elif what < 20:
        await machine.env.sleep(draw.randrange(3000))
    elif what < 30:
        await machine.bus.read32(BY_NAME[draw.choice(_READ)].offset)
    elif what < 50:
        machine.env.spawn(machine.observe(draw.choice(_READ)))
    else:
        await machine.cpu.settle()


def _driven(seed: int) -> dict[bool, int]:
    return _same(lambda machine: _drive(_Traffic(seed), machine), _Traffic(seed).costs)


@settings(max_examples=40)
@given(_SEEDS)
def test_driver(seed: int) -> None:
    _driven(seed)


# Without a driver

_RING, _BUFFERS, _STRIDE = 0x8000, 0x10000, 1024
_CALM: Final = ("tail", "tail", "read", "observe", "look", "look", "peek", "memory", "interrupt", "bytes")
_ALL: Final = (*_CALM, *_CALM, "descriptor", "wire", "settings")


class _Program:
    def __init__(self, seed: int) -> None:
        self.draw = draw = random.Random(seed)
        self.costs = draw.choice(_COSTS)
        self.sizes = draw.choice(
            (
                *((60,), (1, 8, 30, 60, 61), (60, 100, 128)) * 2,
                (60, 60, 60, 200),
                (*range(1, 240, 7),),
                (*(60,) * 20, 600),
                (236, 248, 264),  # hardly so many as places find room
                (*(200,) * 30, 1500),
            )
        )
        self.odd = draw.choice((0.0, 0.0, 0.01, 0.1))
        """How often a descriptor is not one of a whole packet to be reported later."""
        self.descriptors = draw.choice((256, 256, 512, 128))
        self.first = draw.randrange(110, 400)
        """Given before all else."""
        self.thresholds = {
            "GRAN": draw.choice((*(1,) * 9, 0)),
            "PTHRESH": draw.choice((0, 0, 1, 4, 8, 20)),
            "HTHRESH": draw.choice((0, 0, 1, 4)),
            "WTHRESH": draw.choice((*(1,) * 9, 0, 2)),
            "LWTHRESH": draw.randrange(draw.choice((1, 4, 20))),
        }
        self.delays = draw.choice((8, 8, 8, 1, 1, 2, 32, 32, 0)), draw.choice((32, 0, 1, 8))
        self.gap = draw.choice((8, 8, 8, 8, 0, 40))
        self.pad = draw.choice((1, 1, 0))
        self.calm = draw.random() < 0.5
        """Nothing ends the backlog but its own end."""
        self.rest = draw.choice((40, 400, 2_500))
        self.watched = draw.random() < 0.1
        """Each access to memory is noted."""


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
        self.draw = program.draw
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
        self.write("TCTL", EN=1, PSP=program.pad)
        self.tail = 0

    def place(self, back: int) -> int:
        return (self.tail - back) % self.program.descriptors

    def give(self, count: int) -> None:
        self.tail = (self.tail + count) % self.program.descriptors
        self.write("TDT", self.tail)

    async def run(self, actions: int) -> None:
        bus, env, program, draw = self.bus, self.machine.env, self.program, self.draw
        if program.watched:
            bus.nic.port.observers.append(lambda *burst: self.machine.bursts.append(burst))
        bus.memory.write(_BUFFERS, random.Random(1).randbytes(_STRIDE * 512))
        for number in range(program.descriptors):
            bus.memory.write(_RING + 16 * number, _descriptor(draw, program, number))
        self.set_up()
        await env.sleep(100_000)
        self.give(min(program.first, program.descriptors - 2))
        await env.sleep(draw.randrange(10_000, 30_000))  # by then there is a backlog
        for _ in range(actions):
            await env.sleep(draw.choice((1, 1, 8)) * draw.randrange(program.rest))
            await self.act(draw.choice(_CALM if program.calm else _ALL), draw.randrange(-2, 200), draw.randrange(256))
        await env.sleep(50_000)

    async def act(self, what: str, back: int, value: int) -> None:
        machine, bus, memory, seen = self.machine, self.bus, self.bus.memory, self.machine.seen
        program, draw = self.program, self.draw
        place = _RING + 16 * self.place(back)
        match what:
            case "tail":
                if value & 7 == 0:
                    self.write("RDT", 1)  # not a write that is waited for
                self.give(value % draw.choice((1, 2, 40)) - (not program.calm) * draw.choice((0, 0, 0, 1, 3)))
            case "read":
                await bus.read32(BY_NAME[draw.choice(_READ)].offset)
            case "observe":
                machine.env.spawn(machine.observe(draw.choice(_READ)))
            case "look":
                count = draw.choice((1, 1, program.descriptors))
                seen.append([memory.read64(_RING + 16 * self.place(back - number) + 8) for number in range(count)])
            case "peek":
                seen.append(memory.read(_RING, 16 * program.descriptors))
            case "memory":
                memory.write(_BUFFERS + _STRIDE * self.place(back) + value, bytes([value]) * 8)
            case "descriptor":
                raw = _descriptor(draw, program, value)
                if value & 1:
                    memory.write(place, raw)
                else:
                    memory.write128(place, *(int.from_bytes(raw[half : half + 8], "little") for half in (0, 8)))
            case "wire":
                machine.from_wire(draw.choice((None, None, 0, 1, 3, 20)))
            case "interrupt":
                seen.append(bus.interrupt())
                name = draw.choice(("IMS", "IMC", "ITR", "ICS", "IMS", "ICR"))
                self.write(name, draw.choice((0, 1, 4, 40, 400)) if name == "ITR" else 0x8003)
            case "bytes":
                seen.append(bus.dma_read_bytes())
            case "settings":
                self.change(draw.randrange(15), value)

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
        elif what == 11:
            self.write("TXDCTL", **program.thresholds | {"WTHRESH": value % 3})
        elif what == 12:
            self.write("TDBAL", (_RING, _RING + 128, _MEMORY - 128)[value % 3])
        elif what == 13:
            self.write("TDLEN", 128 * (1 + value % 32))
        else:
            self.write("FCTTV", value)
            self.write("FCRTH", RTH=4)
            self.write("CTRL", SLU=1, ASDE=1, FD=1, RFCE=1, TFCE=1)


def _played(seed: int, actions: int) -> dict[bool, int]:
    return _same(lambda machine: _Software(machine, _Program(seed)).run(actions), _Program(seed).costs)


@settings(max_examples=100)
@given(_SEEDS, st.integers(0, 80))
def test_any_program(seed: int, actions: int) -> None:
    _played(seed, actions)


def test_steps_are_taken() -> None:
    """In traffic and in a program that are like the others, from both places."""
    assert min(*_driven(25).values(), *_played(52, 60).values()) > 10


def test_idle_nic_that_is_woken() -> None:
    """By frames that come and fill its buffer, and by a doorbell behind that of the other ring."""

    async def pause(machine: _Machine) -> None:
        software = _Software(machine, _Program(18))
        software.set_up()
        await machine.env.sleep(100_000)
        software.change(14, 9)
        await machine.env.sleep(2_000)
        for _ in range(6):
            machine.from_wire(None)
        await machine.env.sleep(60_000)
        assert len(machine.frames) > 2

    async def doorbells(machine: _Machine) -> None:
        software = _Software(machine, _Program(18))
        machine.bus.memory.write(_RING, _descriptor(software.draw, software.program, 0))
        software.set_up()
        await machine.env.sleep(100_000)
        software.write("RDT", 1)
        software.give(1)
        await machine.env.sleep(60_000)
        assert len(machine.frames) == 1

    _same(pause, {})
    _same(doorbells, {})


def test_pin_falls_and_nothing_follows() -> None:
    machine = _Machine({}, naive=False)
    bus = machine.bus

    async def run() -> list[bool]:
        levels = []
        for name in ("IMS", "ICS", "IMC"):
            bus.write32(BY_NAME[name].offset, BY_NAME[name].value(LSC=1))
            await machine.env.sleep(10_000)
            levels.append(bus.interrupt())
        return levels

    assert machine.env.run(run()) == [False, True, False]
