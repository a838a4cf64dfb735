"""Hypothesis drives the whole NIC: descriptors and frames that no driver and no peer would give, both ways at once.

The golden functions say what must be on the wire and in memory, to the byte; and nothing may hang.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cocotb
import pytest
from cocotb.triggers import with_timeout
from hypothesis import strategies as st

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE
from hw.mac.fcs import PREAMBLE_BYTES, append_fcs
from hw.mac.transmit import line_bytes
from hw.nic import Nic
from hw.receive.filter import FilterSettings
from hw.receive.layouts import ReceiveControl
from tests.hw.explore import explore
from tests.hw.frames import make_packet, spoil
from tests.hw.nic_bench import OWN, PREAMBLE_AND_SFD, RING, TRANSMIT_RING, NicBench
from tests.hw.receive_bench import BASE, Model, join_bursts, sort_writes
from tests.hw.receive_model import has_good_fcs
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate
from tests.hw.transmit_model import MEMORY_BASE, Chain, random_chain

EXAMPLES = 60
LONGEST_NS = 300_000 * CLOCK_PERIOD_NS
VET = 0x8100
FIRST_OCTET_LOST = 1
"""GmiiSink leaves out a frame's first octet."""

_BUFFERS = 0x7F_FFFF_0000
"""Receive buffers lie from here on, around a multiple of 4 GiB."""


@dataclass(frozen=True)
class Scenario:
    """Everything about one play. Contents come from ``seed``; the rest says what to do with them."""

    seed: int
    packets: int
    """Groups of transmit descriptors."""
    frames: int
    """Frames from the wire."""
    latency: tuple[int, int]
    ready: float
    head: int
    """Where both rings begin to be used."""
    thresholds: tuple[int, int]
    """PTHRESH and HTHRESH of both rings in descriptors; WTHRESH is 0."""
    gap: int
    """Bytes between frames from the wire."""
    vme: int
    rctl: dict[str, int]


scenarios = st.builds(
    Scenario,
    seed=st.integers(0, 2**32 - 1),
    packets=st.integers(0, 5),
    frames=st.integers(0, 6),
    latency=st.sampled_from([(1, 1), (1, 20), (1, 200), (300, 500), (1, 2000)]),
    ready=st.sampled_from([1.0, 1.0, 0.5, 0.2]),
    head=st.integers(0, RING - 1),
    thresholds=st.tuples(st.integers(0, 63), st.integers(0, 63)),
    gap=st.integers(8, 40),
    vme=st.integers(0, 1),
    rctl=st.fixed_dictionaries(
        {
            "bsize": st.integers(0, 3),
            "bsex": st.integers(0, 1),
            "secrc": st.integers(0, 1),
            "sbp": st.integers(0, 1),
            "upe": st.integers(0, 1),
            "mpe": st.integers(0, 1),
            "bam": st.integers(0, 1),
            "lpe": st.integers(0, 1),
        }
    ),
)


class Play:
    """One scenario on the bench."""

    def __init__(self, bench: NicBench, scenario: Scenario) -> None:
        self.bench = bench
        self.scenario = scenario
        self.rng = random.Random(scenario.seed)
        self.chain = random_chain(scenario.seed, packets=scenario.packets) if scenario.packets else Chain(self.rng)
        settings = FilterSettings(
            rctl=dict.fromkeys((name for name, _ in ReceiveControl), 0) | {"en": 1} | scenario.rctl,
            table=[(OWN, 0, True)],
            multicast=[0] * 128,
            vlan=[0] * 128,
            vet=VET,
            fct=0,
            fca=bytes(6),
        )
        self.buffers = self._buffers()
        self.model = Model(settings, {"pcss": 0, "ipofl": 1, "tuofl": 1}, scenario.vme, self._descriptors())
        self.used = 0

    def _buffers(self) -> list[int]:
        """Addresses for all descriptors of the ring but one: any alignment, and null now and then."""
        return [
            0 if self.rng.randrange(6) == 0 else _BUFFERS + 0x8000 * n + self.rng.randrange(0x4000)
            for n in range(RING - 1)
        ]

    def _descriptors(self) -> Iterator[tuple[int, int]]:
        for n, address in enumerate(self.buffers):
            self.used = n + 1
            yield (self.scenario.head + n) % RING, address

    async def run(self) -> None:
        bench, scenario = self.bench, self.scenario
        await bench.restart()
        bench.memory.latency = lambda: self.rng.randint(*scenario.latency)
        bench.memory.ready = scenario.ready
        bench.source.ifg = scenario.gap
        await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2, VME=scenario.vme)
        for name, value in (("VET", VET), ("RXCSUM", 0x300), ("FCAL", 0), ("FCAH", 0), ("FCT", 0)):
            await bench.write(name, value)
        prefetch, host = scenario.thresholds
        for name in ("TXDCTL", "RXDCTL"):
            await bench.write_fields(name, GRAN=1, PTHRESH=prefetch, HTHRESH=host)
        end = (scenario.head + len(self.buffers)) % RING
        for prefix, base in (("TD", TRANSMIT_RING), ("RD", BASE)):
            await bench.write(f"{prefix}BAL", base % (1 << 32))
            await bench.write(f"{prefix}BAH", base >> 32)
            await bench.write(f"{prefix}LEN", RING * DESCRIPTOR_BYTES)
            await bench.write(f"{prefix}H", scenario.head)
            await bench.write(f"{prefix}T", scenario.head)
        for n, address in enumerate(self.buffers):
            index = (scenario.head + n) % RING
            # What software left in the upper half must not shine through.
            bench.memory.load(BASE + DESCRIPTOR_BYTES * index, RECEIVE.pack(address=address)[:8] + b"\xff" * 8)
        await bench.write("RDT", end)
        await bench.write_fields("RCTL", EN=1, **{name.upper(): value for name, value in scenario.rctl.items()})
        await bench.write_fields("TCTL", EN=1, PSP=1)
        for _ in range(scenario.frames):
            self._receive()
        await self._transmit()
        await bench.settle(3 * scenario.latency[1] + 1000)
        self._check_wire()
        self._check_memory()
        assert await bench.read("RDH") == (scenario.head + self.used) % RING
        assert await bench.read("TDH") == await bench.read("TDT")
        assert await bench.read("MPC") == 0

    def _receive(self) -> None:
        """A frame as they come: any length, wrong in many ways, with a tag or without."""
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 0:
            whole = append_fcs(OWN + rng.randbytes(rng.choice((0, 6, 53, 54, 1508, 1600, rng.randrange(60)))))
        elif kind == 1:
            whole = rng.randbytes(rng.randrange(1, 30))
        else:
            whole = spoil(rng, bytes(make_packet(rng)))
        error = rng.randrange(len(whole)) if rng.randrange(8) == 0 else None
        self.bench.put(whole, error_at=error, preamble=PREAMBLE_AND_SFD[rng.randrange(PREAMBLE_BYTES) :])
        self.model.frame(whole, crc_error=not has_good_fcs(whole), rx_error=error is not None)

    async def _transmit(self) -> None:
        bench, chain = self.bench, self.chain
        assert len(chain.descriptors) < RING
        bench.memory.load(MEMORY_BASE, bytes(chain.memory) + bytes(-len(chain.memory) % 8))
        bench.transmit_tail = self.scenario.head
        step = self.rng.choice((1, 7, RING))
        for start in range(0, len(chain.descriptors), step):
            await bench.transmit(*chain.descriptors[start : start + step])

    def _check_wire(self) -> None:
        vme = self.scenario.vme
        expected = [
            line_bytes(
                frame,
                pad=True,
                fcs=bool(info["ifcs"]),
                vet=VET,
                tag=info["special"] if info["vle"] and vme else None,
            )
            for frame, info in self.chain.frames()
        ]
        sent = []
        while not self.bench.sink.empty():
            frame = self.bench.sink.recv_nowait()
            assert not any(frame.error or [])
            sent.append(bytes(frame.data))
        assert sent == [line[FIRST_OCTET_LOST:] for line in expected]

    def _check_memory(self) -> None:
        """Every byte that the models say, in their order, and no other."""
        memory, model, head = self.bench.memory, self.model, self.scenario.head
        ring = range(TRANSMIT_RING, TRANSMIT_RING + RING * DESCRIPTOR_BYTES)
        reports = [address for address, _ in memory.writes if address in ring]
        assert reports == [
            TRANSMIT_RING + DESCRIPTOR_BYTES * ((head + n) % RING) + 12
            for n, raw in enumerate(self.chain.descriptors)
            if raw[11] & 0x08
        ]
        writes = [burst for burst in memory.writes if burst[0] not in ring]
        data, descriptors, before = sort_writes(writes, ring=RING)
        model_data, model_descriptors, model_before = sort_writes(model.writes, ring=RING)
        assert descriptors == model_descriptors
        assert join_bursts(data) == join_bursts(model_data)
        assert all(seen >= least for seen, least in zip(before, model_before, strict=True))
        for address, length in model.writes:
            expected = bytes(model.memory[place] for place in range(address, address + length))
            assert self.bench.octets(address, length) == expected, hex(address)
        # It looks at nothing but its rings and the buffers it was given.
        mine = range(MEMORY_BASE, MEMORY_BASE + len(self.chain.memory))
        rings = (ring, range(BASE, BASE + RING * DESCRIPTOR_BYTES))
        for address, length, _ in memory.reads:
            assert any(address in span and address + length <= span.stop for span in (*rings, mine)), hex(address)


@cocotb.test()
async def any_scenario(dut: Any) -> None:
    bench = NicBench(dut)
    await bench.start()

    async def play(scenario: Scenario) -> None:
        await with_timeout(Play(bench, scenario).run(), LONGEST_NS, "ns")

    await explore(scenarios, play, examples=EXAMPLES)


@pytest.mark.slow
def test_nic_hostile() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
