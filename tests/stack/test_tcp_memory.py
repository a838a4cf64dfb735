"""tcp_mem: what all connections keep is counted, and bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP

from stack.counters import Counters, DropReason
from stack.socket import AF_INET, MSG_DONTWAIT, POLLOUT, SOCK_STREAM
from stack.tcp.memory import TcpMemory
from stack.tcp.parameters import TcpParameters
from stack.tcp.receive import Receiver
from stack.tcp.sysctl import TcpSysctl
from tests.stack.network import MS, B, Faults, Network
from tests.stack.scripted import Script
from tests.stack.test_tcp_network import exchange, nothing_left

PAGE = 4096
SMALL = {"memory_low": 2 * PAGE, "memory_pressure": 3 * PAGE, "memory_high": 4 * PAGE}


def counted(stack: object) -> int:
    """The sum, made anew."""
    return sum(one.sender.kept + one.receiver.kept for one in stack.tcp.connections.values())  # type: ignore[attr-defined]


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1 << 16))
def test_the_sum_is_that_of_the_buffers(seed: int) -> None:
    faults = Faults(loss=0.05, duplication=0.05, reordering=0.1)
    network = Network(seed=seed, faults=faults)
    network.engine.call_at(5 * MS, lambda: check())

    def check() -> None:
        for stack in (network.a, network.b):
            assert stack.tcp.memory.used == counted(stack)
        if network.a.tcp.connections:
            network.engine.call_at(network.engine.now + 3 * MS, check)

    data = network.engine.random.randbytes(20_000)
    at_b, at_a, _ = exchange(network, data, data[:5_000])
    assert (at_b, at_a) == (data, data[:5_000])
    nothing_left(network)
    assert network.a.tcp.memory.used == network.b.tcp.memory.used == 0


def test_writing_waits_and_goes_on() -> None:
    network = Network(tcp=TcpParameters(**SMALL), tcp_b=TcpParameters())
    network.wire.drop = lambda sender, frame: sender == "a" and len(frame) > 200

    async def main() -> None:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        sockets = [network.a.socket(AF_INET, SOCK_STREAM) for _ in range(6)]
        sent = []
        for socket in sockets:
            await socket.connect((B, 80))
            try:
                sent.append(await socket.send(bytes(6000), MSG_DONTWAIT))
            except BlockingIOError:
                sent.append(0)
        # Each may have a page whatever the others have.
        assert sent == [6000] * 6
        assert all(not socket.poll() & POLLOUT for socket in sockets)
        with pytest.raises(BlockingIOError):
            await sockets[0].send(b"x", MSG_DONTWAIT)
        assert network.a.counters.mib["TcpExt.TCPMemoryPressures"] == 1
        network.wire.drop = lambda sender, frame: False
        await sockets[0].send(b"x")
        for socket in sockets:
            await socket.close()
        await network.engine.sleep(20_000 * MS)
        assert network.a.tcp.memory.used == 0
        assert not network.a.tcp.memory.pressure

    network.engine.run(main())


def test_what_arrives_is_dropped_and_comes_again() -> None:
    script = Script(tcp=TcpParameters(**SMALL))
    socket, iss = script.accepted()
    for number in range(17):
        script.inject("A", 1001 + number * 1000, iss + 1, data=bytes(1000))
    assert script.stack.tcp.memory.used == 17_000
    script.sent.clear()
    script.inject("A", 18_001, iss + 1, data=bytes(1000))
    script.expect("A", iss + 1, 18_001)
    script.inject("A", 20_001, iss + 1, data=bytes(1000))
    script.expect("A", iss + 1, 18_001)
    mib = script.stack.counters.mib
    assert (mib["TcpExt.TCPRcvQDrop"], mib["TcpExt.TCPOFODrop"]) == (1, 1)
    assert script.stack.counters.drops[DropReason.PROTO_MEM] == 2
    assert script.stack.tcp.memory.used == 17_000
    # A program that has read all gets what comes next.
    assert len(script.call(socket.recv(20_000))) == 17_000
    script.sent.clear()
    script.inject("A", 18_001, iss + 1, data=bytes(1000))
    assert script.call(socket.recv(20_000)) == bytes(1000)
    script.call(socket.close())
    assert script.stack.tcp.memory.used == 0


@pytest.mark.parametrize("others", [0, 3 * PAGE])
def test_under_pressure_the_window_does_not_open(others: int) -> None:
    limits = {"memory_low": 2 * PAGE, "memory_pressure": 6 * PAGE, "memory_high": 16 * PAGE}
    script = Script(tcp=TcpParameters(receive_buffer=32_000, moderate_receive_buffer=False, **limits))
    socket, iss = script.accepted()
    script.stack.tcp.memory.change(others, script.stack.tcp.parameters)

    def edge(number: int) -> int:
        script.inject("A", 1001 + number * 1000, iss + 1, data=bytes(1000))
        script.run(50 * MS)
        segment = script.sent[-1][1][TCP]
        return int(segment.ack + segment.window)

    before = [edge(number) for number in range(20)]
    assert set(before) == {33_001}
    assert script.stack.tcp.memory.pressure == (others > 0)
    script.call(socket.recv(3000))
    # Nothing is taken back; what was read is given only if memory allows.
    assert edge(20) == (33_001 if others else 36_001)


def test_pressure_lasts_until_memory_is_low_again() -> None:
    parameters, counters = TcpParameters(**SMALL), Counters()
    memory = TcpMemory(counters)
    found = []
    for used in (3 * PAGE, 3 * PAGE + 1, 2 * PAGE + 1, 3 * PAGE + 1, 2 * PAGE, 3 * PAGE, 3 * PAGE + 1):
        memory.change(used - memory.used, parameters)
        found.append(memory.pressure)
    assert found == [False, True, True, True, False, False, True]
    assert counters.mib["TcpExt.TCPMemoryPressures"] == 2


@pytest.mark.parametrize("pressed", [False, True])
def test_under_pressure_no_buffer_grows(pressed: bool) -> None:
    network = Network(delay=5 * MS)
    if pressed:
        for stack in (network.a, network.b):
            stack.tcp.memory.change(stack.tcp.parameters.memory_pressure + 1, stack.tcp.parameters)

    async def main() -> None:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        await socket.connect((B, 80))
        peer, _ = await listener.accept()

        async def read() -> None:
            while await peer.recv(1 << 20):
                pass

        network.engine.spawn(read())
        await socket.sendall(bytes(4_000_000))
        sender, receiver = socket._connected().sender, peer._connected().receiver
        assert (sender.limit == 256 * 1024, receiver.limit == 256 * 1024) == (pressed, pressed)

    network.engine.run(main())


def test_a_reader_with_nothing_to_read_gets_what_closes_the_gap() -> None:
    script = Script(tcp=TcpParameters(**SMALL))
    socket, iss = script.accepted()
    for number in range(1, 18):
        script.inject("A", 1001 + number * 1000, iss + 1, data=bytes(1000))
    script.inject("A", 1001, iss + 1, data=bytes(1000))
    assert len(script.call(socket.recv(20_000))) == 18_000


def test_under_pressure_a_window_has_four_segments() -> None:
    """Linux's tcp_adjust_rcv_ssthresh, once the buffer is half full."""
    receiver = Receiver(limit=32_000, mss=1000)
    receiver.open(0)
    receiver.pressed = True
    receiver.buffer += bytes(16_000)
    assert receiver.window_field() == 16_000
    receiver.open(0)
    receiver.buffer += b"x"
    assert receiver.window_field() == 4_000


def test_tcp_mem_by_its_name() -> None:
    network = Network()
    TcpSysctl(network.a.tcp).write("net.ipv4.tcp_mem", "2 3 4")
    parameters = network.a.tcp.parameters
    assert (parameters.memory_low, parameters.memory_pressure, parameters.memory_high) == (8192, 12288, 16384)
    assert TcpSysctl(network.a.tcp).read("net.ipv4.tcp_mem") == "2\t3\t4"
    for wrong in ("3 2 4", "1 2", "0 1 2", "a b c"):
        with pytest.raises(OSError, match="Invalid argument"):
            TcpSysctl(network.a.tcp).write("net.ipv4.tcp_mem", wrong)
