"""TCP between two stacks on a wire with faults: every byte once and in order, and nothing left behind."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from stack.net_device import Features
from stack.socket import AF_INET, SHUT_WR, SO_RCVBUF, SO_SNDBUF, SOCK_STREAM, SOL_SOCKET
from stack.tcp.info import TcpInfo
from stack.tcp.parameters import TcpParameters
from tests.stack.network import MS, OFFLOADS, SECOND, B, Faults, Network
from tests.stack.scripted import judge


def exchange(
    network: Network, forth: bytes, back: bytes = b"", *, prepare: Callable[[], None] = lambda: None
) -> tuple[bytes, bytes, TcpInfo]:
    """A sends ``forth``, B sends ``back``, both at once; both close. Returns what B and A received, and A's info."""

    async def receive(socket: object) -> bytes:
        received = bytearray()
        while data := await socket.recv(100_000):  # type: ignore[attr-defined]
            received += data
        return bytes(received)

    async def serve() -> bytes:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        socket, _ = await listener.accept()
        receiving = network.engine.spawn(receive(socket))
        await socket.sendall(back)
        await socket.shutdown(SHUT_WR)
        received = await receiving
        await socket.close()
        await listener.close()
        return received

    async def main() -> tuple[bytes, bytes, TcpInfo]:
        server = network.engine.spawn(serve())
        await network.engine.sleep(1)
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        await socket.connect((B, 80))
        prepare()
        receiving = network.engine.spawn(receive(socket))
        await socket.sendall(forth)
        await socket.shutdown(SHUT_WR)
        received = await receiving
        at_b = await server
        info = socket.tcp_info()
        await socket.close()
        return at_b, received, info

    return network.engine.run(main())


def nothing_left(network: Network) -> None:
    """Both sides have forgotten the connection, and no timer is armed."""
    network.settle()
    for stack in (network.a, network.b):
        assert not stack.tcp.connections
        assert not stack.tcp.ports.wild
        assert not stack.tcp.ports.bound
        assert not stack.tcp.ports.used
        assert stack.counters.mib["Tcp.CurrEstab"] == 0
    assert network.engine.next_call() is None


@pytest.mark.parametrize("features", [Features.NONE, OFFLOADS])
@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(loss=0.05),
        Faults(duplication=0.1),
        Faults(reordering=0.2),
        Faults(corruption=0.05),
        Faults(loss=0.03, duplication=0.03, reordering=0.05, corruption=0.03),
    ],
)
def test_every_byte_arrives_once_in_order(faults: Faults, features: Features) -> None:
    network = Network(seed=7, faults=faults, features=features)
    forth = network.engine.random.randbytes(200_000)
    back = network.engine.random.randbytes(70_001)
    at_b, at_a, _ = exchange(network, forth, back)
    assert at_b == forth
    assert at_a == back
    assert network.a.counters.mib["TcpExt.TW"] + network.b.counters.mib["TcpExt.TW"] >= 1
    nothing_left(network)


@pytest.mark.parametrize("seed", range(8))
def test_heavy_faults(seed: int) -> None:
    network = Network(seed=seed, faults=Faults(loss=0.15, duplication=0.1, reordering=0.3, corruption=0.05))
    forth = network.engine.random.randbytes(20_000)
    back = network.engine.random.randbytes(20_000)
    at_b, at_a, _ = exchange(network, forth, back)
    assert at_b == forth
    assert at_a == back
    nothing_left(network)


def test_a_clean_wire_sees_no_retransmission() -> None:
    network = Network()
    _, _, info = exchange(network, bytes(1_000_000))
    assert info.total_retrans == 0
    for stack in (network.a, network.b):
        assert stack.counters.mib["Tcp.RetransSegs"] == 0
        assert not any(stack.counters.drops.values())
    # 1 MB at a window of 256 KiB and a round trip of 2 ms: slow start and then half the time waiting.
    assert 8 * MS < network.engine.now < 60 * MS


def test_same_seed_same_bytes_and_times() -> None:
    runs = []
    for _ in range(2):
        network = Network(seed=3, faults=Faults(loss=0.05, reordering=0.1))
        exchange(network, bytes(50_000))
        runs.append(network.wire.frames)
    assert runs[0] == runs[1]


@pytest.mark.parametrize("loss", [0.0, 0.03])
def test_segmentation_offload_changes_nothing_on_the_wire(loss: float) -> None:
    wires = []
    for features in (Features.NONE, OFFLOADS):
        network = Network(seed=11, features=features)
        lost = Network(seed=5).engine.random
        network.wire.drop = lambda sender, frame, lost=lost: lost.random() < loss
        forth = network.engine.random.randbytes(300_000)
        at_b, _, _ = exchange(network, forth)
        assert at_b == forth
        wires.append(network.wire.frames)
        largest = max(len(packet.data) for packet in network.devices[0].packets)
        assert (largest > 10_000) == bool(features & Features.TSO)
    assert wires[0] == wires[1]


def test_every_frame_is_valid_to_scapy() -> None:
    network = Network(features=OFFLOADS, faults=Faults(loss=0.02))
    exchange(network, bytes(range(256)) * 400)
    judged = [judge(frame) for _, _, frame in network.wire.frames if Ether(frame).type == 0x0800]
    assert len(judged) > 70
    assert sum(len(packet[TCP].payload) for packet in judged) > 100_000


def test_identification_counts_segments() -> None:
    network = Network(features=OFFLOADS)
    exchange(network, bytes(50_000))
    numbers = [
        int.from_bytes(frame[18:20], "big")
        for _, sender, frame in network.wire.frames
        if sender == "a" and frame[12:14] == b"\x08\x00"
    ]
    assert {(later - earlier) & 0xFFFF for earlier, later in pairwise(numbers)} == {1}


@pytest.mark.parametrize("initial", [0xFFFFFFFF, 0xFFFFFF00, 0x7FFFFFF0])
def test_transfer_across_the_wrap(initial: int) -> None:
    network = Network(seed=2, faults=Faults(loss=0.05, reordering=0.1))
    random = network.engine.random
    original = random.getrandbits
    forth, back = random.randbytes(60_000), random.randbytes(30_000)
    random.getrandbits = lambda bits: initial if bits == 32 else original(bits)  # type: ignore[method-assign]
    at_b, at_a, _ = exchange(network, forth, back)
    assert (at_b, at_a) == (forth, back)


@pytest.mark.parametrize("mtu", [576, 9000])
def test_other_mtu(mtu: int) -> None:
    network = Network(mtu=mtu, features=OFFLOADS)
    _, _, info = exchange(network, bytes(100_000))
    # RFC 6691: what the timestamps take is not in the MSS option, but in every segment.
    assert info.snd_mss == mtu - 40 - 12
    assert info.advmss == mtu - 40
    assert max(len(frame) for _, _, frame in network.wire.frames) == mtu + 14


def test_slow_reader_closes_the_window_and_loses_nothing() -> None:
    network = Network(tcp=TcpParameters(receive_buffer=20_000))
    forth = network.engine.random.randbytes(120_000)

    async def serve() -> bytes:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        socket, _ = await listener.accept()
        received = bytearray()
        while True:
            await network.engine.sleep(700 * MS)
            data = await socket.recv(15_000)
            if not data:
                break
            received += data
        await socket.close()
        await listener.close()
        return bytes(received)

    async def main() -> bytes:
        server = network.engine.spawn(serve())
        await network.engine.sleep(1)
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        await socket.connect((B, 80))
        await socket.sendall(forth)
        await socket.close()
        return await server

    # The window updates are lost too, so that only the probes can find the window open again.
    network.wire.drop = lambda sender, frame: sender == "b" and network.engine.now % (3 * MS) == 1 and len(frame) == 60
    assert network.engine.run(main()) == forth
    assert network.a.counters.mib["TcpExt.TCPWinProbe"] > 0
    nothing_left(network)


def test_buffers_are_bounded() -> None:
    network = Network()
    sizes: list[int] = []

    async def main() -> None:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        listener.setsockopt(SOL_SOCKET, SO_RCVBUF, 30_000)
        await listener.bind(("", 80))
        await listener.listen()
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 10_000)
        await socket.connect((B, 80))
        sending = network.engine.spawn(socket.sendall(bytes(100_000)))
        await network.engine.sleep(2 * SECOND)
        assert not sending.done()
        peer, _ = await listener.accept()
        sizes.append(len(peer._connected().receiver.buffer))
        sizes.append(socket.tcp_info().unacked + socket.tcp_info().notsent)
        while await peer.recv(7_000):
            if sending.done() and not socket._closed:
                await socket.close()

    network.engine.run(main())
    assert 28_000 < sizes[0] <= 30_000
    # A writer is woken when a third of the buffer is free.
    assert 6_666 < sizes[1] <= 10_000


def test_recovery_beats_the_timeout() -> None:
    """One lost segment in the middle of a transfer costs a round trip, not a timeout."""
    network = Network(tcp=TcpParameters(minimum_rto=SECOND))
    counted = 0

    def drop(sender: str, frame: bytes) -> bool:
        nonlocal counted
        if sender != "a" or len(frame) < 1514:
            return False
        counted += 1
        return counted == 60

    network.wire.drop = drop
    forth = network.engine.random.randbytes(400_000)
    at_b, _, info = exchange(network, forth)
    assert at_b == forth
    assert info.total_retrans == 1
    assert network.engine.now < 100 * MS
    assert network.a.counters.mib["TcpExt.TCPFastRetrans"] == 1
    assert network.a.counters.mib["TcpExt.TCPTimeouts"] == 0


def test_two_silent_ends_say_nothing() -> None:
    network = Network()

    async def main() -> int:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        await socket.connect((B, 80))
        await network.engine.sleep(5 * SECOND)
        return len(network.wire.frames)

    # ARP both ways are two frames, the handshake three.
    assert network.engine.run(main()) == 5
