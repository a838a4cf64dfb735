"""What a run leaves beside its rows: captures with comments, a timeline, views of waveforms."""

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
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


def test_one_packet_can_be_followed_through_the_timeline(tmp_path: Path) -> None:
    run(tmp_path)
    events = json.loads((tmp_path / "timeline.json").read_text())["traceEvents"]
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    flows: dict[int, list[tuple[float, str, str]]] = defaultdict(list)
    slices: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            flows[event["id"]].append((event["ts"], event["ph"], tracks[event["tid"]]))
        elif event["ph"] == "X":
            slices[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    ways = {tuple(track for _, _, track in sorted(points)) for points in flows.values()}
    assert ("program", "stack and driver", "registers", "DMA", "wire: A to B") in ways
    assert ("wire: B to A", "DMA", "interrupt pin", "stack and driver", "program") in ways
    # An arrow that ends in no slice is not drawn.
    for event in events:
        if event["ph"] in "stf":
            assert any(start <= event["ts"] <= end for start, end in slices[event["tid"]])
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
  wire other;
endmodule
"""


def test_views_group_signals_by_stage(tmp_path: Path) -> None:
    stages = signals_by_stage(VERILOG)
    assert stages == {
        "receive: filter, checksum, buffer": ["receive.words__valid", "receive.buffer.level[9:0]"],
        "interrupt: causes, timers, throttle": ["interrupts.interval[15:0]"],
    }
    assert list(stages) == [stage for stage in STAGES if stage in stages]
    source = tmp_path / "nic.v"
    source.write_text(VERILOG)
    write_views(tmp_path, source)
    gtkwave = (tmp_path / "dump.gtkw").read_text().splitlines()
    assert gtkwave[0] == '[dumpfile] "dump.fst"'
    assert gtkwave[gtkwave.index("-interrupt: causes, timers, throttle") + 2] == "bench.nic.interrupts.interval[15:0]"
    assert "variable_add bench.nic.receive.buffer.level" in (tmp_path / "dump.sucl").read_text().splitlines()
