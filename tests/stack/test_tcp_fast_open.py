"""TCP Fast Open (RFC 7413) where a script with one connection does not reach: queues, keys, several connections."""

import errno
from collections.abc import Callable

import pytest

from stack.siphash import siphash
from stack.socket import (
    MSG_DONTWAIT,
    MSG_FASTOPEN,
    SOCK_STREAM,
    TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT,
    TCP_FASTOPEN_KEY,
    TCP_FASTOPEN_NO_COOKIE,
    TCP_SYNCNT,
)
from stack.socket.stream import StreamSocket
from stack.tcp.options import FastOpenOption, Options, pack_syn_options, parse_options
from stack.tcp.parameters import TcpParameters
from stack.tcp.sysctl import TcpSysctl
from stack.tcp.tcp import IPPROTO_TCP
from tests.stack.network import MS, SECOND, B, Network
from tests.stack.scripted import Script

SERVER = TcpParameters(timestamps=False, fast_open=3)
CLIENT = TcpParameters(timestamps=False)
KEY = bytes(range(16))
OTHER = bytes(range(16, 32))


def test_siphash_has_the_values_of_its_authors() -> None:
    """The vectors of the reference implementation, key 00 01 .. 0f, message 00 01 .. of so many bytes."""
    vectors = {
        0: "310e0edd47db6f72",
        1: "fd67dc93c539f874",
        7: "37d1018bf50002ab",
        8: "6224939a79f5f593",
        15: "e545be4961ca29a1",
    }
    for size, expected in vectors.items():
        assert siphash(KEY, bytes(range(size))).hex() == expected


@pytest.mark.parametrize("option", [FastOpenOption(), FastOpenOption(b"12345678"), FastOpenOption(b"1234", True)])
def test_the_option_is_packed_and_read(option: FastOpenOption) -> None:
    packed = pack_syn_options(Options(1460, 7, True, None, option))
    assert len(packed) % 4 == 0
    assert parse_options(packed).fast_open == option


def listener(script: Script, queue: int = 4, *options: tuple[int, int | bytes]) -> StreamSocket:
    socket = script.stack.socket(script.family, SOCK_STREAM)
    for option, value in [(TCP_FASTOPEN, queue), *options]:
        socket.setsockopt(IPPROTO_TCP, option, value)
    script.call(socket.bind((script.host, script.ports[0])))
    script.call(socket.listen())
    return socket


def syn(script: Script, port: int, cookie: bytes, data: bytes = b"hello") -> None:
    script.ports = (script.ports[0], port)
    script.inject("S", 1000, data=data, options=[("MSS", 1000), (34, cookie)])


def cookie(script: Script) -> bytes:
    syn(script, 3999, b"")
    given = parse_options(bytes(script.expect("SA", acknowledgment=1001)["TCP"])[20:]).fast_open
    assert given is not None
    script.inject("R", 1001)
    return given.cookie


def test_no_more_than_the_queue_wait_for_their_peers_and_a_reset_counts_for_a_minute() -> None:
    script = Script(tcp=SERVER)
    socket = listener(script, 1)
    known = cookie(script)
    syn(script, 4001, known)
    first = script.expect("SA", acknowledgment=1006)["TCP"].seq
    syn(script, 4002, known)
    script.expect("SA", acknowledgment=1001)
    assert script.stack.counters.mib["TcpExt.TCPFastOpenListenOverflow"] == 1
    # The first is acknowledged: there is room again.
    script.ports = (80, 4001)
    script.inject("A", 1006, first + 1)
    syn(script, 4003, known)
    script.expect("SA", acknowledgment=1006)
    script.inject("R", 1006)
    script.run(59 * SECOND)
    script.sent.clear()
    syn(script, 4004, known)
    script.expect("SA", acknowledgment=1001)
    script.run(2 * SECOND)
    script.sent.clear()
    syn(script, 4005, known)
    script.expect("SA", acknowledgment=1006)
    for _ in range(2):
        accepted, _ = script.call(socket.accept())
        assert script.call(accepted.recv(100)) == b"hello"
    with pytest.raises(ConnectionResetError):
        script.call(accepted.recv(100))


def test_a_second_key_is_good_for_cookies_but_new_ones_are_of_the_first() -> None:
    """RFC 7413 section 4.1.2: keys change now and then."""
    old = Script(tcp=SERVER)
    listener(old, 4, (TCP_FASTOPEN_KEY, OTHER))
    outdated = cookie(old)
    script = Script(tcp=SERVER)
    socket = listener(script, 4, (TCP_FASTOPEN_KEY, KEY + OTHER))
    assert socket.getsockopt(IPPROTO_TCP, TCP_FASTOPEN_KEY) == KEY + OTHER
    syn(script, 4001, outdated)
    answer = script.expect("SA", acknowledgment=1006)["TCP"]
    given = parse_options(bytes(answer)[20:]).fast_open
    assert given is not None
    assert script.stack.counters.mib["TcpExt.TCPFastOpenPassiveAltKey"] == 1
    syn(script, 4002, given.cookie)
    answer = script.expect("SA", acknowledgment=1006)["TCP"]
    assert parse_options(bytes(answer)[20:]).fast_open is None


def test_keys_of_the_host_are_written_as_linux_writes_them() -> None:
    script = Script(tcp=SERVER)
    sysctl = TcpSysctl(script.stack.tcp)
    text = "03020100-07060504-0b0a0908-0f0e0d0c"
    sysctl.write("net.ipv4.tcp_fastopen_key", text)
    assert script.stack.tcp.fast_open.keys == (KEY,)
    sysctl.write("net.ipv4.tcp_fastopen_key", f"{text},{text}")
    assert sysctl.read("net.ipv4.tcp_fastopen_key") == f"{text},{text}"
    for wrong in ("", "1-2-3", f"{text},{text},{text}", "03020100-07060504-0b0a0908-0f0e0d0cx"):
        with pytest.raises(OSError, match=f"Errno {errno.EINVAL}"):
            sysctl.write("net.ipv4.tcp_fastopen_key", wrong)


def test_a_host_draws_a_key_of_its_own_when_it_needs_one() -> None:
    script, again, other = Script(tcp=SERVER), Script(tcp=SERVER), Script(tcp=SERVER, seed=2)
    for one in (script, again, other):
        listener(one)
    assert cookie(script) == cookie(again) != cookie(other)


def test_the_address_is_what_a_cookie_is_of() -> None:
    """Over IPv6 too."""
    script = Script(tcp=SERVER, ipv6=True)
    listener(script, 4, (TCP_FASTOPEN_KEY, KEY))
    tcp = script.stack.tcp
    known = cookie(script)
    syn(script, 4001, known)
    script.expect("SA", acknowledgment=1006)
    key = next(one.key for one in tcp.connections.values())
    assert tcp.fast_open.cookie(key, KEY) == known
    assert tcp.fast_open.cookie(key._replace(remote=key.remote + 1), KEY) != known
    assert tcp.fast_open.cookie(key._replace(local=key.local + 1), KEY) != known
    assert tcp.fast_open.cookie(key._replace(remote_port=1), KEY) == known


@pytest.mark.parametrize(
    ("option", "value", "number"),
    [
        (TCP_FASTOPEN, -1, errno.EINVAL),
        (TCP_FASTOPEN, b"12", errno.EINVAL),
        (TCP_FASTOPEN_KEY, b"", errno.EINVAL),
        (TCP_FASTOPEN_KEY, KEY + b"x", errno.EINVAL),
        (TCP_FASTOPEN_KEY, 5, errno.EINVAL),
        (TCP_FASTOPEN_CONNECT, 2, errno.EINVAL),
        (TCP_SYNCNT, 0, errno.EINVAL),
        (TCP_SYNCNT, 128, errno.EINVAL),
    ],
)
def test_options_that_cannot_be(option: int, value: int | bytes, number: int) -> None:
    script = Script()
    socket = script.stack.socket(script.family, SOCK_STREAM)
    with pytest.raises(OSError, match=f"Errno {number}"):
        socket.setsockopt(IPPROTO_TCP, option, value)


def test_options_come_too_late_for_a_connection() -> None:
    script = Script()
    socket, _ = script.accepted()
    for option in (TCP_FASTOPEN, TCP_FASTOPEN_CONNECT):
        with pytest.raises(OSError, match=f"Errno {errno.EINVAL}"):
            socket.setsockopt(IPPROTO_TCP, option, 1)


def exchange(network: Network, change: Callable[[StreamSocket], None] = lambda socket: None) -> bytes:
    """Two connections by MSG_FASTOPEN to an echo. Returns what came back by the second."""
    answers = []

    async def main() -> None:
        server = network.b.socket(2, SOCK_STREAM)
        server.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, 8)
        await server.bind(("", 80))
        await server.listen()
        for _ in range(2):
            socket = network.a.socket(2, SOCK_STREAM)
            change(socket)
            call = network.engine.spawn(socket.sendto(b"x" * 3000, MSG_FASTOPEN, (B, 80)))
            accepted, _ = await server.accept()
            data = b""
            while len(data) < 3000:
                data += await accepted.recv(10_000)
            assert await call == 3000
            await accepted.sendall(data)
            got = b""
            while len(got) < 3000:
                got += await socket.recv(10_000)
            answers.append(got)
            await socket.close()
            await accepted.close()

    network.engine.run(main())
    return answers[-1]


def test_two_stacks_open_fast_from_the_second_time_on() -> None:
    network = Network(tcp=TcpParameters(fast_open=3), delay=10 * MS)
    assert exchange(network) == b"x" * 3000
    assert network.a.counters.mib["TcpExt.TCPFastOpenActive"] == 1
    assert network.b.counters.mib["TcpExt.TCPFastOpenPassive"] == 1
    assert network.b.counters.mib["TcpExt.TCPFastOpenCookieReqd"] == 1


def test_without_cookies_from_the_first_time_on() -> None:
    network = Network(tcp=TcpParameters(fast_open=0x203))
    assert exchange(network, lambda one: one.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1)) == b"x" * 3000
    assert network.a.counters.mib["TcpExt.TCPFastOpenActive"] == 2


def test_what_is_known_of_servers_is_bounded() -> None:
    script = Script(tcp=CLIENT)
    fast_open = script.stack.tcp.fast_open
    socket = script.stack.socket(script.family, SOCK_STREAM)
    with pytest.raises(BlockingIOError):
        script.call(socket.sendto(b"", MSG_FASTOPEN | MSG_DONTWAIT, (B, 80)))
    key = next(iter(script.stack.tcp.connections.values())).key
    for number in range(2000):
        fast_open.learn(key._replace(remote=number), 1000 + number, None, 0)
    assert fast_open.mss(key._replace(remote=0)) is None
    assert fast_open.mss(key._replace(remote=1999)) == 2999
    known = sum(fast_open.mss(key._replace(remote=number)) is not None for number in range(2000))
    assert known == 1024
