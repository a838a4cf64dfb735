"""UDP: datagrams between two hosts, headers as scapy reads them, errors as BSD gives them."""

import errno
from collections.abc import Coroutine
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from stack.counters import DropReason
from stack.net_device import Features
from stack.socket import AF_INET, SO_ERROR, SO_RCVBUF, SO_SNDBUF, SOCK_DGRAM, SOL_SOCKET
from tests.stack.network import MS, OFFLOADS, A, B, Network


def refused(number: int) -> Any:
    return pytest.raises(OSError, match=f"Errno {number}]")


def run(network: Network, main: Coroutine[Any, Any, Any]) -> Any:
    return network.engine.run(main)


@pytest.mark.parametrize("features", [Features.NONE, OFFLOADS])
@pytest.mark.parametrize("size", [0, 1, 2, 999, 1472])
def test_round_trip(size: int, features: Features) -> None:
    network = Network(features=features)
    data = network.engine.random.randbytes(size)

    async def main() -> None:
        server = network.b.socket(AF_INET, SOCK_DGRAM)
        await server.bind((B, 53))
        client = network.a.socket(AF_INET, SOCK_DGRAM)
        assert await client.sendto(data, (B, 53)) == size
        received, peer = await server.recvfrom(2000)
        assert received == data
        assert peer == (A, client.getsockname()[1])
        assert await server.sendto(received[::-1], peer) == size
        assert await client.recvfrom(2000) == (data[::-1], (B, 53))

    run(network, main())
    frames = [Ether(frame) for _, _, frame in network.wire.frames if frame[12:14] == b"\x08\x00"]
    assert len(frames) == 2
    for frame in frames:
        whole = bytes(frame[IP])[: frame[IP].len]
        remade = IP(whole)
        remade.chksum = remade[UDP].chksum = remade[UDP].len = None
        assert bytes(remade) == whole


def test_refused_only_when_connected() -> None:
    network = Network()

    async def main() -> None:
        lost = network.a.socket(AF_INET, SOCK_DGRAM)
        await lost.sendto(b"x", (B, 9))
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        await socket.connect((B, 9))
        await socket.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            await socket.recv(10)
        await socket.send(b"x")
        await network.engine.sleep(10 * MS)
        assert socket.getsockopt(SOL_SOCKET, SO_ERROR) == errno.ECONNREFUSED
        assert socket.getsockopt(SOL_SOCKET, SO_ERROR) == 0
        assert lost.getsockopt(SOL_SOCKET, SO_ERROR) == 0
        await socket.send(b"x")
        await network.engine.sleep(10 * MS)
        with pytest.raises(ConnectionRefusedError):
            await socket.send(b"x")

    run(network, main())
    assert network.b.counters.mib["Udp.NoPorts"] == 4
    assert network.a.counters.mib["Icmp.InDestUnreachs"] == 4


def test_connected_socket_hears_its_peer_only() -> None:
    network = Network()

    async def main() -> None:
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        await socket.bind((A, 1000))
        await socket.connect((B, 2000))
        for port in (3000, 2000):
            sender = network.b.socket(AF_INET, SOCK_DGRAM)
            await sender.bind((B, port))
            await sender.sendto(bytes((port // 1000,)), (A, 1000))
        assert await socket.recvfrom(10) == (b"\x02", (B, 2000))
        assert socket.getpeername() == (B, 2000)

    run(network, main())
    assert network.a.counters.mib["Udp.NoPorts"] == 1


def test_full_receive_buffer_drops() -> None:
    network = Network()

    async def main() -> None:
        server = network.b.socket(AF_INET, SOCK_DGRAM)
        server.setsockopt(SOL_SOCKET, SO_RCVBUF, 3000)
        await server.bind(("", 9))
        client = network.a.socket(AF_INET, SOCK_DGRAM)
        for number in range(5):
            await client.sendto(bytes((number,)) * 1000, (B, 9))
        await network.engine.sleep(10 * MS)
        assert [(await server.recv(1))[0] for _ in range(3)] == [0, 1, 2]
        await client.sendto(b"next", (B, 9))
        assert await server.recv(10) == b"next"

    run(network, main())
    assert network.b.counters.mib["Udp.RcvbufErrors"] == 2
    assert network.b.counters.drops[DropReason.SOCKET_RCVBUFF] == 2


def test_send_buffer_waits_for_the_device() -> None:
    network = Network()
    network.engine.run(network.a.ping(B))

    async def main() -> None:
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 2500)
        device = network.devices[0]
        device.hold = True
        await socket.sendto(bytes(1000), (B, 9))
        await socket.sendto(bytes(1000), (B, 9))
        third = network.engine.spawn(socket.sendto(bytes(1000), (B, 9)))
        await network.engine.sleep(50 * MS)
        assert not third.done()
        assert len(device.held) == 2
        device.release()
        await network.engine.sleep(1)
        assert third.done()

    run(network, main())


def test_errors() -> None:
    network = Network()

    async def main() -> None:
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        with refused(errno.EADDRNOTAVAIL):
            await socket.bind((B, 9))
        await socket.bind((A, 9))
        with refused(errno.EINVAL):
            await socket.bind((A, 10))
        other = network.a.socket(AF_INET, SOCK_DGRAM)
        with refused(errno.EADDRINUSE):
            await other.bind(("", 9))
        with refused(errno.EMSGSIZE):
            await socket.sendto(bytes(65508), (B, 9))
        with refused(errno.ENETUNREACH):
            await socket.sendto(b"x", ("8.8.8.8", 9))
        with refused(errno.EACCES):
            await socket.sendto(b"x", ("10.0.0.255", 9))
        with refused(errno.EDESTADDRREQ):
            await socket.send(b"x")
        with refused(errno.ENOTCONN):
            socket.getpeername()
        with refused(errno.ENOPROTOOPT):
            socket.setsockopt(SOL_SOCKET, 999, 1)
        with pytest.raises(OverflowError, match="70000"):
            await socket.sendto(b"x", (B, 70000))
        await socket.close()
        await socket.close()
        with refused(errno.EBADF):
            await socket.sendto(b"x", (B, 9))
        await other.bind(("", 9))

    run(network, main())


def test_zero_checksum_is_none_and_bad_lengths_are_dropped() -> None:
    network = Network()

    def arrive(datagram: Any) -> None:
        frame = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / IP(src=B, dst=A) / datagram
        network.devices[0].arrive(bytes(frame))

    async def main() -> None:
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        await socket.bind(("", 9))
        arrive(UDP(dport=9, chksum=0) / b"plain")
        assert await socket.recv(10) == b"plain"
        arrive(UDP(dport=9, chksum=7) / b"wrong")
        arrive(UDP(dport=9, len=7) / b"short")
        arrive(UDP(dport=9, len=100) / b"long")
        assert not socket._endpoint.queue

    run(network, main())
    assert network.a.counters.mib["Udp.InCsumErrors"] == 1
    assert network.a.counters.mib["Udp.InErrors"] == 3
    assert network.a.counters.drops[DropReason.PKT_TOO_SMALL] == 2


def test_a_sum_of_zero_is_sent_as_ones() -> None:
    network = Network()

    async def main() -> None:
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        await socket.bind((A, 9))
        # Chosen so that all words, pseudo-header included, sum to 0xFFFF.
        words = 0x0A00 + 1 + 0x0A00 + 2 + 17 + 10 + 9 + 9 + 10
        await socket.sendto((0xFFFF - words).to_bytes(2, "big"), (B, 9))
        await network.engine.sleep(10 * MS)

    run(network, main())
    (datagram,) = (Ether(frame)[UDP] for _, _, frame in network.wire.frames if UDP in Ether(frame) and len(frame) == 60
                   and Ether(frame)[IP].src == A)  # fmt: skip
    assert datagram.chksum == 0xFFFF
    assert network.b.counters.mib["Udp.InCsumErrors"] == 0
    assert network.b.counters.mib["Udp.NoPorts"] == 1
