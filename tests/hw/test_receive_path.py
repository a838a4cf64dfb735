"""The whole receive path: frames on the GMII, bytes and descriptors in memory."""

import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6

from hw.mac.fcs import append_fcs
from hw.receive.bit_table import address_hash
from hw.vlan import insert
from tests.hw.frames import make_packet, spoil
from tests.hw.receive_bench import OWN, Bench, MacAndPath
from tests.hw.simulate import simulate

BUFFER_WORDS = 1100
"""8.6 KiB instead of 48, to see it full without a long wait, and no power of two."""

WIRE_CYCLES_64 = 84
FLOW_CONTROL = bytes.fromhex("0180c2000001")


def frame_of(length: int, seed: int = 0, to: bytes = OWN) -> bytes:
    """A frame of ``length`` bytes with its FCS, here without."""
    return to + random.Random(f"{length} {seed}").randbytes(length - 4 - len(to))


def words_of_bits(bits: set[int]) -> list[int]:
    """The 128 registers of a table in which these bits are set."""
    return [sum(1 << bit % 32 for bit in bits if bit // 32 == index) for index in range(128)]


def good_packet(rng: random.Random) -> bytes:
    return bytes(make_packet(rng)).ljust(60, b"\0")


@cocotb.test()
async def basic(dut: Any) -> None:
    """One frame by hand, without the model: the wire's bytes, FCS included, and the descriptor."""
    bench = Bench(dut)
    await bench.start()
    bench.give(1)
    packet = make_packet(random.Random(5))
    frame = append_fcs(bytes(packet).ljust(60, b"\0"))
    bench.put(frame)
    await bench.settle()
    assert bench.octets(bench.given[0][1], len(frame)) == frame
    status = bench.status(0)
    assert UDP in packet
    assert IPv6 in packet
    wrong = {"ce", "se", "seq", "cxe", "tcpe", "ipe", "rxe", "vp", "pif", "ixsm", "ipcs", "address", "special"}
    assert {name: status[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert (status["length"], status["dd"], status["eop"], status["tcpcs"]) == (len(frame), 1, 1, 1)
    assert bench.counts["stored"] == 1
    assert int(dut.head.value) == 1


@cocotb.test()
@cocotb.parametrize(
    rctl=[
        {"bam": 1},
        {"upe": 1, "mpe": 1, "secrc": 1, "bsize": 3},
        {"upe": 1, "sbp": 1, "secrc": 1, "bsize": 2},
        {"sbp": 1, "lpe": 1, "bsize": 3, "bsex": 1},
        {"lpe": 1, "bsize": 1, "mpe": 1, "upe": 1},
    ]
)
async def traffic(dut: Any, rctl: dict[str, int]) -> None:
    """Good frames and bad of all kinds and sizes, spread over buffers, some descriptors null: all as the model says."""
    rng = random.Random(str(rctl))
    rxcsum = {"pcss": rng.choice((0, 14, 35)), "ipofl": rng.randrange(4) > 0, "tuofl": rng.randrange(4) > 0}
    bench = Bench(dut, rctl=rctl, rxcsum=rxcsum)
    await bench.start(ready=rng.choice((0.3, 1.0)), period_ps=rng.choice((7998, 8000, 8002)))
    bench.give(700, null=frozenset(rng.sample(range(700), 40)), seed=rng.randrange(1000))
    for _ in range(40):
        kind = rng.randrange(8)
        if kind == 0:
            whole = spoil(rng, good_packet(rng))
            bench.put(whole)
            bench.model.frame(whole, crc_error=append_fcs(whole[:-4]) != whole)
        elif kind == 1:
            bench.send(
                frame_of(rng.choice((63, 64, 65, 1521, 1522, 1523, 1530)), rng.randrange(9)), error=rng.random() < 0.3
            )
        elif kind == 2:
            bench.send(frame_of(rng.randrange(20, 2100)), error=rng.random() < 0.2)
        elif kind == 3:
            whole = append_fcs(good_packet(rng))
            bench.put(whole, rx_error=True)
            bench.model.frame(whole, rx_error=True)
        elif kind == 4:
            target = rng.choice((b"\xff" * 6, b"\x33\x33\0\0\0\x01", b"\x02\0\0\0\0\x03", b"\x02\0\0\0\x01\x01"))
            bench.send(frame_of(rng.randrange(64, 300), to=target))
        elif kind == 5:
            bench.send(frame_of(5000))
        else:
            bench.send(good_packet(rng))
        if rng.randrange(4) == 0:
            await bench.source.wait()
            await ClockCycles(dut.clk, rng.randrange(300))
    await bench.settle()
    assert bench.counts["missed"] == 0
    assert bench.model.stored > 5
    bench.check()


@cocotb.test()
@cocotb.parametrize(
    (
        ("rctl", "vme"),
        [
            ({}, 1),
            ({"secrc": 1, "vfe": 1, "cfien": 1, "bsize": 3}, 1),
            ({"vfe": 1, "mpe": 1}, 0),
            ({"sbp": 1, "secrc": 1, "upe": 1, "dpf": 1}, 1),
            ({"sbp": 1, "pmcf": 1, "mo": 2, "bsize": 3}, 1),
        ],
    )
)
async def tags_and_groups(dut: Any, rctl: dict[str, int], vme: int) -> None:
    """Tags of any number and type, whole and truncated, of wanted and unwanted VLANs; groups in the hash table and not;
    MAC control frames.
    """
    rng = random.Random(str(rctl))
    groups = [b"\x01\0\x5e" + rng.randbytes(3) for _ in range(4)]
    offset = rctl.get("mo", 0)
    multicast = words_of_bits({address_hash(group, offset) for group in groups[:2]})
    types = {"vme": vme, "rfce": 1, "vet": 0x8100, "fct": 0x8808, "fca": int.from_bytes(FLOW_CONTROL, "little")}
    bench = Bench(
        dut,
        rctl=rctl,
        rxcsum={"pcss": rng.choice((0, 14, 15))},
        types=types,
        multicast=multicast,
        vlan=words_of_bits({5, 0x123}),
    )
    await bench.start(ready=rng.choice((0.3, 1.0)))
    bench.give(200, seed=3)
    for _ in range(90):
        frame = good_packet(rng)
        kind = rng.randrange(6)
        if kind == 0:
            frame = rng.choice(groups) + frame[6:]
        elif kind == 1:
            opcode = rng.randrange(1, 3).to_bytes(2, "big")
            frame = rng.choice((FLOW_CONTROL, OWN)) + frame[6:12] + b"\x88\x08" + opcode + frame[16:]
        for _ in range(rng.choice((0, 1, 1, 1, 2))):
            kind = rng.choice((0x8100, 0x8100, 0x8100, 0x88A8))
            frame = insert(frame, kind, rng.choice((5, 0x1005, 0x123, 6, 0)))
        if rng.randrange(3) == 0:
            frame = frame[: rng.choice((13, 14, 15, 16, 17, 18, 59, 60, 61, 62, rng.randrange(1, 90)))]
        bench.send(frame, error=rng.randrange(5) == 0)
        if rng.randrange(4) == 0:
            await bench.source.wait()
    await bench.settle()
    assert bench.counts["missed"] == 0
    assert bench.model.stored > 5
    bench.check()


@cocotb.test()
@cocotb.parametrize(rctl=[{}, {"secrc": 1}])
async def line_rate(dut: Any, rctl: dict[str, int]) -> None:
    """The smallest frames, close-packed, into memory that takes a word every other cycle: none waits for long."""
    bench = Bench(dut, rctl=rctl)
    await bench.start(ready=0.5, period_ps=7998)
    frames = 150
    bench.give(frames)
    for seed in range(frames):
        bench.send(frame_of(64, seed))
    await bench.source.wait()
    await ClockCycles(dut.clk, 2 * WIRE_CYCLES_64)
    assert bench.counts["stored"] == frames
    bench.check()


@cocotb.test()
async def starved(dut: Any) -> None:
    """Without descriptors frames queue up, then whole ones are lost and told; later ones are received again."""
    bench = Bench(dut)
    await bench.start()
    frames = [append_fcs(frame_of(200, seed)) for seed in range(50)]
    for frame in frames:
        bench.put(frame)
    await bench.settle()
    missed = bench.counts["missed"]
    kept = len(frames) - missed
    assert bench.counts["stored"] == 0
    # A frame takes 25 words and one of information; a few words and the free one make the difference.
    assert kept in (BUFFER_WORDS // 26, BUFFER_WORDS // 26 + 1)
    bench.give(kept + 2)
    for frame in frames[:kept]:
        bench.model.frame(frame)
    await bench.settle()
    bench.send(frame_of(1522))
    bench.send(frame_of(64))
    await bench.settle()
    assert bench.counts["missed"] == missed
    bench.check()


@cocotb.test()
async def bigger_than_buffer(dut: Any) -> None:
    """A frame that the buffer never can hold is lost whole, and the one after it is not."""
    bench = Bench(dut, rctl={"lpe": 1})
    await bench.start()
    bench.give(20)
    bench.put(append_fcs(frame_of(8 * BUFFER_WORDS + 100)))
    bench.send(frame_of(70))
    await bench.settle()
    assert bench.counts["missed"] == 1
    bench.check()


@cocotb.test()
async def reset(dut: Any) -> None:
    """Reset with frames in the buffer, one on the wire: they are gone, and what comes later is received."""
    bench = Bench(dut)
    await bench.start()
    for length in (64, 200, 300):
        bench.put(append_fcs(frame_of(length)))
    await RisingEdge(dut.rx_dv)
    await ClockCycles(dut.clk, 84 + 220 + 150)  # in the middle of the third
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await bench.write_own()
    bench.give(3)
    await bench.settle()
    bench.send(frame_of(100))
    bench.send(frame_of(64))
    await bench.settle()
    assert bench.model.stored == 2
    bench.check()


@cocotb.test()
async def no_link(dut: Any) -> None:
    """Without RCTL.EN or the link nothing is received nor told, and a frame counts as it began."""
    bench = Bench(dut)
    await bench.start()
    bench.give(8)
    for _ in range(2):
        dut.link.value = 0
        bench.put(append_fcs(frame_of(100)))
        bench.put(append_fcs(frame_of(100))[:-1])
        await bench.settle()
        dut.link.value = 1
        bench.send(frame_of(300))
        await RisingEdge(dut.rx_dv)
        await ClockCycles(dut.clk, 60)
        dut.link.value = 0
        await bench.settle()
    assert bench.model.stored == 2
    bench.check()


def test_receive_path() -> None:
    simulate(MacAndPath(buffer_words=BUFFER_WORDS), name="receive_path", test_module=__name__)
