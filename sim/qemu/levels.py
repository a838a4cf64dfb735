"""The acceptance levels: what a guest's words, and those of the server and the far end, must say."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sim.qemu.guest import GuestLog, Line
from sim.vfio_user.statistics import Statistics

__all__ = [
    "Check",
    "Evidence",
    "Level",
    "features",
    "kernel",
    "life",
    "link",
    "probe",
    "self_test",
    "statistics",
    "tcp",
]

_STATION = "02:00:00:00:00:01"
_FAULTS = ("Tx Unit Hang", "nobody cared", "Call Trace", "BUG:", "EEPROM Checksum", "Hardware Error", "Reset adapter")
_OFFLOADS = ("tcp-segmentation-offload", "tx-checksumming", "rx-checksumming", "scatter-gather")
_SELF_TESTS = 5
_LONGEST_FRAME = 1522


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    level: str
    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one guest: its log, the server's statistics, and the checksum errors that its peer has counted."""

    log: GuestLog
    statistics: Statistics
    checksum_errors: int


def _value(line: Line | None, name: str) -> str:
    return "" if line is None else line.values.get(name, "")


def _first(log: GuestLog, step: str) -> Line | None:
    return next(iter(log.of(step)), None)


def probe(evidence: Evidence) -> Iterator[Check]:
    """A: the driver binds."""
    line = _first(evidence.log, "probe")
    detail = f"kernel {_value(line, 'kernel')}, eth0 {_value(line, 'mac')}"
    yield Check("A", "probe", (_value(line, "status"), _value(line, "mac")) == ("0", _STATION), detail)


def _echo(level: str, step: str, lines: list[Line]) -> Check:
    sent = sum(int(line.values.get("sent") or 0) for line in lines)
    received = sum(int(line.values.get("received") or 0) for line in lines)
    sizes = [int(line.values["size"]) for line in lines if "size" in line.values]
    of = f", {min(sizes)} to {max(sizes)} bytes" if len(sizes) > 1 else ""
    return Check(level, step, sent == received and sent > 0, f"{received} of {sent} echo requests answered{of}")


def link(evidence: Evidence) -> Iterator[Check]:
    """B: the link comes up, and pings of all sizes are answered."""
    for line in evidence.log.of("up"):
        values = line.values
        good = (values.get("carrier"), values.get("speed"), values.get("duplex")) == ("1", "1000", "full")
        yield Check("B", "link", good, f"{values.get('speed')} Mb/s {values.get('duplex')} duplex")
    for step in ("ping", "sizes", "flood"):
        if lines := [line for line in evidence.log.of(step) if "sent" in line.values]:
            yield _echo("B", step, lines)


def features(evidence: Evidence) -> Iterator[Check]:
    """C: the offloads are on."""
    line = _first(evidence.log, "features")
    on = [name for name in _OFFLOADS if line and any(text.startswith(f"{name}: on") for text in line.text)]
    yield Check("C", "offloads", len(on) == len(_OFFLOADS), f"on: {', '.join(on)}")


def tcp(evidence: Evidence) -> Iterator[Check]:
    """C: bytes come back as they went, with right checksums on the wire."""
    line = _first(evidence.log, "tcp")
    detail = f"{_value(line, 'bytes')} bytes in {_value(line, 'seconds')} s of the guest's time"
    yield Check("C", "TCP echo", _value(line, "same") == "yes", detail)
    errors = evidence.checksum_errors
    yield Check("C", "checksums", errors == 0, f"{errors} wrong ones at the peer")


def self_test(evidence: Evidence) -> Iterator[Check]:
    """D: the driver's own test of the hardware."""
    for line in evidence.log.of("selftest"):
        results = [match for text in line.text if (match := re.search(r"\((?:offline|on/offline)\)\s+(\d+)", text))]
        zeros = sum(match[1] == "0" for match in results)
        passed = any("The test result is PASS" in text for text in line.text) and zeros == _SELF_TESTS
        yield Check("D", f"ethtool -t {line.values['kind']}", passed, f"{zeros} of {_SELF_TESTS} results are 0")


def life(evidence: Evidence) -> Iterator[Check]:
    """E: jumbo frames, VLAN, down, unload."""
    log = evidence.log
    for step in ("mtu", "jumbo", "vlan"):
        if lines := [line for line in log.of(step) if "sent" in line.values]:
            yield _echo("E", step, lines)
    for step in ("down", "unload"):
        if line := _first(log, step):
            yield Check("E", step, _value(line, "status") == "0", f"status {_value(line, 'status')}")


def kernel(evidence: Evidence) -> Iterator[Check]:
    """E: the guest's kernel complains about nothing, and the NIC kept to the memory that it was given."""
    found = [fault for fault in _FAULTS if fault in evidence.log.console]
    yield Check("E", "kernel's messages", not found, ", ".join(found) or "no complaint")
    bad = evidence.statistics.bad_reads + evidence.statistics.bad_writes
    yield Check("E", "DMA", bad == 0, f"{bad} accesses outside of the guest's memory")


def statistics(evidence: Evidence) -> Iterator[Check]:
    """F: the driver's counters are what crossed the wire.

    Octets that arrive after the driver has read the low word of a counter are cleared with its high word (manual
    13.7.28), so of those the driver may miss what the server saw arrive in between, give or take a frame at each end.
    """
    line = _first(evidence.log, "statistics")
    shown = dict(re.findall(r"^\s+(\w+): (\d+)$", "\n".join(line.text if line else ()), re.MULTILINE))
    wire = evidence.statistics.wire
    for name in ("tx_packets", "rx_packets", "tx_bytes", "rx_bytes", "tx_broadcast", "rx_broadcast"):
        told, crossed = int(shown.get(name, -1)), wire.get(name, -2)
        between = wire.get(f"{name}_between", 0)
        lost = crossed - told
        yield Check(
            "F",
            f"ethtool -S {name}",
            lost == 0 or (between > 0 and 0 < lost <= between + 2 * _LONGEST_FRAME),
            f"driver {told}, wire {crossed}" + (f", {between} crossed between two reads" if lost else ""),
        )


Level = Callable[[Evidence], Iterator[Check]]
