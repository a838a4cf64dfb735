"""What a run leaves beside its rows: captures with comments, a timeline, views of waveforms."""

import itertools
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapNgReader

from sim.capture import Capture
from sim.engine import EventEngine
from sim.model.launch import simulate
from sim.outputs import Outputs
from sim.run import Run
from sim.waveview import STAGES, signals_by_stage, write_views
from sim.wire import Link


def run(folder: Path, **settings: Any) -> None:
    workload = {"kind": "ping-pong", "duration": 400_000, "warm_up": 100_000}
    specification = Run.model_validate({"backend": "model", "workload": workload} | settings)
    simulate(specification, folder, Outputs(capture=True, timeline=True))


def comments(path: Path) -> list[str]:
    found = []
    for _, metadata in RawPcapNgReader(str(path)):
        texts = getattr(metadata, "comments", None) or [getattr(metadata, "comment", None) or b""]
        found.append(texts[0].decode() if texts[0] else "")
    return found


def segment(sequence: int, size: int, flags: str = "A") -> bytes:
    frame = Ether() / IP(src="192.0.2.1", dst="192.0.2.2") / TCP(sport=1, dport=2, seq=sequence, flags=flags)
    return bytes(frame / bytes(size)) + bytes(4)


@pytest.mark.parametrize("start", [1000, 2**32 - 50])
def test_what_was_sent_before_is_commented(tmp_path: Path, start: int) -> None:
    link = Link(EventEngine(seed=1))
    path = tmp_path / "capture.pcapng"
    capture = Capture(path, interface="eth0")
    sent = [
        (segment(start, 0, "S"), ""),
        (segment(start, 0, "S"), "1 of 1 bytes"),
        (segment(start + 1, 100), ""),
        (segment(start + 101 & 0xFFFFFFFF, 100), ""),
        (segment(start + 1, 100), "100 of 100 bytes"),
        (segment(start + 151 & 0xFFFFFFFF, 100), "50 of 100 bytes"),
        (segment(start + 251 & 0xFFFFFFFF, 0), ""),
        (segment(start + 251 & 0xFFFFFFFF, 0, "FA"), ""),
    ]
    for number, (frame, _) in enumerate(sent):
        capture(link.a_to_b, 1000 * number, frame)
    capture.close()
    for text, (_, expected) in zip(comments(path), sent, strict=True):
        assert (expected in text) if expected else text == ""


def test_a_lossy_run_has_comments_and_a_clean_one_none(tmp_path: Path) -> None:
    run(tmp_path)
    assert set(comments(tmp_path / "capture.pcapng")) == {""}
    run(tmp_path, link={"loss": 0.2}, seed=3, time_limit=200_000_000, workload={"kind": "bulk", "duration": 2_000_000})
    assert any(text.startswith("TCP retransmission") for text in comments(tmp_path / "capture.pcapng"))


class _Event(BaseModel):
    """Google's Trace Event Format: what all events have. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)
    pid: int
    tid: int
    name: str


class _Metadata(_Event):
    ph: Literal["M"]
    args: dict[str, str | int]


class _Slice(_Event):
    ph: Literal["X"]
    ts: float = Field(ge=0)
    dur: float = Field(gt=0)
    args: dict[str, int] = {}


class _Flow(_Event):
    ph: Literal["s", "t", "f"]
    cat: str
    id: int
    ts: float = Field(ge=0)
    bp: Literal["e"] | None = None


class _Trace(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    traceEvents: list[Annotated[_Metadata | _Slice | _Flow, Field(discriminator="ph")]]  # noqa: N815 - the format's
    displayTimeUnit: Literal["ns"]  # noqa: N815


_DOWN = ("program", "TCP, UDP, IP", "driver", "descriptors", "registers", "DMA", "wire: A to B")
_UP = ("wire: B to A", "DMA", "interrupt pin", "poll", "driver", "TCP, UDP, IP", "program")

_BOTH_WAYS = {"kind": "bulk", "way": "both", "duration": 300_000}


def _without(way: tuple[str, ...], left_out: str) -> tuple[str, ...]:
    return tuple(track for track in way if track != left_out)


@pytest.mark.parametrize(
    ("settings", "ways"),
    [
        ({}, {_DOWN, _UP}),
        ({"workload": {"kind": "ping-pong", "transport": "udp", "duration": 400_000}}, {_DOWN, _UP}),
        ({"workload": {"kind": "bulk", "way": "both", "duration": 300_000}}, {_DOWN, _UP}),
        (
            {"workload": {"kind": "bulk", "way": "both", "duration": 300_000}, "driver": {"offloads": False}},
            {_DOWN, _UP},
        ),
        ({"workload": {"kind": "poisson", "rate": 200_000.0, "duration": 400_000}}, {_UP}),
        ({"driver": {"napi": False}}, {_DOWN, _without(_UP, "poll")}),
    ],
)
def test_every_packet_can_be_followed_through_the_timeline(
    tmp_path: Path, settings: dict[str, Any], ways: set[tuple[str, ...]]
) -> None:
    run(tmp_path, **settings)
    events = _Trace.model_validate_json((tmp_path / "timeline.json").read_text()).traceEvents
    tracks = {event.tid: event.args["name"] for event in events if event.name == "thread_name" and event.ph == "M"}
    slices: dict[int, list[tuple[float, float]]] = defaultdict(list)
    flows: dict[int, list[_Flow]] = defaultdict(list)
    for event in events:
        if isinstance(event, _Slice):
            slices[event.tid].append((event.ts, event.ts + event.dur))
        elif isinstance(event, _Flow):
            flows[event.id].append(event)
    found = set()
    for points in flows.values():
        points.sort(key=lambda point: point.ts)
        # It begins once, and ends once at most: what is on its way when the run ends has no end.
        assert [point.ph for point in points].count("s") == 1
        assert points[0].ph == "s"
        if points[-1].ph == "f":
            found.add(tuple(track for track, _ in itertools.groupby(tracks[point.tid] for point in points)))
    assert ways <= found
    # A packet may also come while the driver is looking.
    assert found <= ways | {_without(way, "interrupt pin") for way in ways}
    # An arrow that ends in no slice is not drawn.
    for point in itertools.chain(*flows.values()):
        assert any(start <= point.ts <= end for start, end in slices[point.tid])
    # A processor does one thing at a time.
    [processor] = [number for number, name in tracks.items() if name == "processor 0"]
    spans = sorted(slices[processor])
    assert all(end <= start + 1e-6 for (_, end), (start, _) in itertools.pairwise(spans))


VERILOG = """
module nic(clk);
  \\nic.receive  receive (
    .clk(clk)
  );
  \\nic.interrupts  interrupts (
    .clk(clk)
  );
endmodule
module \\nic.receive (clk, words__valid);
  wire words__valid;
  wire [7:0] \\scratch$1 ;
  \\nic.receive.buffer  buffer (
    .clk(clk)
  );
endmodule
module \\nic.receive.buffer (clk);
  reg [9:0] level;
endmodule
module \\nic.interrupts (clk);
  reg [15:0] interval;
  wire registers__valid;
  wire other;
endmodule
"""


def test_views_group_signals_by_stage(tmp_path: Path) -> None:
    stages = signals_by_stage(VERILOG)
    assert stages == {
        "receive: filter, checksum, buffer": ["receive.words__valid", "receive.buffer.level[9:0]"],
        "interrupt: causes, timers, throttle": ["interrupts.interval[15:0]", "interrupts.registers__valid"],
    }
    assert list(stages) == [stage for stage in STAGES if stage in stages]
    source = tmp_path / "nic.v"
    source.write_text(VERILOG)
    write_views(tmp_path, source)
    gtkwave = (tmp_path / "dump.gtkw").read_text().splitlines()
    assert gtkwave[0] == '[dumpfile] "dump.fst"'
    signal = gtkwave[gtkwave.index("-interrupt: causes, timers, throttle") + 2]
    assert signal == "+{interrupts/interval[15:0]} bench.nic.interrupts.interval[15:0]"
    assert "variable_add bench.nic.receive.buffer.level" in (tmp_path / "dump.sucl").read_text().splitlines()
