"""IP_RECVERR: the error queue of datagram sockets tells which packet did not arrive, why and who says so."""

import errno
import socket as bsd
import struct

import pytest

from stack.address import embed_scope, parse_address
from stack.ip.errors import IcmpError
from stack.ip.parameters import IpParameters
from stack.socket import (
    AF_INET,
    AF_INET6,
    IP_MTU_DISCOVER,
    IP_PMTUDISC_DO,
    IP_RECVERR,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_RECVERR,
    MSG_CTRUNC,
    MSG_ERRQUEUE,
    MSG_TRUNC,
    POLLERR,
    SO_ERROR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
)
from stack.socket.error_queue import SocketError, zero_copy_message
from tests.stack.network import B6, MS, B, Network
from tests.stack.test_forward import FAR, Routed

EXTENDED = struct.Struct("<IBBBxII")


def opened(data: bytes) -> tuple[tuple[int, ...], int, str]:
    """(``sock_extended_err``, family and address of the offender)."""
    rest = data[EXTENDED.size :]
    family = int.from_bytes(rest[:2], "little")
    raw = rest[4:8] if len(rest) == 16 else rest[8:24]
    return EXTENDED.unpack(data[: EXTENDED.size]), family, bsd.inet_ntop(AF_INET if len(raw) == 4 else AF_INET6, raw)


@pytest.mark.parametrize(
    ("family", "host", "level", "option", "expected"),
    [
        (AF_INET, B, IPPROTO_IP, IP_RECVERR, (errno.ECONNREFUSED, 2, 3, 3, 0, 0)),
        (AF_INET6, B6, IPPROTO_IPV6, IPV6_RECVERR, (errno.ECONNREFUSED, 3, 1, 4, 0, 0)),
    ],
)
def test_a_closed_port(family: int, host: str, level: int, option: int, expected: tuple[int, ...]) -> None:
    network = Network(ipv6=True)

    async def main() -> None:
        socket = network.a.socket(family, SOCK_DGRAM)
        socket.setsockopt(level, option, 1)
        assert socket.getsockopt(level, option) == 1
        # Not connected: without the option nothing would be told.
        await socket.sendto(b"one", (host, 1000))
        await socket.sendto(b"two", (host, 1001))
        await network.engine.sleep(10 * MS)
        assert socket.poll() & POLLERR
        with pytest.raises(ConnectionRefusedError):
            await socket.sendto(b"three", (host, 1002))
        data, messages, flags, address = await socket.recvmsg(100, 100, MSG_ERRQUEUE)
        assert (data, flags, address[:2]) == (b"one", MSG_ERRQUEUE, (host, 1000))
        ((got_level, kind, packed),) = messages
        assert (got_level, kind) == (level, option)
        assert opened(packed) == (expected, family, host)
        # The next one is pending.
        assert socket.getsockopt(SOL_SOCKET, SO_ERROR) == errno.ECONNREFUSED
        data, messages, flags, address = await socket.recvmsg(2, 8, MSG_ERRQUEUE)
        assert (data, messages, address[:2]) == (b"tw", [], (host, 1001))
        assert flags == MSG_ERRQUEUE | MSG_TRUNC | MSG_CTRUNC
        assert not socket.poll() & POLLERR
        with pytest.raises(BlockingIOError):
            await socket.recvmsg(100, 100, MSG_ERRQUEUE)
        await socket.close()

    network.engine.run(main())


def test_a_router_that_drops() -> None:
    network = Routed(far_mtu=1000)

    async def main() -> None:
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        socket.setsockopt(IPPROTO_IP, IP_RECVERR, 1)
        socket.setsockopt(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        await socket.sendto(bytes(1200), (FAR[4], 9))
        await network.engine.sleep(100 * MS)
        _, messages, _, _ = await socket.recvmsg(2000, 100, MSG_ERRQUEUE)
        assert opened(messages[0][2]) == ((errno.EMSGSIZE, 2, 3, 4, 1000, 0), AF_INET, "10.0.0.254")
        # From now on this host knows by itself.
        with pytest.raises(OSError, match="Message too long"):
            await socket.sendto(bytes(1200), (FAR[4], 9))
        data, messages, _, _ = await socket.recvmsg(2000, 100, MSG_ERRQUEUE)
        assert data == bytes(1200)
        assert opened(messages[0][2])[:2] == ((errno.EMSGSIZE, 1, 0, 0, 1000, 0), 0)
        await socket.close()

    network.engine.run(main())


def test_the_queue_is_bounded_and_goes_with_the_option() -> None:
    network = Network(ip=IpParameters(icmp_burst=1000, icmp_destination_interval=1, group_robustness=0))

    async def main() -> None:
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        socket.setsockopt(IPPROTO_IP, IP_RECVERR, 1)
        for number in range(200):
            try:
                await socket.sendto(b"x", (B, 2000 + number))
            except ConnectionRefusedError:
                await socket.sendto(b"x", (B, 2000 + number))
            await network.engine.sleep(5 * MS)
        count = 0
        while True:
            try:
                _, _, _, address = await socket.recvmsg(10, 100, MSG_ERRQUEUE)
            except BlockingIOError:
                break
            assert address == (B, 2000 + count)
            count += 1
        assert count == 64
        await socket.sendto(b"x", (B, 1))
        await network.engine.sleep(10 * MS)
        socket.setsockopt(IPPROTO_IP, IP_RECVERR, 0)
        with pytest.raises(BlockingIOError):
            await socket.recvmsg(10, 100, MSG_ERRQUEUE)
        await socket.close()

    network.engine.run(main())


def test_where_there_is_no_error_queue() -> None:
    network = Network()
    with pytest.raises(OSError, match="Protocol not available"):
        network.a.socket(AF_INET, SOCK_STREAM).setsockopt(IPPROTO_IP, IP_RECVERR, 1)
    with pytest.raises(OSError, match="Protocol not available"):
        network.a.socket(AF_INET, SOCK_DGRAM).setsockopt(IPPROTO_IPV6, IPV6_RECVERR, 1)
    with pytest.raises(OSError, match="Invalid argument"):
        network.a.socket(AF_INET, SOCK_DGRAM).setsockopt(IPPROTO_IP, IP_RECVERR, b"\x01")


def test_an_offender_on_the_link_and_none() -> None:
    """``struct sockaddr_in6``: family, port, flow information, address, scope."""
    destination = parse_address(B6)
    offender = embed_scope(parse_address("fe80::7"), 3)
    level, kind, packed = SocketError(IcmpError.HOST_UNREACHABLE, b"", destination, 9, offender=offender).control()
    assert (level, kind) == (IPPROTO_IPV6, IPV6_RECVERR)
    family, port, flow, raw, scope = struct.unpack("<HHI16sI", packed[EXTENDED.size :])
    assert (family, port, flow, bsd.inet_ntop(AF_INET6, raw), scope) == (AF_INET6, 0, 0, "fe80::7", 3)
    _, _, packed = SocketError(None, b"", destination, 9, mtu=1400).control()
    assert packed == EXTENDED.pack(errno.EMSGSIZE, 1, 0, 0, 1400, 0) + bytes(28)


@pytest.mark.parametrize(("ipv4", "address_bytes"), [(True, 16), (False, 28)])
def test_how_zero_copy_is_told(ipv4: bool, address_bytes: int) -> None:
    """linux/errqueue.h: origin 5, ``ee_info`` the first call and ``ee_data`` the last; code 1: it was copied."""
    level, kind, packed = zero_copy_message(3, 8, ipv4=ipv4)
    assert (level, kind) == ((IPPROTO_IP, IP_RECVERR) if ipv4 else (IPPROTO_IPV6, IPV6_RECVERR))
    assert packed == EXTENDED.pack(0, 5, 0, 1, 3, 8) + bytes(address_bytes)
