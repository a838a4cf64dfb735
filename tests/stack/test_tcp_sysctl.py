"""Settings by their sysctl names, and socket options by theirs."""

import errno

import pytest

from stack.socket import (
    AF_INET,
    SO_KEEPALIVE,
    SO_MAX_PACING_RATE,
    SO_RCVBUF,
    SO_SNDBUF,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_CONGESTION,
    TCP_CORK,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_MAXSEG,
    TCP_QUICKACK,
    TCP_USER_TIMEOUT,
)
from stack.tcp.sysctl import TcpSysctl
from stack.tcp.tcp import IPPROTO_TCP
from tests.stack.network import Network
from tests.stack.scripted import Script


def test_every_name_reads_and_writes_back() -> None:
    network = Network()
    sysctl = TcpSysctl(network.a.tcp)
    before = network.a.tcp.parameters
    for name in sysctl.names():
        value = sysctl.read(name)
        assert sysctl.read(name.replace(".", "/")) == value
        if name != "net.ipv4.tcp_available_congestion_control":
            sysctl.write(name, value)
    assert network.a.tcp.parameters == before


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("net.ipv4.tcp_keepalive_time", "600", "keepalive_time", 600_000_000_000),
        ("net.ipv4.tcp_sack", "0", "sack", False),
        ("net/ipv4/tcp_rto_min_us", "5000", "minimum_rto", 5_000_000),
        ("net.ipv4.tcp_congestion_control", "reno", "congestion_control", "reno"),
        ("net.ipv4.tcp_rmem", "4096 131072 6291456", "receive_buffer", 131072),
        ("net.ipv4.tcp_wmem", "4096\t16384\t4194304", "send_buffer_maximum", 4194304),
    ],
)
def test_a_setting_takes_effect(name: str, value: str, field: str, expected: object) -> None:
    tcp = Network().a.tcp
    TcpSysctl(tcp).write(name, value)
    assert getattr(tcp.parameters, field) == expected


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("net.ipv4.tcp_keepalive_time", "0", errno.EINVAL),
        ("net.ipv4.tcp_keepalive_time", "ten", errno.EINVAL),
        ("net.ipv4.tcp_keepalive_time", "", errno.EINVAL),
        ("net.ipv4.tcp_keepalive_probes", "128", errno.EINVAL),
        ("net.ipv4.tcp_sack", "2", errno.EINVAL),
        ("net.ipv4.tcp_rmem", "4096 131072", errno.EINVAL),
        ("net.ipv4.tcp_rmem", "4096 2048 6291456", errno.EINVAL),
        ("net.ipv4.tcp_congestion_control", "vegas", errno.EINVAL),
        ("net.ipv4.tcp_rto_max_ms", "1000 1000", errno.EINVAL),
        ("net.ipv4.tcp_available_congestion_control", "reno", errno.EACCES),
        ("net.ipv4.tcp_magic", "1", errno.ENOENT),
    ],
)
def test_bad_values_change_nothing(name: str, value: str, number: int) -> None:
    tcp = Network().a.tcp
    before = tcp.parameters
    with pytest.raises(OSError, match=name) as raised:
        TcpSysctl(tcp).write(name, value)
    assert raised.value.errno == number
    assert tcp.parameters is before


@pytest.mark.parametrize(
    ("level", "option", "value"),
    [
        (SOL_SOCKET, SO_KEEPALIVE, 1),
        (SOL_SOCKET, SO_MAX_PACING_RATE, 1_000_000),
        (SOL_SOCKET, SO_SNDBUF, 50_000),
        (SOL_SOCKET, SO_RCVBUF, 50_000),
        (IPPROTO_TCP, TCP_CORK, 1),
        (IPPROTO_TCP, TCP_KEEPIDLE, 60),
        (IPPROTO_TCP, TCP_KEEPINTVL, 5),
        (IPPROTO_TCP, TCP_KEEPCNT, 3),
        (IPPROTO_TCP, TCP_MAXSEG, 900),
        (IPPROTO_TCP, TCP_QUICKACK, 0),
        (IPPROTO_TCP, TCP_USER_TIMEOUT, 1500),
        (IPPROTO_TCP, TCP_CONGESTION, "reno"),
    ],
)
def test_socket_options_read_back(level: int, option: int, value: int | str) -> None:
    socket = Network().a.socket(AF_INET, SOCK_STREAM)
    assert socket.getsockopt(level, option) != value
    socket.setsockopt(level, option, value)
    assert socket.getsockopt(level, option) == value


@pytest.mark.parametrize(
    ("level", "option", "value", "number"),
    [
        (IPPROTO_TCP, TCP_KEEPIDLE, 0, errno.EINVAL),
        (IPPROTO_TCP, TCP_KEEPCNT, 128, errno.EINVAL),
        (IPPROTO_TCP, TCP_MAXSEG, 20, errno.EINVAL),
        (IPPROTO_TCP, TCP_CORK, "yes", errno.EINVAL),
        (IPPROTO_TCP, TCP_CONGESTION, "vegas", errno.ENOENT),
        (IPPROTO_TCP, 999, 1, errno.ENOPROTOOPT),
    ],
)
def test_bad_options(level: int, option: int, value: int | str, number: int) -> None:
    socket = Network().a.socket(AF_INET, SOCK_STREAM)
    with pytest.raises(OSError) as raised:  # noqa: PT011 - the errno is looked at
        socket.setsockopt(level, option, value)
    assert raised.value.errno == number


def test_what_is_accepted_inherits_and_changes_by_itself() -> None:
    script = Script()
    socket, _ = script.accepted()
    socket.setsockopt(IPPROTO_TCP, TCP_CONGESTION, "reno")
    assert socket.tcp_info().congestion_control == "reno"
    other = script.stack.socket(AF_INET, SOCK_STREAM)
    assert other.getsockopt(IPPROTO_TCP, TCP_CONGESTION) == "cubic"
