"""CTRL.RST at any moment under traffic (manual 13.4.1).

The rules that hold whatever the cycle:

- no frame is half on the wire: one that is cut has TX_ER at its last byte, all others have their FCS;
- once software's first access after the reset returns, nothing is written to memory any more;
- the registers are as they are after power-up;
- the next transfers are byte-exact, though frames from the wire go on coming all the time.
"""

import random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import RisingEdge, with_timeout

from hw.mac.fcs import PREAMBLE, PREAMBLE_BYTES, SFD, append_fcs
from hw.nic import Nic
from hw.registers import REGISTERS
from tests.hw.nic_bench import OWN, PREAMBLE_AND_SFD, NicBench
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

PEER = bytes.fromhex("020000000002")
RESETS = 40
LONGEST_NS = 20_000 * CLOCK_PERIOD_NS
"""In which whatever happens after a reset is over; more is a hang."""


async def registers(bench: NicBench) -> dict[str, int]:
    """All registers but the big tables, which no reset clears (manual 13.5.1)."""
    return {item.name: await bench.read(item.name) for item in REGISTERS if item.count == 1}


class Traffic:
    """Numbered frames both ways. What software has given to the NIC before a reset may be sent, or not."""

    def __init__(self, bench: NicBench, rng: random.Random) -> None:
        self.bench = bench
        self.rng = rng
        self.incoming: list[bytes] = []
        self.outgoing: set[bytes] = set()
        self._number = 0

    def _frame(self, to: bytes, source: bytes) -> bytes:
        self._number += 1
        # A preamble within a frame must not make the rest of it a frame.
        filler = (bytes([PREAMBLE]) * PREAMBLE_BYTES + bytes([SFD])) * 3
        data = self._number.to_bytes(4, "big") + filler + self.rng.randbytes(self.rng.choice((20, 64, 300, 1000)))
        return to + source + b"\x08\x00" + data

    def receive(self, count: int) -> None:
        for _ in range(count):
            frame = self._frame(OWN, PEER)
            self.incoming.append(append_fcs(frame))
            self.bench.put(append_fcs(frame), preamble=PREAMBLE_AND_SFD[self.rng.randrange(PREAMBLE_BYTES) :])

    async def send(self, count: int) -> None:
        """Plain packets, and ones of several descriptors."""
        descriptors = []
        for _ in range(count):
            frame = self._frame(PEER, OWN)
            self.outgoing.add(append_fcs(frame))
            cut = self.rng.choice((0, 1, 14, len(frame) // 2))
            if cut:
                descriptors.append(self.bench.data(frame[:cut], eop=0, rs=self.rng.randrange(2)))
            descriptors.append(self.bench.data(frame[cut:]))
        await self.bench.transmit(*descriptors)


class Wire:
    """What the GMII carries, each stretch of TX_EN by itself, as bytes and their TX_ER."""

    def __init__(self, dut: Any) -> None:
        self._dut = dut
        self._carriers: list[tuple[bytearray, list[int]]] = []
        self._busy = False
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        dut = self._dut
        while True:
            await RisingEdge(dut.clk)
            if not int(dut.gmii__tx_en.value):
                self._busy = False
                continue
            if not self._busy:
                self._carriers.append((bytearray(), []))
            self._busy = True
            data, errors = self._carriers[-1]
            data.append(int(dut.gmii__txd.value))
            errors.append(int(dut.gmii__tx_er.value))

    def check(self, known: set[bytes]) -> list[bool]:
        """Whether each carrier since the last call was a whole frame, out of ``known``; else it is one cut."""
        assert not self._busy
        outcomes = []
        for data, errors in self._carriers:
            assert data[:PREAMBLE_BYTES] == bytes([PREAMBLE]) * min(PREAMBLE_BYTES, len(data))
            outcomes.append(not any(errors))
            if any(errors):
                assert errors.index(1) == len(errors) - 1, "TX_ER before the last byte"
            else:
                assert data[PREAMBLE_BYTES] == SFD
                assert bytes(data[PREAMBLE_BYTES + 1 :]) in known, "a frame that nobody gave"
        self._carriers.clear()
        return outcomes


@cocotb.test()
async def at_any_moment(dut: Any) -> None:
    rng = random.Random(11)
    latency = 20
    bench = NicBench(dut, latency=lambda: rng.randrange(latency))
    await bench.start()
    wire = Wire(dut)
    fresh = await registers(bench)
    table = {item.name: item.reset for item in REGISTERS if item.count == 1}
    own = {name: value for name, value in fresh.items() if value != table[name]}
    assert set(own) <= {"CTRL", "STATUS", "EECD", "MDIC", "RAL", "RAH"}, own
    traffic = Traffic(bench, rng)
    cut = whole = untouched = 0
    for number in range(RESETS):
        latency = rng.choice((1, 30, 400))
        bench.memory.ready = rng.choice((1.0, 0.5, 0.1))
        await bench.open(buffers=40)
        traffic.receive(rng.randrange(1, 8))
        await traffic.send(rng.randrange(4, 12))
        await bench.wait(rng.choice((rng.randrange(60), rng.randrange(600), rng.randrange(4000))))

        await bench.write_fields("CTRL", RST=1)
        await with_timeout(bench.read("CTRL"), LONGEST_NS, "ns")
        words = dict(bench.memory.words)
        assert not any(bench.memory.unanswered.values())
        if number % 4 == 0:
            assert await with_timeout(registers(bench), LONGEST_NS, "ns") == fresh
        traffic.receive(2)
        await bench.wait(rng.randrange(600))
        assert bench.memory.words == words, "a write after the reset"

        # All that comes from now on is received, and some of what is on the wire now, maybe.
        bench.memory.ready = 1.0
        await bench.open(buffers=40)
        first = len(traffic.incoming) - bench.source.count()
        traffic.receive(2)
        await traffic.send(2)
        await with_timeout(bench.settle(), 2 * LONGEST_NS, "ns")
        received = [data for _, data in bench.received()]
        start = len(traffic.incoming) - len(received)
        assert received == traffic.incoming[start:]
        assert first - 1 <= start <= first, (start, first)
        untouched += start < first
        outcomes = wire.check(traffic.outgoing)
        bench.sink.clear()
        whole += outcomes.count(True)
        cut += outcomes.count(False)
        assert await bench.read("TDH") == await bench.read("TDT") == bench.transmit_tail
        await bench.write_fields("CTRL", RST=1)
    assert cut >= RESETS // 4, f"{cut} frames were cut, {whole} not"
    assert whole >= 2 * RESETS


@cocotb.test()
async def in_every_cycle_of_a_short_frame(dut: Any) -> None:
    """A reset in each cycle from doorbell to end of frame: nothing, a marked part, or the whole."""
    bench = NicBench(dut, latency=lambda: 1)
    await bench.start()
    wire = Wire(dut)
    frame = PEER + OWN + bytes(range(48))
    outcomes = []
    for delay in range(20, 190):
        await bench.open(buffers=0)
        await bench.transmit(bench.legacy(frame))
        await bench.wait(delay)
        # The link stays, as drivers write it: without one no frame would begin in the cycle before the reset.
        await bench.write_fields("CTRL", RST=1, SLU=1, FD=1, SPEED=2)
        await bench.read("CTRL")
        await bench.wait(40)
        outcomes.append(wire.check({append_fcs(frame)}))
    # In this order, and each of them.
    changes = [outcome for n, outcome in enumerate(outcomes) if n == 0 or outcome != outcomes[n - 1]]
    assert changes == [[], [False], [True]], outcomes
    assert outcomes.count([False]) == 8 + len(append_fcs(frame))


@cocotb.test()
async def nothing_is_left_of_frames_before(dut: Any) -> None:
    """Wherever the receive FIFO's pointers were: what it held is gone, and the next frame is received."""
    bench = NicBench(dut, latency=lambda: 1)
    await bench.start()
    frame = OWN + PEER + bytes(range(49))  # with FCS 9 words: a frame begins at each place in the FIFO
    for before in range(1, 17):
        await bench.open(buffers=before)
        for _ in range(before):
            bench.send(frame)
        await bench.settle(200)
        await bench.write_fields("CTRL", RST=1)
        await bench.read("CTRL")
        await bench.wait(100)
        await bench.open(buffers=2)
        bench.send(frame)
        await bench.settle(200)
        assert [data for _, data in bench.received()] == [append_fcs(frame)], before
        assert await bench.read("TPR") == 1


@pytest.mark.slow
def test_nic_reset() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
