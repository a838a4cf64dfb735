"""What one run of an experiment tells: one flat row, each field with its unit and meaning.

``results.json`` holds a list of these rows under ``runs`` (see ``docs/results.md``, made from this table).
"""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, NamedTuple, get_type_hints

__all__ = ["FORMAT_VERSION", "Column", "RunResult", "describe", "to_json"]

FORMAT_VERSION = 1


class Column(NamedTuple):
    """Unit and meaning of a field."""

    unit: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """One run of the main job: the file goes from A to B (``send``), then back (``receive``)."""

    name: Annotated[str, Column("", "name of the run: mode and offloads")]
    backend: Annotated[str, Column("", "what played the NIC: rtl or model")]
    interrupt_throttle_rate: Annotated[
        int, Column("", "driver parameter InterruptThrottleRate: 0, 1, 3, 4 or interrupts/s")
    ]
    mode: Annotated[str, Column("", "the same in words: off, dynamic, dynamic conservative, simplified, fixed")]
    offloads: Annotated[bool, Column("", "TSO and transmit and receive checksum offload on")]
    seed: Annotated[int, Column("", "seed of the run's random numbers")]
    file_bytes: Annotated[int, Column("bytes", "size of the file")]
    sha256: Annotated[str, Column("", "SHA-256 of the file, and of what arrived at both ends")]
    duration: Annotated[float, Column("s", "simulated time from opening the interfaces to closing them")]
    send_goodput: Annotated[float, Column("bit/s", "file bits over the time from A's first send to B having all of it")]
    receive_goodput: Annotated[
        float, Column("bit/s", "file bits over the time from B's first send to A having all of it")
    ]
    send_interrupts: Annotated[int, Column("", "interrupts of A's NIC while sending")]
    receive_interrupts: Annotated[int, Column("", "interrupts of A's NIC while receiving")]
    send_interrupt_rate: Annotated[float, Column("1/s", "interrupts per second while sending")]
    receive_interrupt_rate: Annotated[float, Column("1/s", "interrupts per second while receiving")]
    send_packets_per_interrupt: Annotated[float, Column("", "frames (sent and received) per interrupt while sending")]
    receive_packets_per_interrupt: Annotated[
        float, Column("", "frames (sent and received) per interrupt while receiving")
    ]
    send_cpu: Annotated[
        dict[str, float], Column("", "share of A's processor by cause while sending, idle included; sums to 1")
    ]
    receive_cpu: Annotated[dict[str, float], Column("", "the same while receiving")]
    round_trip_p50: Annotated[
        float, Column("s", "median round trip of one byte over TCP, as A's program sees it, before the file")
    ]
    round_trip_p99: Annotated[float, Column("s", "99th percentile of it")]
    receive_latency_p50: Annotated[
        float,
        Column(
            "s", "median time from a frame's last bit at A's NIC to the stack having it, while the file is received"
        ),
    ]
    receive_latency_p99: Annotated[float, Column("s", "99th percentile of it")]
    receive_latencies: Annotated[list[float], Column("s", "every such time, in order of arrival")]
    round_trips: Annotated[list[float], Column("s", "every round trip, in order")]
    retransmissions: Annotated[int, Column("", "TCP segments sent again, both ends")]
    tso_packets: Annotated[int, Column("", "packets that A's driver gave the NIC to cut")]
    tso_segments: Annotated[int, Column("", "segments cut from them")]
    tso_segments_per_packet: Annotated[float, Column("", "segments per TSO packet (0 if none)")]
    tso_segments_per_descriptor: Annotated[float, Column("", "segments per data descriptor of TSO packets (0 if none)")]
    frames_sent: Annotated[int, Column("", "frames A's NIC put on the wire")]
    frames_received: Annotated[int, Column("", "frames that reached A's NIC")]
    itr_log: Annotated[list[tuple[float, int]], Column("s, 256 ns", "each write of the ITR register: time and value")]
    dma_read_bytes: Annotated[int, Column("bytes", "read by the NIC from host memory")]
    dma_write_bytes: Annotated[int, Column("bytes", "written by the NIC to host memory")]
    simulated_cycles: Annotated[int, Column("", "cycles of the 125 MHz clock simulated")]
    wall_time: Annotated[float, Column("s", "wall time of the simulation loop")]
    cycles_per_second: Annotated[float, Column("1/s", "simulated cycles per second of wall time")]


def describe() -> list[tuple[str, str, str]]:
    """Name, unit and meaning of every field of a row."""
    hints = get_type_hints(RunResult, include_extras=True)
    return [(name, *hint.__metadata__[0]) for name, hint in hints.items()]


def to_json(runs: list[RunResult], conditions: dict[str, Any]) -> dict[str, Any]:
    """The content of ``results.json``."""
    return {
        "format": FORMAT_VERSION,
        "conditions": conditions,
        "fields": [{"name": name, "unit": unit, "text": text} for name, unit, text in describe()],
        "runs": [asdict(run) for run in runs],
    }
