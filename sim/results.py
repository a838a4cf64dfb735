"""What one run of an experiment tells: one flat row, each field with its unit and meaning.

``results.json`` holds a list of these rows under ``runs`` (see ``docs/results.md``, made from this table).
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = ["FORMAT_VERSION", "RunResult", "describe", "to_json"]

FORMAT_VERSION = 1


def _column(unit: str, text: str) -> Any:
    return field(metadata={"unit": unit, "text": text})


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """One run of the main job: the file goes from A to B (``send``), then back (``receive``)."""

    name: str = _column("", "name of the run: mode and offloads")
    backend: str = _column("", "what played the NIC: rtl")
    interrupt_throttle_rate: int = _column("", "driver parameter InterruptThrottleRate: 0, 1, 3, 4 or interrupts/s")
    mode: str = _column("", "the same in words: off, dynamic, dynamic conservative, simplified, fixed")
    offloads: bool = _column("", "TSO and transmit and receive checksum offload on")
    seed: int = _column("", "seed of the run's random numbers")
    file_bytes: int = _column("bytes", "size of the file")
    sha256: str = _column("", "SHA-256 of the file, and of what arrived at both ends")
    duration: float = _column("s", "simulated time from opening the interfaces to closing them")
    send_goodput: float = _column("bit/s", "file bits over the time from A's first send to B having all of it")
    receive_goodput: float = _column("bit/s", "file bits over the time from B's first send to A having all of it")
    send_interrupts: int = _column("", "interrupts of A's NIC while sending")
    receive_interrupts: int = _column("", "interrupts of A's NIC while receiving")
    send_interrupt_rate: float = _column("1/s", "interrupts per second while sending")
    receive_interrupt_rate: float = _column("1/s", "interrupts per second while receiving")
    send_packets_per_interrupt: float = _column("", "frames (sent and received) per interrupt while sending")
    receive_packets_per_interrupt: float = _column("", "frames (sent and received) per interrupt while receiving")
    send_cpu: dict[str, float] = _column("", "share of A's processor by cause while sending, idle included; sums to 1")
    receive_cpu: dict[str, float] = _column("", "the same while receiving")
    round_trip_p50: float = _column(
        "s", "median round trip of one byte over TCP, as A's program sees it, before the file"
    )
    round_trip_p99: float = _column("s", "99th percentile of it")
    receive_latency_p50: float = _column(
        "s", "median time from a frame's last bit at A's NIC to the stack having it, while the file is received"
    )
    receive_latency_p99: float = _column("s", "99th percentile of it")
    receive_latencies: list[float] = _column("s", "every such time, in order of arrival")
    round_trips: list[float] = _column("s", "every round trip, in order")
    retransmissions: int = _column("", "TCP segments sent again, both ends")
    tso_packets: int = _column("", "packets that A's driver gave the NIC to cut")
    tso_segments: int = _column("", "segments cut from them")
    tso_segments_per_packet: float = _column("", "segments per TSO packet (0 if none)")
    tso_segments_per_descriptor: float = _column("", "segments per data descriptor of TSO packets (0 if none)")
    frames_sent: int = _column("", "frames A's NIC put on the wire")
    frames_received: int = _column("", "frames that reached A's NIC")
    itr_log: list[tuple[float, int]] = _column("s, 256 ns", "each write of the ITR register: time and value")
    dma_read_bytes: int = _column("bytes", "read by the NIC from host memory")
    dma_write_bytes: int = _column("bytes", "written by the NIC to host memory")
    simulated_cycles: int = _column("", "cycles of the 125 MHz clock simulated")
    wall_time: float = _column("s", "wall time of the simulation loop")
    cycles_per_second: float = _column("1/s", "simulated cycles per second of wall time")


def describe() -> list[tuple[str, str, str]]:
    """Name, unit and meaning of every field of a row."""
    return [(item.name, item.metadata["unit"], item.metadata["text"]) for item in fields(RunResult)]


def to_json(runs: list[RunResult], conditions: dict[str, Any]) -> dict[str, Any]:
    """The content of ``results.json``."""
    return {
        "format": FORMAT_VERSION,
        "conditions": conditions,
        "fields": [{"name": name, "unit": unit, "text": text} for name, unit, text in describe()],
        "runs": [asdict(run) for run in runs],
    }
