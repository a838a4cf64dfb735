"""Our own packetdrill scripts, one per rule of an RFC, and what the interpreter says when one is not met."""

from pathlib import Path

import pytest

from sim.packetdrill.runner import Outcome, Profile, run

SCRIPTS = sorted((Path(__file__).parent / "packetdrill").glob("*.pkt"))
PROFILE = Profile(defines={})


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    result = run(path, PROFILE)
    assert result.outcome is Outcome.PASS, result.detail


HANDSHAKE = """
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 bind(3, ..., ...) = 0
   +0 listen(3, 1) = 0
   +0 < S 0:0(0) win 65535 <mss 1000>
   +0 > S. 0:0(0) ack 1 <...>
   +0 < . 1:1(0) ack 1 win 60000
   +0 accept(3, ..., ...) = 4
"""


def outcome(tmp_path: Path, text: str, profile: Profile = PROFILE) -> tuple[Outcome, str]:
    path = tmp_path / "script.pkt"
    path.write_text(text)
    result = run(path, profile)
    return result.outcome, result.detail


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        ("+0 > P. 2:102(100) ack 1 <...>", "differs in its numbers"),
        ("+0 > P. 1:91(90) ack 1 <...>", "differs in its length"),
        ("+0 > P. 1:101(100) ack 2 <...>", "differs in its acknowledgment"),
        ("+0 > F. 1:101(100) ack 1 <...>", "differs in its flags"),
        ("+0 > . 1:101(100) ack 1 <...>", "differs in its flags"),
        ("+0 > P. 1:101(100) ack 1 win 9 <...>", "differs in its window"),
        ("+0 > P. 1:101(100) ack 1 <nop,nop,sackOK>", "differs in its options"),
        ("+0 > [ect0] P. 1:101(100) ack 1 <...>", "differs in its ECN"),
        ("+0 > ttl 63 P. 1:101(100) ack 1 <...>", "differs in its TTL"),
        ("+.05 > P. 1:101(100) ack 1 <...>", "differs in its time, which should be 0.050000 s"),
        ("+.05~+.06 > P. 1:101(100) ack 1 <...>", "differs in its time, which should be 0.050000 s to 0.060000 s"),
        ("+0 > P. 1:201(200) ack 1 <...>", "nothing up to"),
    ],
)
def test_a_packet_that_differs_is_shown_beside_what_was_expected(
    tmp_path: Path, expected: str, difference: str
) -> None:
    found, detail = outcome(tmp_path, HANDSHAKE + "+0 write(4, ..., 100) = 100\n" + expected)
    assert found is Outcome.FAIL
    assert detail.startswith(f"line 10: {expected}\n")
    assert difference in detail
    assert "actual:" in detail


def test_push_is_compared_only_if_the_profile_says_so(tmp_path: Path) -> None:
    text = HANDSHAKE + "+0 write(4, ..., 100) = 100\n+0 > . 1:101(100) ack 1"
    assert outcome(tmp_path, text)[0] is Outcome.FAIL
    assert outcome(tmp_path, text, Profile(push=False, defines={}))[0] is Outcome.PASS


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("+0 write(4, ..., 100) = 99", "expected: = 99\nactual:   = 100"),
        ("+0 read(7, ..., 100) = 1", "actual:   = -1 EBADF (Bad file descriptor)"),
        ("+0 write(4, ..., 100) = -1 EPIPE (Broken pipe)", "expected: = -1 EPIPE\nactual:   = 100"),
        ("+0 read(4, ..., 100) = 1", "the call does not return"),
        ("+0...0.1 read(4, ..., 100) = 1", "the call has not returned in time"),
        ("+0 %{ assert tcpi_snd_cwnd == 11, tcpi_snd_cwnd }%", "actual:   10"),
        ("+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0", "actual:   TCP_NODELAY 0"),
    ],
)
def test_a_call_that_differs(tmp_path: Path, statement: str, said: str) -> None:
    found, detail = outcome(tmp_path, HANDSHAKE + statement)
    assert found is Outcome.FAIL
    assert said in detail


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("+0 splice(4, ..., 5, ..., 10, 0) = 10", "splice()"),
        ("+0 setsockopt(4, SOL_SOCKET, SO_PRIORITY, [1], 4) = 0", "socket option SOL_SOCKET, SO_PRIORITY"),
        ("+0 `sysctl -q net.ipv4.tcp_pear=1`", "sysctl net.ipv4.tcp_pear=1"),
        ("+0 `tc qdisc replace dev tun0 root tbf`", "command tc"),
        ("+0 %{ assert tcpi_pear == 1 }%", "name 'tcpi_pear' is not defined"),
        ("+0 > gre: . 1:1(0) ack 1", "encapsulation gre"),
        ("+0 < . 1:1(0) ack 1 win 9 <md5 1234>", "TCP option md5"),
    ],
)
def test_what_is_not_built_is_named(tmp_path: Path, statement: str, said: str) -> None:
    found, detail = outcome(tmp_path, HANDSHAKE + statement)
    assert found is Outcome.UNSUPPORTED
    assert said in detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 socket(...", "line 1: expected ','"),
        ("0 > S 0:0", "line 1: expected numbers as 1:1001(1000)"),
        ("0 < Q 0:0(0)", "line 1: expected TCP flags"),
        ("0 < S 0:0(0) <pear 3>", "line 1: unknown TCP option"),
        ("\n\npear", "line 3: expected a time"),
        ("0 = 3", "line 1: expected a packet, a call, a command or code"),
        ('0 read(3, "\\x", 1) = 1', "line 1"),
    ],
)
def test_what_is_no_script_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    found, detail = outcome(tmp_path, text)
    assert found is Outcome.FAIL
    assert said in detail
