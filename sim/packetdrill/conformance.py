"""Whole suites: which scripts pass, which differ and why that is accepted, which ask for what is not built."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sim.errors import UserError
from sim.packetdrill.runner import Outcome, Profile, Result, run

__all__ = ["ACCEPTED", "SUITES", "Suite", "find_suite", "markdown", "run_suite"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Suite:
    """Somebody else's scripts. ``folder`` is where they lie in a clone of ``source``."""

    name: str
    source: str
    folder: Path
    profile: Profile


_DEFINES = {
    "TFO_COOKIE": "3021b9d889017eeb",
    "TFO_COOKIE_ZERO": "b408458814ca5b82",
    "CODE": "host_unreachable",
    "CMSG_LEVEL_IP": "SOL_IP",
    "CMSG_TYPE_RECVERR": "IP_RECVERR",
}
_PROFILE = Profile(push=False, defines=_DEFINES)

SUITES = (
    Suite(name="google", source="github.com/google/packetdrill", folder=Path("gtests/net/tcp"), profile=_PROFILE),
    Suite(
        name="kernel",
        source="git.kernel.org, torvalds/linux",
        folder=Path("tools/testing/selftests/net/packetdrill"),
        profile=_PROFILE,
    ),
)

_HYSTART = "HyStart++ (RFC 9406) leaves slow start gradually; the script has the windows of Linux's HyStart"
_FQ = "paced by TCP itself, without the credit that Linux's fq qdisc gives a flow after a pause"
_NOT_CONNECTED = "to send before connecting is ENOTCONN, as in BSD; Linux gives EPIPE"
_FRAGMENTS = "many small buffers go in one segment, since they are copied; Linux keeps 17 of them in a packet"
_BYTES = (
    "the send buffer is counted in bytes of data; Linux counts the memory of packets, and lets the last go beyond it"
)

ACCEPTED: Mapping[str, str] = {
    "cubic/cubic-bulk-166k-idle-restart": _HYSTART,
    "cubic/cubic-bulk-166k": _HYSTART,
    "cubic/cubic-hystart-delay-rtt-jumps-upward": _HYSTART,
    "cubic/cubic-rack-reo-timeout-retrans-failed-incoming-data": (
        "the window grows with what is acknowledged in order (RFC 5681 section 3.1); Linux takes what is reported by "
        "SACK too, once it has seen reordering"
    ),
    "cubic/cubic-rto-ss-ca-cwnd-bump": (
        "after a timeout ssthresh comes from what was in flight (RFC 5681 equation 4, RFC 9438 section 4.6); Linux "
        "takes the window, used or not"
    ),
    "epoll/epoll_out_edge": _BYTES,
    "epoll/epoll_out_edge_default_notsent_lowat": _BYTES,
    "epoll/epoll_out_edge_notsent_lowat": (
        "what may be sent leaves at once; Linux holds back the end of a packet, and so has more unsent when the script "
        "looks"
    ),
    "fast_retransmit/fr-4pkt-fack-last-mss": (
        "RACK waits for a quarter of the round trip exactly (RFC 8985 section 6.2); the script has two of Linux's "
        "timer ticks of 4 ms on top"
    ),
    "fastopen/client/simultaneous-fast-open": (
        "a SYN that comes twice is acknowledged, but not reported by a duplicate SACK: RFC 2883 is about data"
    ),
    "fastopen/server/client-ack-dropped-then-recovery-ms-timestamps": (
        "the first ACK offers the whole receive buffer; Linux begins with 64 KiB"
    ),
    "fastopen/server/sockopt-fastopen-key": (
        "a reader that opens the window to twice its size, here the 64 KiB of the SYN, tells it at once; Linux's "
        "window has not grown beyond that yet"
    ),
    "gro/gro-mss-option": "tcpi_rcv_mss of a packet put together by GRO is that of the whole, up to our own MSS",
    "notsent_lowat/notsent-lowat-default": _BYTES,
    "slow_start/slow-start-fq-ack-per-2pkt": _FQ,
    "tcp_slow_start_slow-start-fq-ack-per-2pkt": _FQ,
    "tcp_info/tcp-info-sndbuf-limited": (
        "the send buffer is counted in bytes of data; the script has acknowledgments of what Linux, which counts the "
        "memory of packets, has sent beyond it"
    ),
    "tcp_zerocopy_closed": _NOT_CONNECTED,
    "tcp_zerocopy_maxfrags": _FRAGMENTS,
    "timestamping/partial": _BYTES,
    "ts_recent/invalid_ack": (
        "an acknowledgment of what was never sent is answered with an ACK (RFC 9293 section 3.10.7.4); Linux is silent"
    ),
    "user_timeout/user-timeout-probe": (
        "what this host's own queue has refused is sent again like what is lost on the way; Linux tries it again every "
        "500 ms as a probe"
    ),
    "zerocopy/closed": _NOT_CONNECTED,
    "zerocopy/maxfrags": _FRAGMENTS,
}
"""Differences that stay, by script. A script that is here and passes is an error too: the list is to be true."""


def find_suite(root: Path) -> tuple[Suite, Path]:
    """The suite in a clone at ``root``, and the folder of its scripts. Raises ``UserError``."""
    for suite in SUITES:
        if (root / suite.folder).is_dir():
            return suite, root / suite.folder
    known = ", ".join(f"{suite.source} ({suite.folder}/)" for suite in SUITES)
    raise UserError(f"--suite {root}: none of the suites that are known lies there: {known}")


def run_suite(suite: Suite, folder: Path, on_result: Callable[[Result], None]) -> dict[str, Result]:
    """Results by script, named by their path below ``folder`` without ``.pkt``."""
    results = {}
    for path in sorted(folder.rglob("*.pkt")):
        result = run(path, suite.profile)
        results[path.relative_to(folder).with_suffix("").as_posix()] = result
        on_result(result)
    return results


def unexpected(results: Mapping[str, Result]) -> list[str]:
    """Scripts that fail without an accepted reason, or that pass although one is given."""
    return [
        name
        for name, result in results.items()
        if (result.outcome is Outcome.FAIL) is not (name in ACCEPTED) and result.outcome is not Outcome.UNSUPPORTED
    ]


def _missing(result: Result) -> str:
    """What an unsupported script asks for, in a word or two."""
    return result.detail.splitlines()[-1]


def markdown(suites: Mapping[Suite, Mapping[str, Result]], commits: Mapping[Suite, str]) -> str:
    """The page ``docs/conformance.md``."""
    lines = [
        "# Conformance: packetdrill",
        "",
        "Scripts of [packetdrill](https://github.com/google/packetdrill) that others have written for Linux, run",
        "against this stack in virtual time. `niclab packetdrill --suite PATH --write docs/conformance.md` has made",
        "this page. The scripts themselves are not part of niclab; `PATH` is a clone of the repository that is named.",
        "",
        "The profile: each script has a stack of its own at 192.168.0.1, or where it says (over IPv6 if its name",
        "ends in v6), with packetdrill's tolerance in time. Its sysctls, and those of the `defaults.sh` that it names,",
        "are set; any that this stack does not have makes a script unsupported, unless Linux does with that value what",
        "this stack always does. SO_SNDBUF and SO_RCVBUF are doubled, as socket(7) says. PSH is not compared: RFC 9293",
        "leaves it to the sender, and Linux sets it by how its buffers were cut. A packet that a script expects may",
        "come in segments.",
    ]
    for suite, results in suites.items():
        count = Counter(result.outcome for result in results.values())
        lines += [
            "",
            f"## {suite.source}, {suite.folder}",
            "",
            f"At {commits[suite]}: {len(results)} scripts, {count[Outcome.PASS]} pass, {count[Outcome.FAIL]} differ, "
            f"{count[Outcome.UNSUPPORTED]} ask for what is not built.",
        ]
        if count[Outcome.FAIL]:
            lines += ["", "| differs | why that is accepted |", "| --- | --- |"]
            for name, result in results.items():
                if result.outcome is Outcome.FAIL:
                    reason = ACCEPTED.get(name, "not accepted: to be mended")
                    lines.append(f"| {name} | {reason} |")
        lines += ["", "| passes |", "| --- |"]
        lines += [f"| {name} |" for name, result in results.items() if result.outcome is Outcome.PASS]
        lines += ["", "| not built | what the script asks for |", "| --- | --- |"]
        for name, result in results.items():
            if result.outcome is Outcome.UNSUPPORTED:
                lines.append(f"| {name} | {_missing(result)} |")
    return "\n".join(lines) + "\n"
