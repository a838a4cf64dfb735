"""Calls that do not wait, waiting for several sockets, messages with control data, urgent data, options."""

import errno
import struct
from collections.abc import Coroutine
from io import BytesIO
from typing import Any

import pytest

from stack.socket import (
    AF_INET,
    AF_INET6,
    AF_PACKET,
    EPOLLET,
    EPOLLEXCLUSIVE,
    EPOLLIN,
    EPOLLONESHOT,
    EPOLLOUT,
    FIONREAD,
    IP_ADD_MEMBERSHIP,
    IP_DROP_MEMBERSHIP,
    IP_HDRINCL,
    IP_MTU_DISCOVER,
    IP_PKTINFO,
    IP_PMTUDISC_DO,
    IP_RECVTOS,
    IP_RECVTTL,
    IP_TOS,
    IP_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_RAW,
    IPV6_HOPLIMIT,
    IPV6_JOIN_GROUP,
    IPV6_PKTINFO,
    IPV6_RECVHOPLIMIT,
    IPV6_RECVPKTINFO,
    IPV6_RECVTCLASS,
    IPV6_TCLASS,
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLPRI,
    POLLRDHUP,
    SHUT_RDWR,
    SHUT_WR,
    SIOCATMARK,
    SIOCOUTQ,
    SO_ACCEPTCONN,
    SO_BINDTODEVICE,
    SO_BROADCAST,
    SO_DOMAIN,
    SO_ERROR,
    SO_LINGER,
    SO_MARK,
    SO_OOBINLINE,
    SO_PROTOCOL,
    SO_RCVTIMEO,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SO_SNDBUF,
    SO_TIMESTAMPNS,
    SO_TYPE,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_STREAM,
    SOL_SOCKET,
    Epoll,
    Poll,
    StreamSocket,
    select,
)
from tests.stack.network import A6, B6, MS, SECOND, A, B, Network


def run(main: Coroutine[Any, Any, None], network: Network) -> None:
    network.engine.run(main)


def refused(number: int) -> Any:
    return pytest.raises(OSError, match=f"Errno {number}\\b")


async def pair(network: Network, family: int = AF_INET) -> tuple[StreamSocket, StreamSocket, StreamSocket]:
    listener = network.b.socket(family, SOCK_STREAM)
    await listener.bind(("", 80))
    await listener.listen()
    socket = network.a.socket(family, SOCK_STREAM)
    await socket.connect((B if family == AF_INET else B6, 80))
    peer, _ = await listener.accept()
    return socket, peer, listener


def test_stream_calls_that_would_wait() -> None:
    network = Network()

    async def main() -> None:
        socket, peer, listener = await pair(network)
        with refused(errno.EAGAIN):
            await socket.recv(10, MSG_DONTWAIT)
        socket.setblocking(False)
        assert not socket.getblocking()
        with refused(errno.EAGAIN):
            await socket.recv(10)
        listener.setblocking(False)
        with refused(errno.EAGAIN):
            await listener.accept()
        socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 5000)
        assert await socket.send(bytes(100_000)) == 5000
        with refused(errno.EAGAIN):
            await socket.send(b"x")
        await network.engine.sleep(10 * MS)
        assert await peer.recv(100_000) == bytes(5000)
        assert await socket.send(b"x") == 1

    run(main(), network)


def test_connecting_without_waiting() -> None:
    network = Network()

    async def main() -> None:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        socket.setblocking(False)
        assert socket.poll() == POLLOUT | POLLHUP
        with refused(errno.EINPROGRESS):
            await socket.connect((B, 80))
        assert socket.poll() == 0
        with refused(errno.EALREADY):
            await socket.connect((B, 80))
        poller = Poll(network.a)
        poller.register(socket, POLLOUT)
        assert await poller.poll(0) == []
        assert await poller.poll() == [(socket, POLLOUT)]
        assert socket.getsockopt(SOL_SOCKET, SO_ERROR) == 0
        with refused(errno.EISCONN):
            await socket.connect((B, 80))
        other = network.a.socket(AF_INET, SOCK_STREAM)
        other.setblocking(False)
        with refused(errno.EINPROGRESS):
            await other.connect((B, 81))
        poller.register(other)
        poller.unregister(socket)
        ((ready, events),) = await poller.poll()
        assert ready is other
        assert events & POLLERR
        assert other.getsockopt(SOL_SOCKET, SO_ERROR) == errno.ECONNREFUSED
        assert other.getsockopt(SOL_SOCKET, SO_ERROR) == 0

    run(main(), network)


def test_timeouts() -> None:
    network = Network()

    async def main() -> None:
        socket, _, listener = await pair(network)
        begun = network.engine.now
        socket.settimeout(30 * MS)
        with refused(errno.EAGAIN):
            await socket.recv(10)
        assert network.engine.now == begun + 30 * MS
        listener.setsockopt(SOL_SOCKET, SO_RCVTIMEO, 5 * MS)
        with refused(errno.EAGAIN):
            await listener.accept()
        assert network.engine.now == begun + 35 * MS
        assert listener.getsockopt(SOL_SOCKET, SO_RCVTIMEO) == 5 * MS
        datagram = network.a.socket(AF_INET, SOCK_DGRAM)
        datagram.settimeout(0)
        with refused(errno.EAGAIN):
            await datagram.recv(10)
        with refused(errno.EINVAL):
            datagram.setsockopt(SOL_SOCKET, SO_RCVTIMEO, -1)
        late = network.a.socket(AF_INET, SOCK_STREAM)
        late.settimeout(20 * MS)
        with refused(errno.EINPROGRESS):
            await late.connect(("10.0.0.77", 80))

    run(main(), network)


def test_peek_and_wait_for_all() -> None:
    network = Network()

    async def main() -> None:
        socket, peer, _ = await pair(network)
        await socket.send(b"abc")
        assert await peer.recv(10, MSG_PEEK) == b"abc"
        assert peer.ioctl(FIONREAD) == 3
        assert await peer.recv(2) == b"ab"
        waiting = network.engine.spawn(peer.recv(6, MSG_WAITALL))
        await network.engine.sleep(10 * MS)
        assert not waiting.done()
        await socket.send(b"defgh")
        assert await waiting == b"cdefgh"
        await socket.send(b"rest")
        await socket.shutdown(SHUT_WR)
        assert await peer.recv(6, MSG_WAITALL) == b"rest"
        data, control, flags, address = await peer.recvmsg(10)
        assert (data, control, flags, address[0]) == (b"", [], 0, A)

    run(main(), network)


def test_a_mark_is_kept_and_handed_down() -> None:
    """Nothing on this host looks at it (SO_MARK of socket(7))."""
    network = Network()

    async def main() -> None:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        listener.setsockopt(SOL_SOCKET, SO_MARK, 666)
        await listener.bind(("", 80))
        await listener.listen()
        stream = network.a.socket(AF_INET, SOCK_STREAM)
        await stream.connect((B, 80))
        accepted, _ = await listener.accept()
        assert accepted.getsockopt(SOL_SOCKET, SO_MARK) == 666
        for socket in (stream, network.a.socket(AF_INET, SOCK_DGRAM), network.a.socket(AF_INET, SOCK_RAW, 200)):
            assert socket.getsockopt(SOL_SOCKET, SO_MARK) == 0
            socket.setsockopt(SOL_SOCKET, SO_MARK, 0xFFFFFFFF)
            assert socket.getsockopt(SOL_SOCKET, SO_MARK) == 0xFFFFFFFF
            for wrong in (-1, 1 << 32, b"1"):
                with refused(errno.EINVAL):
                    socket.setsockopt(SOL_SOCKET, SO_MARK, wrong)

    run(main(), network)


@pytest.mark.parametrize(
    ("offset", "count"), [(0, None), (5, None), (5, 70_000), (199_999, 9), (200_000, None), (3, 0)]
)
def test_sendfile(offset: int, count: int | None) -> None:
    network = Network()
    content = network.engine.random.randbytes(200_000)
    expected = content[offset:] if count is None else content[offset : offset + count]

    async def main() -> None:
        socket, peer, _ = await pair(network)
        # So much that the window takes all of the file afterwards.
        sending = network.engine.spawn(socket.sendall(bytes(1_000_000)))
        assert len(await peer.recv(1_000_000, MSG_WAITALL)) == 1_000_000
        await sending
        await network.engine.sleep(100 * MS)
        before = socket.tcp_info()
        assert before.snd_cwnd > len(content)
        receiving = network.engine.spawn(peer.recv(len(expected), MSG_WAITALL))
        file = BytesIO(content)
        assert await socket.sendfile(file, offset, count) == len(expected) == file.tell() - offset
        assert await receiving == expected
        await network.engine.sleep(100 * MS)  # a delayed ACK is here, too
        # No segment is short but the last, although a piece of 64 KiB is no multiple of the segment size.
        after = socket.tcp_info()
        assert after.delivered_segments - before.delivered_segments == -(-len(expected) // after.snd_mss)

    run(main(), network)


def test_sendfile_where_it_would_wait() -> None:
    network = Network()

    async def main() -> None:
        socket, _, _ = await pair(network)
        for offset, count in ((-1, None), (0, -1)):
            with refused(errno.EINVAL):
                await socket.sendfile(BytesIO(b"x"), offset, count)
        socket.setblocking(False)
        socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 70_000)
        file = BytesIO(bytes(200_000))
        assert await socket.sendfile(file, 100) == 70_000
        assert file.tell() == 70_100
        with refused(errno.EAGAIN):
            await socket.sendfile(file, file.tell())

    run(main(), network)


def test_more_is_to_come() -> None:
    network = Network()

    async def main() -> None:
        socket, peer, _ = await pair(network)
        network.wire.frames.clear()
        await socket.send(b"head", MSG_MORE)
        await network.engine.sleep(10 * MS)
        assert network.wire.frames == []
        await socket.sendmsg([b"er", b" and body"])
        await network.engine.sleep(10 * MS)
        assert await peer.recv(100) == b"header and body"
        assert sum(name == "a" for _, name, _ in network.wire.frames) == 1

    run(main(), network)


@pytest.mark.parametrize("inline", [False, True])
def test_urgent_data(inline: bool) -> None:
    network = Network()

    async def main() -> None:
        socket, peer, _ = await pair(network)
        peer.setsockopt(SOL_SOCKET, SO_OOBINLINE, inline)
        with refused(errno.EINVAL):
            await peer.recv(1, MSG_OOB)
        await socket.send(b"before")
        await socket.send(b"!", MSG_OOB)
        await socket.send(b"after")
        await network.engine.sleep(100 * MS)
        assert peer.poll() & POLLPRI
        _, _, exceptional = await select(network.b, [], [], [peer], 0)
        assert exceptional == [peer]
        assert peer.ioctl(SIOCATMARK) == 0
        # A read stops at the mark.
        assert await peer.recv(100) == b"before"
        assert peer.ioctl(SIOCATMARK) == 1
        if inline:
            with refused(errno.EINVAL):
                await peer.recv(1, MSG_OOB)
            assert await peer.recv(100) == b"!after"
        else:
            assert await peer.recv(1, MSG_OOB | MSG_PEEK) == b"!"
            assert await peer.recv(1, MSG_OOB) == b"!"
            with refused(errno.EINVAL):
                await peer.recv(1, MSG_OOB)
            assert not peer.poll() & POLLPRI
            assert peer.ioctl(FIONREAD) == 5
            assert await peer.recv(100) == b"after"
        assert peer.ioctl(SIOCATMARK) == 0

    run(main(), network)
    flagged = [frame for _, name, frame in network.wire.frames if name == "a" and frame[47] & 0x20]
    # RFC 6093: the pointer stands behind the urgent byte.
    assert all(int.from_bytes(frame[52:54], "big") == 1 for frame in flagged)
    assert len(flagged) == 1


def test_what_poll_tells_of_a_stream() -> None:
    network = Network()

    async def main() -> None:
        socket, peer, listener = await pair(network)
        assert listener.poll() == 0
        assert socket.poll() == POLLOUT
        await peer.send(b"x")
        await network.engine.sleep(5 * MS)
        assert socket.poll() == POLLOUT | POLLIN
        await peer.shutdown(SHUT_WR)
        await network.engine.sleep(5 * MS)
        assert socket.poll() == POLLOUT | POLLIN | POLLRDHUP
        await socket.shutdown(SHUT_RDWR)
        assert socket.poll() == POLLOUT | POLLIN | POLLRDHUP | POLLHUP
        third = network.a.socket(AF_INET, SOCK_STREAM)
        await third.connect((B, 80))
        await network.engine.sleep(5 * MS)
        assert listener.poll() == POLLIN
        poller = Poll(network.a)
        poller.register(third)
        await third.close()
        assert await poller.poll() == [(third, POLLNVAL)]
        with refused(errno.EBADF):
            await select(network.a, [third])

    run(main(), network)


def test_select_waits_for_the_first() -> None:
    network = Network()

    async def main() -> None:
        socket, peer, _ = await pair(network)
        datagram = network.a.socket(AF_INET, SOCK_DGRAM)
        await datagram.bind(("", 9))
        begun = network.engine.now
        assert await select(network.a, [socket, datagram], timeout=20 * MS) == ([], [], [])
        assert network.engine.now == begun + 20 * MS
        sender = network.b.socket(AF_INET, SOCK_DGRAM)
        network.engine.call_at(network.engine.now + 7 * MS, lambda: network.engine.spawn(sender.sendto(b"x", (A, 9))))
        readers, writers, _ = await select(network.a, [socket, datagram])
        assert (readers, writers) == ([datagram], [])
        await peer.close()
        readers, writers, _ = await select(network.a, [socket], [socket], [], SECOND)
        assert (readers, writers) == ([], [socket])
        readers, _, _ = await select(network.a, [socket])
        assert readers == [socket]

    run(main(), network)


def test_epoll() -> None:
    network = Network()

    async def main() -> None:
        socket, peer, _ = await pair(network)
        epoll = Epoll(network.a)
        epoll.register(socket, EPOLLIN)
        with refused(errno.EEXIST):
            epoll.register(socket)
        assert await epoll.poll(0) == []
        await peer.send(b"one")
        assert await epoll.poll() == [(socket, EPOLLIN)]
        # Level triggered: as long as there is something.
        assert await epoll.poll(0) == [(socket, EPOLLIN)]
        epoll.modify(socket, EPOLLIN | EPOLLET)
        assert await epoll.poll(0) == [(socket, EPOLLIN)]
        assert await epoll.poll(0) == []
        await peer.send(b"two")
        assert await epoll.poll() == [(socket, EPOLLIN)]
        assert await epoll.poll(0) == []
        epoll.modify(socket, EPOLLOUT | EPOLLONESHOT)
        assert await epoll.poll(0) == [(socket, EPOLLOUT)]
        assert await epoll.poll(0) == []
        epoll.unregister(socket)
        with refused(errno.ENOENT):
            epoll.modify(socket, EPOLLIN)
        epoll.register(socket, EPOLLIN)
        await socket.close()
        assert await epoll.poll(MS) == []
        with refused(errno.ENOENT):
            epoll.unregister(socket)
        with refused(errno.EBADF):
            epoll.register(socket)
        with refused(errno.EINVAL):
            await epoll.poll(0, 0)
        epoll.close()
        with pytest.raises(ValueError, match="closed"):
            await epoll.poll()
        assert not socket.watchers

    run(main(), network)


def test_a_server_learns_its_address_ipv4() -> None:
    network = Network()
    network.b.add_interface(network.devices[1], "10.0.0.22", 24)

    async def main() -> None:
        server = network.b.socket(AF_INET, SOCK_DGRAM)
        for option in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS):
            server.setsockopt(IPPROTO_IP, option, 1)
        server.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1)
        await server.bind(("", 9))
        client = network.a.socket(AF_INET, SOCK_DGRAM)
        client.setsockopt(IPPROTO_IP, IP_TTL, 7)
        client.setsockopt(IPPROTO_IP, IP_TOS, 0x28)
        await client.sendto(b"hello", ("10.0.0.22", 9))
        data, control, flags, address = await server.recvmsg(3, 200)
        assert (data, flags) == (b"hel", MSG_TRUNC)
        found = {(level, kind): value for level, kind, value in control}
        index, local, destination = struct.unpack("<i4s4s", found[IPPROTO_IP, IP_PKTINFO])
        assert (index, local, destination) == (2, bytes((10, 0, 0, 22)), bytes((10, 0, 0, 22)))
        assert struct.unpack("<i", found[IPPROTO_IP, IP_TTL]) == (7,)
        assert found[IPPROTO_IP, IP_TOS] == b"\x28"
        seconds, nanoseconds = struct.unpack("<qq", found[SOL_SOCKET, SO_TIMESTAMPNS])
        assert 0 < seconds * SECOND + nanoseconds <= network.engine.now
        # The answer leaves from the address that was asked.
        answer = [(IPPROTO_IP, IP_PKTINFO, struct.pack("<i4s4s", 0, bytes((10, 0, 0, 22)), bytes(4)))]
        await server.sendmsg([b"an", b"swer"], answer, 0, address)
        assert await client.recvfrom(100) == (b"answer", ("10.0.0.22", 9))
        await client.sendto(b"again", (B, 9))
        _, control, flags, _ = await server.recvmsg(100, 40)
        assert (len(control), flags) == (1, MSG_CTRUNC)
        with refused(errno.EINVAL):
            await server.sendmsg([b"x"], [(IPPROTO_IP, IP_TTL, struct.pack("<i", 256))], 0, address)
        with refused(errno.EINVAL):
            await server.sendmsg([b"x"], [(99, 1, b"")], 0, address)
        with refused(errno.ENODEV):
            nowhere = struct.pack("<i4s4s", 44, bytes(4), bytes(4))
            await server.sendmsg([b"x"], [(IPPROTO_IP, IP_PKTINFO, nowhere)], 0, address)

    run(main(), network)


def test_a_server_learns_its_address_ipv6() -> None:
    network = Network(ipv6=True)

    async def main() -> None:
        server = network.b.socket(AF_INET6, SOCK_DGRAM)
        for option in (IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS):
            server.setsockopt(IPPROTO_IPV6, option, 1)
        await server.bind(("", 9))
        client = network.a.socket(AF_INET6, SOCK_DGRAM)
        hop_limit = [
            (IPPROTO_IPV6, IPV6_HOPLIMIT, struct.pack("<i", 5)),
            (IPPROTO_IPV6, IPV6_TCLASS, struct.pack("<i", 8)),
        ]
        await client.sendmsg([b"hello"], hop_limit, 0, (B6, 9))
        _, control, _, address = await server.recvmsg(100, 200)
        found = {kind: value for level, kind, value in control if level == IPPROTO_IPV6}
        packed, index = struct.unpack("<16sI", found[IPV6_PKTINFO])
        assert (packed.hex(), index) == ("20010db8000000000000000000000002", 2)
        assert struct.unpack("<i", found[IPV6_HOPLIMIT]) == (5,)
        assert struct.unpack("<i", found[IPV6_TCLASS]) == (8,)
        assert address[:2] == (A6, client.getsockname()[1])

    run(main(), network)


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_groups(family: int) -> None:
    network = Network(ipv6=True)
    group = "224.1.2.3" if family == AF_INET else "ff05::1:3"
    if family == AF_INET:
        request = bytes((224, 1, 2, 3)) + bytes(4)
        join = (IPPROTO_IP, IP_ADD_MEMBERSHIP, request)
    else:
        request = bytes.fromhex("ff050000000000000000000000010003") + struct.pack("I", 2)
        join = (IPPROTO_IPV6, IPV6_JOIN_GROUP, request)

    async def main() -> None:
        members = []
        for _ in range(2):
            member = network.b.socket(family, SOCK_DGRAM)  # type: ignore[call-overload]
            member.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            await member.bind(("", 9))
            member.setsockopt(*join)
            members.append(member)
        with refused(errno.EADDRINUSE):
            members[0].setsockopt(*join)
        stranger = network.b.socket(family, SOCK_DGRAM)  # type: ignore[call-overload]
        stranger.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        await stranger.bind(("", 9))
        sender = network.a.socket(family, SOCK_DGRAM)  # type: ignore[call-overload]
        await sender.sendto(b"to all", (group, 9))
        for member in members:
            assert await member.recv(10) == b"to all"
        with refused(errno.EAGAIN):
            await stranger.recv(10, MSG_DONTWAIT)
        # What a host sends to a group that it is in comes back.
        await members[0].sendto(b"own", (group, 9))
        assert await members[1].recv(10) == b"own"
        if family == AF_INET:
            members[0].setsockopt(IPPROTO_IP, IP_DROP_MEMBERSHIP, request)
            with refused(errno.EADDRNOTAVAIL):
                members[0].setsockopt(IPPROTO_IP, IP_DROP_MEMBERSHIP, request)
        for member in members:
            await member.close()

    run(main(), network)
    assert all("1:3" not in str(one) for one in network.b.ip.interfaces[2].groups)
    frame = next(frame for _, name, frame in network.wire.frames if name == "a" and b"to all" in frame)
    assert frame[:6].hex(":") == ("01:00:5e:01:02:03" if family == AF_INET else "33:33:00:01:00:03")


def test_broadcast() -> None:
    network = Network()

    async def main() -> None:
        receiver = network.b.socket(AF_INET, SOCK_DGRAM)
        await receiver.bind(("", 9))
        sender = network.a.socket(AF_INET, SOCK_DGRAM)
        sender.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)
        for address in ("10.0.0.255", "255.255.255.255"):
            await sender.sendto(b"hello", (address, 9))
            assert await receiver.recvfrom(10) == (b"hello", (A, sender.getsockname()[1]))

    run(main(), network)


def test_raw_sockets() -> None:
    network = Network(ipv6=True)

    async def main() -> None:
        four = network.a.socket(AF_INET, SOCK_RAW, 1)
        six = network.a.socket(AF_INET6, SOCK_RAW, 58)
        await four.sendto(b"\x08\x00\xf7\xfd\x00\x01\x00\x01", (B, 0))
        data, address = await four.recvfrom(100)
        assert (data[0], data[9], data[20:22], address) == (0x45, 1, b"\x00\x00", (B, 0))
        # The checksum of ICMPv6 is made by the system.
        await six.sendto(b"\x80\x00\x00\x00\x00\x01\x00\x07", (B6, 0))
        while (data := await six.recv(100))[0] != 129:
            pass
        assert data[4:8] == b"\x00\x01\x00\x07"
        private = network.b.socket(AF_INET, SOCK_RAW, 200)
        writer = network.a.socket(AF_INET, SOCK_RAW, IPPROTO_RAW)
        assert writer.getsockopt(IPPROTO_IP, IP_HDRINCL) == 1
        header = bytes((0x45, 0, 0, 0, 0, 0, 0, 0, 9, 200, 0, 0)) + bytes(4) + bytes((10, 0, 0, 2))
        await writer.sendto(header + b"own header", (B, 0))
        got = await private.recv(100)
        assert (got[8], got[12:16], got[20:]) == (9, bytes((10, 0, 0, 1)), b"own header")
        assert network.b.counters.mib["Ip.InUnknownProtos"] == 0
        with refused(errno.EINVAL):
            await writer.sendto(b"short", (B, 0))
        with refused(errno.EDESTADDRREQ):
            await four.send(b"x")
        await private.close()
        with refused(errno.EBADF):
            await private.recv(1)
        assert 200 not in network.b.ip.raw

    run(main(), network)


def test_packet_sockets() -> None:
    network = Network()

    async def main() -> None:
        every = network.a.socket(AF_PACKET, SOCK_RAW, 3)
        arp = network.b.socket(AF_PACKET, SOCK_DGRAM, 0x0806)
        await network.a.ping(B)
        data, address = await arp.recvfrom(100)
        assert (data[:8], address) == (b"\x00\x01\x08\x00\x06\x04\x00\x01", ("b", 0x0806, 1, 1, b"\x02\0\0\0\0\x01"))
        kinds = [(await every.recvfrom(2000))[1][2] for _ in range(4)]
        # Request out, reply in, echo out, reply in.
        assert kinds == [4, 0, 4, 0]
        own = network.a.socket(AF_PACKET, SOCK_RAW, 0)
        await own.bind(("a", 0x88B5))
        there = network.b.socket(AF_PACKET, SOCK_RAW, 0x88B5)
        frame = b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + b"\x88\xb5" + bytes(46)
        await own.send(frame)
        assert await there.recv(100) == frame
        with refused(errno.ENODEV):
            await own.bind(("eth9", 0))
        with refused(errno.EMSGSIZE):
            await own.send(bytes(2000))
        await every.close()
        assert not network.devices[0].transmit_taps

    run(main(), network)


def test_names_of_sockets() -> None:
    network = Network()
    socket = network.a.socket(AF_INET, SOCK_STREAM)
    assert socket.getsockopt(SOL_SOCKET, SO_TYPE) == SOCK_STREAM
    assert socket.getsockopt(SOL_SOCKET, SO_DOMAIN) == AF_INET
    assert socket.getsockopt(SOL_SOCKET, SO_PROTOCOL) == 6
    assert socket.getsockopt(SOL_SOCKET, SO_ACCEPTCONN) == 0
    with refused(errno.ENOPROTOOPT):
        socket.setsockopt(IPPROTO_IPV6, IPV6_TCLASS, 1)
    with refused(errno.EINVAL):
        socket.setsockopt(IPPROTO_IP, IP_TTL, 0)
    with refused(errno.EINVAL):
        socket.setsockopt(IPPROTO_IP, IP_TTL, b"12")
    with refused(errno.ENODEV):
        socket.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, b"eth7\0")


def test_tcp_packets_carry_what_options_say() -> None:
    network = Network()

    async def main() -> None:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        socket.setsockopt(IPPROTO_IP, IP_TTL, 33)
        socket.setsockopt(IPPROTO_IP, IP_TOS, 0x48)
        socket.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, b"a")
        await socket.connect((B, 80))

    run(main(), network)
    headers = [frame[14:34] for _, name, frame in network.wire.frames if name == "a" and frame[12:14] == b"\x08\x00"]
    assert headers
    assert all((header[1], header[8]) == (0x48, 33) for header in headers)


def test_do_not_fragment() -> None:
    network = Network()

    async def main() -> None:
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        socket.setsockopt(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        with refused(errno.EMSGSIZE):
            await socket.sendto(bytes(1473), (B, 9))
        assert await socket.sendto(bytes(1472), (B, 9)) == 1472

    run(main(), network)


def test_linger() -> None:
    network = Network()

    async def main() -> None:
        socket, peer, _ = await pair(network)
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("<ii", 1, 0))
        await socket.send(b"lost")
        await socket.close()
        await network.engine.sleep(10 * MS)
        await peer.recv(10)
        with refused(errno.ECONNRESET):
            await peer.recv(10)
        again = network.a.socket(AF_INET, SOCK_STREAM)
        await again.connect((B, 80))
        again.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("<ii", 1, 5))
        await again.send(b"x")
        assert again.ioctl(SIOCOUTQ) == 1
        begun = network.engine.now
        await again.close()
        # Until the FIN was acknowledged: a round trip, and the acknowledgment's delay.
        assert 2 * MS <= network.engine.now - begun <= 50 * MS

    run(main(), network)


def test_several_listeners_share_a_port() -> None:
    network = Network()

    async def main() -> None:
        listeners = []
        for _ in range(3):
            listener = network.b.socket(AF_INET, SOCK_STREAM)
            listener.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
            await listener.bind(("", 80))
            await listener.listen()
            listeners.append(listener)
        other = network.b.socket(AF_INET, SOCK_STREAM)
        with refused(errno.EADDRINUSE):
            await other.bind(("", 80))
        for _ in range(30):
            await network.a.socket(AF_INET, SOCK_STREAM).connect((B, 80))
        await network.engine.sleep(MS)
        counts = []
        for listener in listeners:
            count = 0
            while listener.poll() & POLLIN:
                await listener.accept()
                count += 1
            counts.append(count)
            await listener.close()
        assert sum(counts) == 30
        assert min(counts) > 2
        # Connections are left.
        with refused(errno.EADDRINUSE):
            await other.bind(("", 80))
        other.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        await other.bind(("", 80))

    run(main(), network)


def test_one_of_several_epolls_is_told_each_in_its_turn() -> None:
    """EPOLLEXCLUSIVE (epoll_ctl(2)): against the thundering herd."""
    network = Network()

    async def main() -> None:
        socket, peer, _ = await pair(network)
        first, second, writer = (Epoll(network.a) for _ in range(3))
        writer.register(socket, EPOLLOUT | EPOLLET | EPOLLEXCLUSIVE)
        for epoll in (first, second):
            epoll.register(socket, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE)
        ordinary = Epoll(network.a)
        ordinary.register(socket, EPOLLIN | EPOLLET)
        everyone = (writer, first, second, ordinary)
        assert [len(await epoll.poll(0)) for epoll in everyone] == [1, 0, 0, 0]
        told = []
        for _ in range(3):
            await peer.send(b"x")
            await network.engine.sleep(10 * MS)
            told.append([len(await epoll.poll(0)) for epoll in everyone])
            await socket.recv(10)
        # Who has no use for it does not take a turn.
        assert told == [[0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 0, 1]]
        for events in (EPOLLIN, EPOLLIN | EPOLLEXCLUSIVE):
            with refused(errno.EINVAL):
                first.modify(socket, events)
        with refused(errno.EINVAL):
            ordinary.modify(socket, EPOLLIN | EPOLLEXCLUSIVE)
        with refused(errno.EINVAL):
            Epoll(network.a).register(socket, EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE)
        first.close()
        writer.close()
        assert len(socket.exclusive_watchers) == 1
        await socket.close()
        assert await second.poll(0) == []
        assert not socket.exclusive_watchers

    run(main(), network)
