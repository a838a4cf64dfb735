"""The socket edge: errno as BSD gives it, names, ports, and what calls cost."""

import errno
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sim.engine import EventEngine
from sim.host import HostCosts, HostCpu
from stack.environment import Cause
from stack.host import NetworkStack
from stack.net_device import Features
from stack.socket import (
    AF_INET,
    SHUT_RDWR,
    SO_ERROR,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_SNDBUF,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
)
from stack.socket.stream import StreamSocket
from stack.tcp.parameters import TcpParameters
from tests.stack.network import MS, OFFLOADS, SECOND, A, B, Network


def refused(number: int) -> Any:
    return pytest.raises(OSError, match=f"Errno {number}]")


async def pair(network: Network, port: int = 80) -> tuple[StreamSocket, StreamSocket, StreamSocket]:
    """A connected socket at A, its peer at B, and B's listener."""
    listener = network.b.socket(AF_INET, SOCK_STREAM)
    await listener.bind((B, port))
    await listener.listen()
    socket = network.a.socket(AF_INET, SOCK_STREAM)
    await socket.connect((B, port))
    peer, _ = await listener.accept()
    return socket, peer, listener


def run(main: Callable[[Network], Coroutine[Any, Any, Any]], **options: Any) -> Network:
    network = Network(**options)
    network.engine.run(main(network))
    return network


def test_connection_refused() -> None:
    async def main(network: Network) -> None:
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        with pytest.raises(ConnectionRefusedError):
            await socket.connect((B, 81))
        # The socket can try again.
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind((B, 81))
        await listener.listen()
        await socket.connect((B, 81))

    network = run(main)
    assert network.b.counters.mib["Tcp.OutRsts"] == 1
    assert network.a.counters.mib["Tcp.AttemptFails"] == 1


def test_not_connected() -> None:
    async def main(network: Network) -> None:
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        for call in (socket.send(b"x"), socket.recv(1), socket.shutdown(SHUT_RDWR)):
            with refused(errno.ENOTCONN):
                await call
        with refused(errno.ENOTCONN):
            socket.getpeername()
        with refused(errno.EINVAL):
            await socket.accept()
        await socket.close()
        with refused(errno.EBADF):
            await socket.recv(1)

    run(main)


def test_unreachable_networks() -> None:
    async def main(network: Network) -> None:
        for address in ("8.8.8.8", "10.0.0.255", "224.0.0.1"):
            socket = network.a.socket(AF_INET, SOCK_STREAM)
            with refused(errno.ENETUNREACH):
                await socket.connect((address, 80))

    run(main)


def test_names() -> None:
    async def main(network: Network) -> None:
        socket, peer, listener = await pair(network)
        assert listener.getsockname() == (B, 80)
        assert peer.getsockname() == socket.getpeername() == (B, 80)
        assert socket.getsockname() == peer.getpeername()
        assert socket.getsockname()[0] == A
        assert 32768 <= socket.getsockname()[1] < 61000
        with refused(errno.EISCONN):
            await socket.connect((B, 80))
        with refused(errno.EISCONN):
            await listener.connect((A, 80))
        with refused(errno.EINVAL):
            await socket.bind((A, 5))
        with refused(errno.EINVAL):
            await socket.listen()

    run(main)


def test_ports() -> None:
    async def main(network: Network) -> None:
        first, second, third = (network.b.socket(AF_INET, SOCK_STREAM) for _ in range(3))
        with refused(errno.EADDRNOTAVAIL):
            await first.bind((A, 80))
        await first.bind((B, 80))
        with refused(errno.EADDRINUSE):
            await second.bind(("", 80))
        await second.bind((B, 81))
        await first.close()
        await third.bind(("", 80))
        await third.listen()
        fourth = network.b.socket(AF_INET, SOCK_STREAM)
        fourth.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        with refused(errno.EADDRINUSE):
            await fourth.bind((B, 80))
        any_port = network.b.socket(AF_INET, SOCK_STREAM)
        await any_port.listen()
        assert any_port.getsockname()[1] >= 32768

    run(main)


def test_time_wait_holds_the_port_unless_reuse() -> None:
    async def main(network: Network) -> None:
        socket, peer, listener = await pair(network)
        await peer.close()
        assert await socket.recv(1) == b""
        await socket.close()
        await listener.close()
        await network.engine.sleep(SECOND)
        assert network.b.tcp.connections
        again = network.b.socket(AF_INET, SOCK_STREAM)
        with refused(errno.EADDRINUSE):
            await again.bind((B, 80))
        again.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        assert again.getsockopt(SOL_SOCKET, SO_REUSEADDR) == 1
        await again.bind((B, 80))
        await again.listen()

    run(main)


def test_reset_reaches_reader_and_writer() -> None:
    async def main(network: Network) -> None:
        socket, peer, _ = await pair(network)
        await peer.send(b"never read")
        await network.engine.sleep(10 * MS)
        writing = network.engine.spawn(peer.sendall(bytes(1_000_000)))
        await network.engine.sleep(50 * MS)
        assert not writing.done()
        await socket.close()
        with pytest.raises(ConnectionResetError):
            await writing
        with pytest.raises(BrokenPipeError):
            await peer.send(b"x")
        assert await peer.recv(1) == b""

    network = run(main)
    assert network.a.counters.mib["TcpExt.TCPAbortOnClose"] == 1
    assert not network.b.tcp.connections


def test_so_error_takes_the_error() -> None:
    async def main(network: Network) -> None:
        socket, peer, _ = await pair(network)
        await peer.send(b"never read")
        await network.engine.sleep(10 * MS)
        await socket.close()
        await network.engine.sleep(10 * MS)
        assert peer.getsockopt(SOL_SOCKET, SO_ERROR) == errno.ECONNRESET
        assert peer.getsockopt(SOL_SOCKET, SO_ERROR) == 0
        assert await peer.recv(1) == b""

    run(main)


def test_data_before_a_reset_can_be_read() -> None:
    async def main(network: Network) -> None:
        socket, peer, _ = await pair(network)
        await socket.send(b"first this")
        await peer.send(b"never read")
        await network.engine.sleep(10 * MS)
        await socket.close()
        await network.engine.sleep(10 * MS)
        assert await peer.recv(100) == b"first this"
        with pytest.raises(ConnectionResetError):
            await peer.recv(100)

    run(main)


def test_closing_the_listener_resets_what_was_not_accepted() -> None:
    async def main(network: Network) -> None:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind((B, 80))
        await listener.listen()
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        await socket.connect((B, 80))
        accepting = network.b.socket(AF_INET, SOCK_STREAM)
        await accepting.listen()
        waiting = network.engine.spawn(bad_descriptor(accepting.accept()))
        await network.engine.sleep(MS)
        await listener.close()
        with pytest.raises(ConnectionResetError):
            await socket.recv(1)
        await accepting.close()
        await waiting

    run(main)


async def bad_descriptor(call: Coroutine[Any, Any, Any]) -> None:
    with refused(errno.EBADF):
        await call


def test_close_ends_calls_that_wait() -> None:
    async def main(network: Network) -> None:
        socket, _, _ = await pair(network)
        reading = network.engine.spawn(bad_descriptor(socket.recv(1)))
        writing = network.engine.spawn(bad_descriptor(socket.send(bytes(2_000_000))))
        await network.engine.sleep(SECOND)
        assert not reading.done()
        assert not writing.done()
        await socket.close()
        await reading
        await writing

    run(main)


def test_options() -> None:
    async def main(network: Network) -> None:
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        assert socket.getsockopt(SOL_SOCKET, SO_SNDBUF) == 256 * 1024
        for option in (SO_SNDBUF, SO_RCVBUF):
            socket.setsockopt(SOL_SOCKET, option, 50_000)
            assert socket.getsockopt(SOL_SOCKET, option) == 50_000
            socket.setsockopt(SOL_SOCKET, option, 1)
            assert socket.getsockopt(SOL_SOCKET, option) == 2048
            with refused(errno.EINVAL):
                socket.setsockopt(SOL_SOCKET, option, -1)
        for call in (socket.setsockopt, socket.getsockopt):
            with refused(errno.ENOPROTOOPT):
                call(77, 1, *([1] if call == socket.setsockopt else []))

    run(main)


def test_unknown_families_are_refused() -> None:
    network = Network()
    with pytest.raises(ValueError, match="1"):
        network.a.socket(1, SOCK_STREAM)
    with pytest.raises(ValueError, match="5"):
        network.a.socket(AF_INET, 5)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="132"):
        network.a.socket(AF_INET, SOCK_STREAM, 132)


def test_send_takes_all_and_any_buffer() -> None:
    async def main(network: Network) -> None:
        socket, peer, _ = await pair(network)
        reading = network.engine.spawn(drain(peer))
        assert await socket.send(b"") == 0
        assert await socket.send(bytearray(b"ab")) == 2
        assert await socket.send(memoryview(b"cdef")[::1]) == 4
        assert await socket.send(bytes(600_000)) == 600_000
        await socket.close()
        received = await reading
        assert received == b"abcdef" + bytes(600_000)

    run(main)


async def drain(socket: StreamSocket) -> bytes:
    received = bytearray()
    while data := await socket.recv(65536):
        received += data
    await socket.close()
    return bytes(received)


@pytest.mark.parametrize("features", [Features.NONE, OFFLOADS])
def test_what_a_transfer_costs(features: Features) -> None:
    """Each cause is charged for what was done: per packet, per byte, per call."""
    costs = HostCosts(
        protocol_rx=1_000,
        protocol_tx=2_000,
        system_call=3_000,
        copy_per_byte=1.0,
        checksum_per_byte=1.0,
    )
    network = Network(features=features, costs=costs)
    size = 100_000

    async def main() -> None:
        socket, peer, listener = await pair(network)
        reading = network.engine.spawn(drain(peer))
        await socket.sendall(bytes(size))
        await socket.close()
        await reading
        await listener.close()

    network.engine.run(main())
    network.settle()
    spent, device, counters = network.cpus[0].spent(), network.devices[0], network.a.counters
    received = device.stats.rx_packets
    assert spent[Cause.PROTOCOL_RX] == received * 1_000
    assert spent[Cause.PROTOCOL_TX] == len(device.packets) * 2_000
    # socket() costs nothing here; connect, send, close do.
    assert spent[Cause.SYSTEM_CALL] == 3 * 3_000
    assert spent[Cause.COPY] == size
    ours = [frame for _, name, frame in network.wire.frames if name == "a" and frame[12:14] == b"\x08\x00"]
    theirs = [frame for _, name, frame in network.wire.frames if name == "b" and frame[12:14] == b"\x08\x00"]
    summed = sum(int.from_bytes(frame[16:18], "big") - 20 for frame in theirs)
    if not features & Features.HW_CSUM:
        summed += sum(int.from_bytes(frame[16:18], "big") - 20 for frame in ours)
    assert spent[Cause.CHECKSUM] == summed
    assert counters.mib["Tcp.OutSegs"] == len(ours)


def test_calls_take_time_on_a_processor() -> None:
    engine = EventEngine(seed=1)
    stack = NetworkStack(engine, HostCpu(engine, HostCosts(system_call=5_000)))

    async def main() -> None:
        await stack.cpu.settle()
        started = engine.now
        await stack.socket(AF_INET, SOCK_STREAM).bind(("", 80))
        assert engine.now - started == 5_000

    engine.run(main())


def test_stack_close_leaves_no_timer() -> None:
    network = Network(tcp=TcpParameters())

    async def main() -> None:
        socket, _, _ = await pair(network)
        waiting = network.engine.spawn(network.a.socket(AF_INET, SOCK_DGRAM).sendto(b"x", ("10.0.0.9", 9)))
        await socket.send(b"in flight")
        await waiting

    network.engine.run(main())
    network.a.close()
    network.b.close()
    assert not network.a.tcp.connections
    network.engine.run_until(network.engine.now + 2 * MS)
    assert network.engine.next_call() is None
