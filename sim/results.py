"""What a run tells: tidy rows, one per phase of a run, each field with its unit and meaning.

The same table is the schema of the Parquet files, the content of ``results.json``, and ``docs/results.md``.
"""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, NamedTuple, TypedDict, get_type_hints

from stack.environment import Cause

__all__ = [
    "CAUSES",
    "DROP_CAUSES",
    "FORMAT_VERSION",
    "QUANTILES",
    "Column",
    "ItrWrite",
    "RingSample",
    "Row",
    "describe",
    "settings_of",
    "to_json",
]

FORMAT_VERSION = 2

QUANTILES = (*(index / 200 for index in range(200)), 0.999, 1.0)
"""Shares at which a distribution's quantiles are kept: half a per cent apart, then the tail."""

CAUSES = (*(cause.value for cause in Cause), "idle")
"""What a processor's time goes to."""

DROP_CAUSES = {
    "wire": "lost by the link",
    "switch": "no room in the switch before host A (incast)",
    "crc": "damaged: CRCERRS of A's NIC",
    "fifo": "no room in the NIC: MPC",
    "backlog": "no room in the backlog queue (netif_rx)",
    "socket": "no room in A's socket",
    "stack": "any other reason that A's stack has",
    "qdisc": "no room in A's transmit queue",
}
"""Where frames end that do not arrive."""


class Column(NamedTuple):
    """Unit and meaning of a field."""

    unit: str
    text: str


class ItrWrite(TypedDict):
    """One write of the ITR register."""

    time: float
    """s from the phase's start; the first may be before it."""
    register: int
    """256 ns."""
    rx_class: int
    tx_class: int


class RingSample(TypedDict):
    """How full the rings are at a time."""

    time: float
    """s from the phase's start."""
    rx: int
    """Descriptors that hold frames the driver has not taken."""
    tx: int
    """Descriptors given to the NIC and not taken back."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One phase of one run."""

    key: Annotated[str, Column("", "digest of all that the run depends on; the rows of one run share it")]
    experiment: Annotated[str, Column("", "name of the experiment")]
    name: Annotated[str, Column("", "name of the run: workload, parameters that vary, mode, offloads, seed")]
    backend: Annotated[str, Column("", "what played the NIC: rtl or model")]
    workload: Annotated[str, Column("", "kind of the workload")]
    phase: Annotated[str, Column("", "part of the workload that this row measures")]
    settings: Annotated[str, Column("", "all parameters of the workload, driver, link and host as JSON")]
    varied: Annotated[str, Column("", "those that vary beside mode, offloads, load and seed, as JSON")]
    load: Annotated[float, Column("see load_unit", "what the workload offers")]
    load_unit: Annotated[str, Column("", "unit of load: packets/s, outstanding, connections, senders, file")]
    interrupt_throttle_rate: Annotated[
        int, Column("", "driver parameter InterruptThrottleRate: 0, 1, 3, 4 or interrupts/s")
    ]
    mode: Annotated[str, Column("", "the same in words: off, dynamic, dynamic conservative, simplified, fixed")]
    offloads: Annotated[bool, Column("", "TSO and transmit and receive checksum offload on")]
    seed: Annotated[int, Column("", "seed of the run's random numbers")]
    sha256: Annotated[str, Column("", "SHA-256 of the file that a workload sends or replays; empty if there is none")]
    duration: Annotated[float, Column("s", "simulated time of the phase")]
    sent_bytes: Annotated[int, Column("bytes", "payload that A's programs sent and the other side's received")]
    received_bytes: Annotated[int, Column("bytes", "payload that A's programs received")]
    send_goodput: Annotated[float, Column("bit/s", "sent_bytes over the duration")]
    receive_goodput: Annotated[float, Column("bit/s", "received_bytes over the duration")]
    transactions: Annotated[int, Column("", "requests answered, or datagrams or rounds that reached A's program")]
    transaction_rate: Annotated[float, Column("1/s", "transactions over the duration")]
    interrupts: Annotated[int, Column("", "interrupts of A's NIC that its handler took")]
    interrupt_rate: Annotated[float, Column("1/s", "interrupts over the duration")]
    frames_sent: Annotated[int, Column("", "frames A's NIC put on the wire")]
    frames_received: Annotated[int, Column("", "frames that the wire brought towards A's NIC")]
    packets_per_interrupt: Annotated[float, Column("", "frames (sent and received) per interrupt; 0 without interrupt")]
    cpu: Annotated[
        dict[str, float], Column("", "share of the time of A's processors by cause, idle included; sums to 1")
    ]
    latency_of: Annotated[
        str,
        Column("", "what latency measures: round trip (program to program), delivery (wire to program), receive"),
    ]
    latency_count: Annotated[int, Column("", "how many were measured")]
    latency_p50: Annotated[float, Column("s", "median; 0 if none was measured, as for the others")]
    latency_p99: Annotated[float, Column("s", "99th percentile")]
    latency_p999: Annotated[float, Column("s", "99.9th percentile")]
    latency_max: Annotated[float, Column("s", "the longest")]
    latencies: Annotated[list[float], Column("s", "its quantiles at 0, 0.5, ... 99, 99.5, 99.9 and 100 %")]
    receive_p50: Annotated[float, Column("s", "median time from a frame's last bit at A's NIC to A's stack having it")]
    receive_p99: Annotated[float, Column("s", "99th percentile of it")]
    receive_latencies: Annotated[list[float], Column("s", "its quantiles, as of latencies")]
    drops: Annotated[dict[str, int], Column("", "frames towards or from A that ended early, by cause")]
    receive_no_buffer: Annotated[int, Column("", "RNBC: frames that found no descriptor, and waited in the NIC")]
    retransmissions: Annotated[int, Column("", "TCP segments sent again, all hosts")]
    tso_packets: Annotated[int, Column("", "packets that A's driver gave the NIC to cut")]
    tso_segments: Annotated[int, Column("", "segments cut from them")]
    tso_segments_per_descriptor: Annotated[float, Column("", "segments per data descriptor of TSO packets (0 if none)")]
    polls: Annotated[int, Column("", "NAPI polls")]
    itr_log: Annotated[list[ItrWrite], Column("s, 256 ns", "writes of the ITR register: time, value, both classes")]
    rings: Annotated[list[RingSample], Column("s, descriptors", "how full the rings are, sampled")]
    dma_read_bytes: Annotated[int, Column("bytes", "read by the NIC from host memory, whole run")]
    dma_write_bytes: Annotated[int, Column("bytes", "written by the NIC to host memory, whole run")]
    simulated_cycles: Annotated[int, Column("", "cycles of the 125 MHz clock simulated, whole run")]
    wall_time: Annotated[float, Column("s", "wall time of the simulation, whole run")]
    cycles_per_second: Annotated[float, Column("1/s", "simulated cycles per second of wall time")]

    @property
    def busy(self) -> float:
        """Share of the processor's time that is not idle."""
        return 1.0 - self.cpu["idle"]

    @property
    def goodput(self) -> float:
        """bit/s, both ways together."""
        return self.send_goodput + self.receive_goodput


def describe() -> list[tuple[str, str, str]]:
    """Name, unit and meaning of every field of a row."""
    return [(name, *hint.__metadata__[0]) for name, hint in get_type_hints(Row, include_extras=True).items()]


def to_json(rows: list[Row], conditions: dict[str, Any]) -> dict[str, Any]:
    """The content of ``results.json``."""
    return {
        "format": FORMAT_VERSION,
        "conditions": conditions,
        "fields": [{"name": name, "unit": unit, "text": text} for name, unit, text in describe()],
        "runs": [asdict(row) for row in rows],
    }


def settings_of(row: Row) -> dict[str, Any]:
    """A row's settings, by section."""
    content: dict[str, Any] = json.loads(row.settings)
    return content
