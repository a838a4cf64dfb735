"""Published figures beside ours: what was measured where, what the experiments in ``experiments/published`` give, and
where the shapes differ and why."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sim.results import Row

__all__ = ["Published", "published"]


@dataclass(frozen=True)
class Published:
    """One published figure. ``pairs`` are quantity, published value, ours."""

    title: str
    source: str
    conditions: str
    pairs: list[tuple[str, str, str]]
    same_shape: bool
    text: str
    """Where it is the same, and where not and why."""


_Rows = list[Row]

_CLEARLY = 1.01
"""Less than a per cent is no difference."""


def _setting(row: Row, section: str, name: str) -> object:
    value: object = json.loads(row.settings)[section][name]
    return value


def _by(rows: _Rows, section: str, name: str) -> dict[object, Row]:
    return {_setting(row, section, name): row for row in rows}


def _by_mode(rows: _Rows) -> dict[int, Row]:
    return {row.interrupt_throttle_rate: row for row in rows}


def _napi_tcp(rows: _Rows) -> Published:
    """Three ways in which the sender has its turn; the middle one is nearest to the table."""
    by_turn: dict[int, dict[object, Row]] = {}
    for row in rows:
        turn = _setting(row, "link", "peer_interval")
        assert isinstance(turn, int)
        by_turn.setdefault(turn, {})[_setting(row, "driver", "napi")] = row
    found = [(turn, by_napi[True], by_napi[False]) for turn, by_napi in sorted(by_turn.items())]
    gains = [napi.goodput / traditional.goodput - 1 for _, napi, traditional in found]
    # A host that never leaves the poll has no interrupt at all.
    ratios = [
        traditional.interrupts / traditional.frames_received / (max(napi.interrupts, 1) / napi.frames_received)
        for _, napi, traditional in found
    ]
    turns = ", ".join(f"{turn / 1000:g}" for turn, _, _ in found)

    def each(values: Iterable[str]) -> str:
        return "; ".join(values)

    return Published(
        "NAPI and the traditional path, TCP",
        "a seminar's table (iperf, 300 MB and 1 GB, Linux 2.6.26 in VirtualBox on an emulated e1000, single runs)",
        "segments of 988 bytes, a hundredth of the 300 MB, mode 3, a slow host whose interrupts and register accesses "
        f"are exits to a hypervisor; the sender takes acknowledgments at once, or at turns ({turns} µs apart)",
        [
            (
                "packets per interrupt, traditional",
                "5.4 (300 MB), 4.1 (1 GB)",
                each(_per_interrupt(traditional) for _, _, traditional in found),
            ),
            (
                "packets per interrupt, NAPI",
                "52 (300 MB), 56 (1 GB)",
                each(_per_interrupt(napi) for _, napi, _ in found),
            ),
            (
                "interrupts traditional / NAPI",
                "9.6 (58,472 / 6,102), 13.7 (263,699 / 19,280)",
                each(
                    f"{ratio:.1f}" if napi.interrupts else "no interrupt with NAPI"
                    for ratio, (_, napi, _) in zip(ratios, found, strict=True)
                ),
            ),
            (
                "speed of the traditional path",
                "23.4 MB/s, 20.6 MB/s",
                each(f"{traditional.goodput / 8e6:.1f} MB/s" for _, _, traditional in found),
            ),
            (
                "speed of NAPI",
                "+16 % (27.2 MB/s), +9 % (22.5 MB/s)",
                each(
                    f"{100 * gain:+.0f} % ({napi.goodput / 8e6:.1f} MB/s)"
                    for gain, (_, napi, _) in zip(gains, found, strict=True)
                ),
            ),
        ],
        min(ratios) > 5 and min(gains) > 0,
        "The traditional path pays for an interrupt every few packets, NAPI for one when the ring has run empty: it "
        "is faster on a host that is full. How often the ring runs empty is the sender's doing. One that answers at "
        "once never lets it, so that there is no interrupt at all; 52 packets per interrupt, most of a window of 64 "
        "KiB, say that the published sender, a virtual machine on the same computer, paused. Its turns are not "
        "published, nor are the prices of that machine; ours are stated. The turns are ours, too: of some ten values "
        "that were tried, from 0 to 3 ms, these are kept, 800 µs since it comes nearest; with others NAPI gained "
        "nothing, or twice as much. So this shows that the table is possible, not that it had to come out. The "
        "traditional path has fewer packets per interrupt here, since mode 3 stays in its low class (20,000/s at "
        "most); the published 4,600 and 5,300 interrupts/s lie nearer to its bulk class (4,000/s).",
    )


def _per_interrupt(row: Row) -> str:
    if not row.interrupts:
        return f"no interrupt for {row.frames_received:,} packets"
    return f"{row.frames_received / row.interrupts:.2f}"


def _napi_udp(rows: _Rows) -> Published:
    by_napi = _by(rows, "driver", "napi")
    napi, traditional = by_napi[True], by_napi[False]
    ratio = traditional.interrupts / max(napi.interrupts, 1)
    return Published(
        "NAPI and the traditional path, UDP of 150 bytes",
        "the same table: 1,428,427 and 1,438,770 interrupts for 2,097,152 datagrams",
        "530 datagrams, 5,300/s with equal gaps, mode 3, the same slow host",
        [
            ("interrupts traditional / NAPI", "0.99", f"{ratio:.2f}"),
            ("packets per interrupt", "1.47 and 1.46", f"{_per_interrupt(traditional)} and {_per_interrupt(napi)}"),
            (
                "processor busy, NAPI against traditional",
                "59.9 % against 53.7 % (another source: Spraul, 50,000/s on a Duron 700)",
                f"{100 * napi.busy:.1f} % against {100 * traditional.busy:.1f} %",
            ),
        ],
        0.9 < ratio < 1.1 and napi.busy > traditional.busy,
        "No gain in both: an isolated datagram is one interrupt either way. NAPI even costs more then, for it masks "
        "and unmasks the interrupt each time, which Manfred Spraul measured in 2002 (linux-kernel, 17 September, "
        "NAPI performance at low loads); more so here, where a register access is an exit to a hypervisor. The "
        "published 1.5 packets per interrupt say that those datagrams did not come with equal gaps, of which the "
        "source tells nothing.",
    )


def _itr_500(rows: _Rows) -> Published:
    [row] = rows
    register = row.itr_log[0]["register"] if row.itr_log else 0
    return Published(
        "ITR 500",
        "Intel 8254x manual, 13.4.18: 500 units of 256 ns are 128 µs, at most 7813 interrupts/s",
        "bulk TCP to host A at line rate",
        [("ITR", "500", str(register)), ("interrupts/s", "7813", f"{row.interrupt_rate:.0f}")],
        register == 500 and abs(row.interrupt_rate - 7812.5) < 80,
        "The throttle counts from the last interrupt, so a busy NIC interrupts at its limit. A phase of 20 ms counts "
        "156 or 157 of them, so the rate is known to half a per cent.",
    )


def _round_trip(rows: _Rows) -> Published:
    row, free = _by_mode(rows)[8000], _by_mode(rows)[0]
    return Published(
        "Round trip at 8000 interrupts/s",
        "Evan Jones, ethernet-latency: one byte over TCP takes 125 µs, about 8000 trips/s",
        "one byte there and back over TCP, one outstanding",
        [
            ("round trip, fixed 8000/s", "125 µs", f"{1e6 * row.latency_p50:.1f} µs"),
            ("round trips/s", "about 8000", f"{row.transaction_rate:.0f}"),
            ("round trip without throttling", "not said", f"{1e6 * free.latency_p50:.1f} µs"),
        ],
        abs(1e6 * row.latency_p50 - 125) < 2,
        "One interval of 488 units (124.9 µs) per round trip: the answer comes while the throttle still counts.",
    )


def _genode(rows: _Rows) -> Published:
    """With a window that grows, and with one of 128 KiB."""
    published = ("80 % at 706 Mb/s", "20 % at 763 Mb/s", "15 % at 650 Mb/s")
    growing = [row for row in rows if _setting(row, "workload", "receive_buffer") is None]
    fixed = [row for row in rows if row not in growing]
    sets = [[_by_mode(members)[rate] for rate in (0, 6000, 700)] for members in (growing, fixed)]
    pairs = [
        (
            f"ITR {units}",
            theirs,
            "; ".join(f"{100 * row.busy:.0f} % at {row.goodput / 1e6:.0f} Mb/s" for row in both),
        )
        for units, theirs, both in zip((0, 651, 5580), published, zip(*sets, strict=True), strict=True)
    ]
    steep = all(points[0].busy > 2 * points[1].busy and points[2].busy <= points[1].busy for points in sets)
    falls = sets[1][1].goodput > _CLEARLY * sets[1][2].goodput
    rises = sets[1][1].goodput > _CLEARLY * sets[1][0].goodput
    return Published(
        "Genode's three points",
        "genodelabs/genode issue 5149 (receiving at 1 Gb/s; its author calls the points not representative)",
        "bulk TCP to host A, one stream; with a window that grows; with one of 128 KiB",
        pairs,
        steep and falls and rises,
        ("Processor time falls steeply at first and hardly after, as published. " if steep else "")
        + (
            "Goodput falls at the longest interval when the window does not cover it, as published. "
            if falls
            else "Goodput does not fall at the longest interval. "
        )
        + (
            "It is best between, as published."
            if rises
            else "Without throttling it does not fall here: our host has time left, so the wire limits it. Theirs was "
            "perhaps full in one place (a microkernel's driver is a process of its own), which 80 % would not show."
        ),
    )


def _hp(rows: _Rows) -> Published:
    def of(workload: str, mode: int, **settings: object) -> Row:
        return next(
            row
            for row in rows
            if (row.workload, row.interrupt_throttle_rate) == (workload, mode)
            and all(_setting(row, "workload", name) == value for name, value in settings.items())
        )

    def change(value: Callable[[Row], float], workload: str, **settings: object) -> float:
        return 100 * (value(of(workload, 0, **settings)) / value(of(workload, 8000, **settings)) - 1)

    trip = change(lambda row: row.latency_p50, "ping-pong", outstanding=1)
    peak = change(lambda row: row.transaction_rate, "ping-pong", outstanding=32)
    send = change(lambda row: row.busy / row.goodput, "bulk", way="send")
    receive = change(lambda row: row.busy / row.goodput, "bulk", way="receive")
    return Published(
        "HP: latency for processor time",
        "Rick Jones, HP 2005: NIC latency against throughput, settings of lowest latency against the defaults",
        "no throttling against fixed 8000/s; requests of one byte, bulk TCP",
        [
            ("round trip", "up to -85 %", f"{trip:+.0f} %"),
            ("peak rate of small requests", "-23 %", f"{peak:+.0f} % (32 outstanding)"),
            ("processor time per byte sent", "+63 %", f"{send:+.0f} %"),
            ("processor time per byte received", "+145 %", f"{receive:+.0f} %"),
        ],
        trip < -50 and send > 0 and receive > send,
        "Latency falls and processor time per byte rises, receiving more than sending, as published; by how much hangs "
        "on the prices of an interrupt and of a register access against those of a byte. "
        + (
            "The peak rate falls too: with 32 outstanding the host is full, and interrupts take their part."
            if peak < 0
            else "The peak rate does not: 32 requests do not keep the host busy through an interval, so that latency "
            "limits the rate and throttling lowers it, where HP's many connections were limited by the processor."
        ),
    )


def _bistable(rows: _Rows) -> Published:
    by_stall = _by(rows, "workload", "stall")
    calm = by_stall[0]
    [shaken] = [row for stall, row in by_stall.items() if stall]
    half = shaken.duration / 2
    before = [write["register"] for write in shaken.itr_log if write["time"] < half][-1]
    after = shaken.itr_log[-1]["register"]
    calm_last = calm.itr_log[-1]["register"]
    return Published(
        "The dynamic mode is bistable at line rate",
        "Linux's e1000_update_itr, from its thresholds: at 1518 bytes both low latency (four frames per interval) and "
        "bulk (twenty) keep themselves",
        "full frames at 80,000/s in mode 1; in one run the processor is away once, for 150 µs",
        [
            ("ITR undisturbed, to the end", "195 (low)", str(calm_last)),
            ("ITR before the disturbance", "195 (low)", str(before)),
            ("ITR to the end after it", "976 (bulk)", str(after)),
        ],
        calm_last == 195 and after == 976,
        "The same traffic ends in either class, by what happened once.",
    )


def _overrun(rows: _Rows) -> Published:
    found = {(row.interrupt_throttle_rate, _setting(row, "driver", "rx_descriptors")): row for row in rows}

    def tell(rate: int, ring: int) -> str:
        row = found[rate, ring]
        return f"{row.receive_no_buffer:,} without descriptor, {row.drops['fifo']:,} dropped"

    pairs = [
        (f"{rate}/s, ring of {ring}", text, tell(rate, ring))
        for rate, ring, text in (
            (20000, 256, "74 frames per interval: fits"),
            (4000, 256, "372 frames per interval: overruns"),
            (1000, 256, "1488 frames per interval: overruns"),
            (4000, 1024, "fits"),
        )
    ]
    fits = found[20000, 256].receive_no_buffer == 0 and found[4000, 1024].receive_no_buffer == 0
    overruns = found[4000, 256].receive_no_buffer > 0 and found[1000, 256].drops["fifo"] > 0
    return Published(
        "The ring overruns in the bulk class with minimum frames",
        "arithmetic: 1,488,095 frames/s are 372 in the 250 µs of the bulk class, more than a ring of 256 holds",
        "1.4 million frames/s of 64 bytes, fixed rates, a host fast enough to leave the poll between two interrupts",
        pairs,
        fits and overruns,
        "What the ring cannot hold waits in the NIC's packet buffer first (counted by RNBC); it is dropped (MPC) when "
        "that is full too.",
    )


_CLAIMS: dict[str, Callable[[_Rows], Published]] = {
    "napi-tcp": _napi_tcp,
    "napi-udp": _napi_udp,
    "itr-500": _itr_500,
    "round-trip": _round_trip,
    "genode": _genode,
    "hp": _hp,
    "bistable": _bistable,
    "overrun": _overrun,
}


def published(rows: Sequence[Row]) -> list[Published]:
    """The published figures whose experiments are among the rows, whole."""
    found = []
    for name, claim in _CLAIMS.items():
        members = [row for row in rows if row.experiment == name]
        if members:
            found.append(claim(members))
    return found
