"""The whole NIC and malformed frames: the table, row by row, and a fuzz against the golden model of the receiver."""

import random
from typing import Any

import cocotb
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hw.frame_records import SIZE_NAMES, size_class
from hw.mac.fcs import append_fcs
from hw.mac.pause import pause_frame
from hw.nic import Nic
from hw.receive.address_table import TABLE_ENTRIES
from hw.receive.filter import FilterSettings
from hw.receive.layouts import ReceiveControl
from hw.registers import STATISTICS
from hw.statistics import Counters
from hw.vlan import insert
from tests.hw.frames import make_packet, spoil
from tests.hw.malformed import FCT, FLOW_CONTROL, ROWS, STATUS, VET, Row
from tests.hw.nic_bench import OWN, NicBench
from tests.hw.receive_model import has_good_fcs, outcome
from tests.hw.simulate import simulate

SHOWN = [name.lower() for name in STATUS]


async def started(dut: Any) -> NicBench:
    """A bench with all that a driver sets for VLAN, flow control and checksums."""
    bench = NicBench(dut)
    await bench.start()
    await bench.open(buffers=250, rctl={"BAM": 1})
    await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2, VME=1, RFCE=1)
    await bench.write("VET", VET)
    await bench.write("FCT", FCT)
    await bench.write("FCAL", int.from_bytes(FLOW_CONTROL[:4], "little"))
    await bench.write("FCAH", int.from_bytes(FLOW_CONTROL[4:], "little"))
    await bench.write_fields("RXCSUM", IPOFL=1, TUOFL=1)
    return bench


async def check_counters(bench: NicBench, wanted: dict[str, int]) -> None:
    """All counters, which the reads clear, are what these increments make."""
    counters = Counters()
    counters.add(wanted)
    got = {item.name: await bench.read(item.name) for item in STATISTICS}
    want = {item.name: counters.read(item.name) for item in STATISTICS}
    assert {name: value for name, value in got.items() if value} == {
        name: value for name, value in want.items() if value
    }


def increments(row: Row) -> dict[str, int]:
    """What the table says of a row."""
    if row.counters is None:
        return {}
    counts = dict.fromkeys(("TPR", *row.counters.split()), 1) | {"TOR": len(row.whole)}
    if "GPRC" in counts:
        counts |= {"GORC": len(row.whole), f"PRC{SIZE_NAMES[size_class(len(row.whole))]}": 1}
    return counts


@cocotb.test()
@cocotb.parametrize(sbp=[0, 1])
async def table(dut: Any, sbp: int) -> None:
    """Every row: memory, descriptor and all counters; and behind each a good frame comes in whole."""
    bench = await started(dut)
    await bench.write_fields("RCTL", EN=1, BAM=1, SBP=sbp)
    good = append_fcs(OWN + bytes(6) + b"\x88\xb5" + bytes(46))
    for row in ROWS:
        bench.put(row.whole, error_at=row.error_at, preamble=row.preamble)
        bench.put(good)
        await bench.settle(200)
        done = bench.received()
        await bench.give(len(done))
        wanted = row.with_sbp if sbp else row.stored
        assert len(done) == (1 if wanted is None else 2), row.name
        assert done[-1][1] == good, row.name
        if wanted is not None:
            fields, data = done[0]
            assert [name for name in SHOWN if fields[name]] == [
                name for name in SHOWN if name.upper() in wanted.split()
            ]
            whole = row.whole
            assert data == (whole[:12] + whole[16:] if fields["vp"] else whole), row.name
        counts = {"TPR": 1, "TOR": 64, "GPRC": 1, "GORC": 64, "PRC64": 1}
        for name, value in increments(row).items():
            counts[name] = counts.get(name, 0) + value
        try:
            await check_counters(bench, counts)
        except AssertionError as error:
            raise AssertionError(row.name) from error


@st.composite
def frames(draw: st.DrawFn) -> tuple[bytes, int | None]:
    """A frame with FCS or without, and the byte with RX_ER: good ones, and all that can be wrong with them."""
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    kind = draw(st.sampled_from(("packet", "packet", "packet", "control", "noise")))
    if kind == "packet":
        frame = bytes(make_packet(rng))
    elif kind == "control":
        frame = pause_frame(
            destination=draw(st.sampled_from((FLOW_CONTROL, OWN))),
            source=OWN,
            fct=FCT,
            quanta=draw(st.sampled_from((0, 1, 9))),
        )
        if draw(st.booleans()):
            frame = frame[:15] + draw(st.sampled_from((b"\0", b"\1", b"\2"))) + frame[16:]
    else:
        frame = draw(st.sampled_from((OWN, OWN, b"\xff" * 6, FLOW_CONTROL, bytes(6)))) + rng.randbytes(
            rng.randrange(1600)
        )
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        frame = insert(frame, draw(st.sampled_from((VET, VET, 0x88A8))), draw(st.integers(0, 0xFFFF)))
    whole = spoil(rng, frame) if draw(st.booleans()) else append_fcs(frame.ljust(60, b"\0"))
    error_at = draw(st.sampled_from((None, None, None, None, None, rng.randrange(len(whole)))))
    return whole, error_at


flags = st.fixed_dictionaries(
    {name: st.booleans() for name in ("sbp", "upe", "mpe", "lpe", "bam", "vfe", "cfien", "dpf", "pmcf", "secrc")}
)
rounds = st.fixed_dictionaries(
    {"rctl": flags, "rfce": st.booleans(), "vme": st.booleans(), "frames": st.lists(frames(), min_size=35, max_size=45)}
)


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """So many examples, the same ones in each run. (A test function cannot be run under ``given`` in a simulation.)"""
    seen: list[Any] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        seen.append(value)

    collect()
    return seen


@cocotb.test()
async def fuzz(dut: Any) -> None:
    """Memory, descriptors and counters are as the model says, whatever comes, and however the filters are set."""
    bench = await started(dut)
    stored = 0
    for case in drawn(rounds, 8):
        await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2, VME=int(case["vme"]), RFCE=int(case["rfce"]))
        await bench.write_fields("RCTL", EN=1, **{name.upper(): int(value) for name, value in case["rctl"].items()})
        rctl = dict.fromkeys((name for name, _ in ReceiveControl), 0) | {"en": 1}
        registers = FilterSettings(
            rctl=rctl | {name: int(value) for name, value in case["rctl"].items()},
            table=[(OWN, 0, True)] + [(bytes(6), 0, False)] * (TABLE_ENTRIES - 1),
            vet=VET,
            rfce=case["rfce"],
            fct=FCT,
            fca=FLOW_CONTROL,
        )
        results = []
        for whole, error_at in case["frames"]:
            bench.put(whole, error_at=error_at)
            results.append(
                outcome(
                    whole,
                    crc_error=not has_good_fcs(whole),
                    rx_error=error_at is not None,
                    settings=registers,
                    rxcsum={"pcss": 0, "ipofl": 1, "tuofl": 1},
                    vme=case["vme"],
                )
            )
        await bench.settle(400)
        done = bench.received()
        await bench.give(len(done))
        kept = [result for result in results if result.dropped is None]
        assert len(done) == len(kept)
        for (fields, data), result in zip(done, kept, strict=True):
            assert data == result.data
            assert {name: fields[name] for name in result.info} == result.info
            assert (fields["length"], fields["eop"]) == (len(data), 1)
        stored += len(kept)
        counts: dict[str, int] = {}
        for result in results:
            for name, value in result.counts.items():
                counts[name] = counts.get(name, 0) + value
        await check_counters(bench, counts)
    assert stored > 20


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
