"""Interrupt moderation on the whole NIC: when the pin rises, to the cycle, after a frame has been stored or a
descriptor written back.

With the event in cycle n, the cause is in ICR from n + 1 and the pin high from n + 2; a delay of D units adds 128 x D.
"""

import random
from typing import Any

import cocotb

from hw.moderation import CYCLES_PER_UNIT, DelayEvent, InterruptDelay
from hw.nic import Nic
from hw.registers import BY_NAME
from tests.hw.moderation_bench import ICR, PEER, Moderation, frame_of
from tests.hw.nic_bench import OWN, RING
from tests.hw.simulate import simulate

PIN = 2
"""Cycles from a cause to the pin."""


def expected_rises(events: list[int], *, packet: int, absolute: int) -> list[int]:
    """The pin's rises when nothing throttles it and each interrupt is answered before the next cause."""
    history = [(0, DelayEvent.PACKET_DELAY, packet), (0, DelayEvent.ABSOLUTE_DELAY, absolute)]
    rule = InterruptDelay()
    return [cycle + PIN for cycle in rule.expiries([*history, *((at, DelayEvent.DONE) for at in events)], end=1 << 60)]


async def answer(bench: Moderation) -> None:
    """Software that reads ICR at every interrupt."""
    while True:
        await bench.acknowledge()


@cocotb.test()
@cocotb.parametrize(delays=[(0, 0), (0, 3), (1, 0), (3, 0), (3, 4), (3, 2), (20, 5)])
async def receive_timers(dut: Any, delays: tuple[int, int]) -> None:
    """Trains of frames, with gaps longer and shorter than RDTR; RXT0 comes when both timers say."""
    bench = Moderation(dut)
    packet, absolute = delays
    await bench.begin("RXT0", RDTR=packet, RADV=absolute)
    cocotb.start_soon(answer(bench))
    rng = random.Random(str(delays))
    count = 14
    await bench.spaced(
        [rng.choice((64, 64, 200)) for _ in range(count)], [rng.choice((0, 20, 250, 700)) for _ in range(count)]
    )
    await bench.wait(21 * CYCLES_PER_UNIT)
    assert len(bench.stored) == count
    assert bench.rises == expected_rises(bench.stored, packet=packet, absolute=absolute)
    assert (len(bench.rises) == count) == (packet == 0)


@cocotb.test()
async def receive_in_closed_form(dut: Any) -> None:
    """The same without the golden function: a single frame, and trains that each timer ends."""
    bench = Moderation(dut)
    await bench.begin("RXT0", RDTR=5, RADV=0)
    bench.send(frame_of(64))
    assert await bench.acknowledge() == ICR.mask("RXT0")
    assert bench.rises == [bench.stored[0] + 5 * 128 + 2]
    for number in range(10):
        bench.send(frame_of(64, number))
    await bench.acknowledge()
    assert bench.rises[1:] == [bench.stored[10] + 5 * 128 + 2]
    await bench.write("RADV", 6)
    first = len(bench.stored)
    for number in range(12):  # more than 6 units of 128 cycles
        bench.send(frame_of(64, number))
    await bench.acknowledge()
    assert bench.rises[2:] == [bench.stored[first] + 6 * 128 + 2]
    await bench.acknowledge()
    again = next(cycle for cycle in bench.stored if cycle >= bench.rises[2] - 2)
    assert bench.rises[3:] == [min(again + 6 * 128, bench.stored[-1] + 5 * 128) + 2]


@cocotb.test()
async def flush_partial_descriptors(dut: Any) -> None:
    """RDTR.FPD sets RXT0 at once and stops both timers; it reads 0, and acts on an idle NIC too."""
    bench = Moderation(dut)
    await bench.begin("RXT0", RDTR=10, RADV=12)
    bench.send(frame_of(64))
    await bench.settle(100)
    assert bench.stored
    assert bench.rises == []
    for rises in (1, 2):
        start = bench.cycle()
        await bench.write("RDTR", BY_NAME["RDTR"].value(FPD=1, DELAY=10))
        assert await bench.acknowledge() == ICR.mask("RXT0")
        assert len(bench.rises) == rises
        assert bench.rises[-1] - start < 12
        assert await bench.read("RDTR") == 10
        await bench.wait(13 * CYCLES_PER_UNIT)
        assert len(bench.rises) == rises


@cocotb.test()
@cocotb.parametrize(secrc=[0, 1])
async def small_packets(dut: Any, secrc: int) -> None:
    """A frame of RSRPD bytes in memory is one, a longer is not: RXT0 and SRPD at once, and the timers stop."""
    bench = Moderation(dut)
    await bench.begin("RXT0", "SRPD", RDTR=4, RADV=8, RSRPD=100 - 4 * secrc)
    await bench.write_fields("RCTL", EN=1, SECRC=secrc)
    bench.send(frame_of(101))
    assert await bench.acknowledge() == ICR.mask("RXT0")
    assert bench.rises == [bench.stored[0] + 4 * 128 + 2]
    bench.send(frame_of(101))
    await bench.source.wait()
    bench.send(frame_of(100))
    assert await bench.acknowledge() == ICR.mask("RXT0", "SRPD")
    assert len(bench.stored) == 3
    assert bench.rises[1:] == [bench.stored[2] + 2]
    await bench.wait(9 * CYCLES_PER_UNIT)
    assert len(bench.rises) == 2
    await bench.write("RSRPD", 0)
    bench.send(frame_of(64))
    assert await bench.acknowledge() == ICR.mask("RXT0")
    assert bench.rises[2:] == [bench.stored[3] + 4 * 128 + 2]


@cocotb.test()
@cocotb.parametrize(delays=[(2, 0), (6, 8), (6, 2)])
async def transmit_timers(dut: Any, delays: tuple[int, int]) -> None:
    """Descriptors with IDE, alone and in trains."""
    bench = Moderation(dut)
    packet, absolute = delays
    await bench.begin("TXDW", TIDV=packet, TADV=absolute)
    cocotb.start_soon(answer(bench))
    rng = random.Random(str(delays))
    for number in range(12):
        await bench.transmit(bench.legacy(PEER + OWN + bytes([number]) * rng.choice((50, 200)), ide=1))
        await bench.wait(rng.choice((60, 150, 600, 1500)))
    await bench.wait(21 * CYCLES_PER_UNIT)
    assert len(bench.written) == 12
    assert bench.rises == expected_rises(bench.written, packet=packet, absolute=absolute)
    assert 1 < len(bench.rises) < 12


@cocotb.test()
async def transmit_without_delay(dut: Any) -> None:
    """IDE = 0 interrupts at once and stops the timers; so does a delay of 0; IDE without RS does nothing."""
    bench = Moderation(dut)
    data = PEER + OWN + bytes(100)
    await bench.begin("TXDW", TIDV=4, TADV=8)
    await bench.transmit(bench.legacy(data))
    assert await bench.acknowledge() & ICR.mask("TXDW")
    assert bench.rises == [bench.written[0] + 2]

    await bench.transmit(bench.legacy(data, ide=1), bench.legacy(data))
    await bench.acknowledge()
    assert bench.rises[1:] == [bench.written[2] + 2]
    await bench.wait(9 * CYCLES_PER_UNIT)
    assert len(bench.rises) == 2

    await bench.transmit(bench.legacy(data, ide=1, rs=0))
    await bench.wait(9 * CYCLES_PER_UNIT)
    assert len(bench.rises) == 2

    await bench.transmit(bench.context(rs=1, ide=1), bench.data(data, rs=0))
    await bench.acknowledge()
    assert bench.rises[2:] == [bench.written[3] + 4 * 128 + 2]

    await bench.write("TIDV", 0)
    await bench.transmit(bench.data(data, ide=1))
    await bench.acknowledge()
    assert bench.rises[3:] == [bench.written[4] + 2]
    assert len(bench.written) == 5


@cocotb.test()
async def reset_stops_the_timers(dut: Any) -> None:
    bench = Moderation(dut)
    await bench.begin("RXT0", "TXDW", RDTR=20, TIDV=20)
    bench.send(frame_of(64))
    await bench.transmit(bench.legacy(PEER + OWN + bytes(50), ide=1))
    await bench.settle(200)
    assert bench.stored
    assert bench.written
    await bench.write_fields("CTRL", RST=1)
    await bench.wait(21 * CYCLES_PER_UNIT)
    assert await bench.read("ICR") & ICR.mask("RXT0", "TXDW") == 0
    assert [await bench.read(name) for name in ("RDTR", "TIDV")] == [0, 0]


@cocotb.test()
async def transmit_queue(dut: Any) -> None:
    """TXQE when the head meets the tail; TXD_LOW when the descriptors left fall to 8 x LWTHRESH."""
    bench = Moderation(dut)
    await bench.begin()
    data = PEER + OWN + bytes(500)
    for threshold in (0, 1, 2):
        await bench.write_fields("TXDCTL", LWTHRESH=threshold, GRAN=1)
        start = bench.transmit_tail
        # Each takes 63 cycles or more, longer than software takes to read both registers.
        await bench.transmit(*(bench.legacy(data) for _ in range(20)))
        causes: list[tuple[int, int]] = []
        while not causes or causes[-1][0] != bench.transmit_tail:
            head = await bench.read("TDH")
            causes.append((head, await bench.read("ICR")))
        low = [(head - start) % RING for head, causes_read in causes if causes_read & ICR.mask("TXD_LOW")]
        empty = [(head - start) % RING for head, causes_read in causes if causes_read & ICR.mask("TXQE")]
        assert len(low) == len(empty) == 1
        # The head was read just before, so the event came at this head or with the next one.
        assert low[0] in (20 - 8 * threshold - 1, 20 - 8 * threshold)
        assert empty[0] in (19, 20)


@cocotb.test()
@cocotb.parametrize(rdmts=[0, 1, 2])
async def receive_minimum(dut: Any, rdmts: int) -> None:
    """RXDMT0 when the free descriptors fall to 1/2, 1/4 or 1/8 of the ring, and not before or after."""
    bench = Moderation(dut)
    free = RING >> rdmts + 1
    await bench.begin(buffers=free + 3)
    await bench.write_fields("RCTL", EN=1, RDMTS=rdmts)
    seen = []
    for number in range(5):
        bench.send(frame_of(64, number))
        await bench.settle(150)
        seen.append(bool(await bench.read("ICR") & ICR.mask("RXDMT0")))
    assert seen == [False, False, True, False, False]


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
