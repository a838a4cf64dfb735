"""What a packet costs a host that has much to remember, and what an idle connection takes.

Two stacks on a wire without NIC. Connections are opened by the far stack, and stay idle while one of them works.
"""

import gc
import time
import tracemalloc

from sim.engine import EventEngine
from sim.host import IDEAL, HostCpu
from sim.wire import Link
from sim.wire_device import WireDevice
from stack.address import IPV4_PREFIX, MAPPED, parse_address
from stack.host import NetworkStack
from stack.socket import AF_INET, SOCK_STREAM, StreamSocket
from stack.tcp.parameters import TcpParameters

__all__ = ["Host", "bytes_per_connection", "packet_time"]

_NEAR, _FAR = "10.0.0.1", "10.0.0.2"
_PORT = 5001
_ROUNDS = 2000
_REPETITIONS = 5


class Host:
    """Two stacks; ``near`` has ``connections`` idle ones and ``routes`` routes that lead elsewhere."""

    def __init__(self, *, connections: int, routes: int) -> None:
        self.engine = EventEngine(seed=1)
        link = Link(self.engine)
        directions = ((link.a_to_b, link.b_to_a), (link.b_to_a, link.a_to_b))
        stacks = []
        self._devices = []
        for number, ((outgoing, incoming), address) in enumerate(zip(directions, (_NEAR, _FAR), strict=True), start=1):
            cpu = HostCpu(self.engine, IDEAL)
            mac = bytes([2, 0, 0, 0, 0, number])
            self._devices.append(WireDevice(self.engine, cpu, outgoing=outgoing, incoming=incoming, address=mac))
            # All these connections come at once.
            stacks.append(NetworkStack(self.engine, cpu, tcp=TcpParameters(max_syn_backlog=1 << 20, somaxconn=1 << 20)))
            stacks[-1].add_interface(self._devices[-1], address, 8)
        self.near, self._far = stacks
        self._pair: tuple[StreamSocket, StreamSocket] | None = None
        self.idle: list[StreamSocket] = []
        add_routes(self.near, routes)
        self.engine.run(self._open(connections))
        # Until no timer of theirs is left that has nothing to do any more.
        self.engine.run_until(self.engine.now + 2_000_000_000)

    async def _open(self, connections: int) -> None:
        for device in self._devices:
            await device.open()
        listener = self.near.socket(AF_INET, SOCK_STREAM)
        await listener.bind((_NEAR, _PORT))
        await listener.listen(1 << 20)
        socket = self._far.socket(AF_INET, SOCK_STREAM)
        await socket.connect((_NEAR, _PORT))
        peer, _ = await listener.accept()
        self._pair = socket, peer
        self._listener = listener
        await self.add_idle(connections)

    async def add_idle(self, connections: int) -> None:
        """Open more connections."""
        for _ in range(connections):
            socket = self._far.socket(AF_INET, SOCK_STREAM)
            await socket.connect((_NEAR, _PORT))
            peer, _ = await self._listener.accept()
            self.idle += (socket, peer)

    def echo(self, rounds: int) -> None:
        """One byte there and back, ``rounds`` times: four segments each way with their acknowledgments at most."""
        self.engine.run(self._echo(rounds))

    async def _echo(self, rounds: int) -> None:
        assert self._pair is not None
        socket, peer = self._pair
        for _ in range(rounds):
            await socket.send(b"x")
            await peer.recv(1)
            await peer.send(b"y")
            await socket.recv(1)


def add_routes(stack: NetworkStack, count: int) -> None:
    """Routes of all lengths from 8 to 31 bits, none to where packets go here."""
    gateway = parse_address("10.0.0.77")
    for number in range(count):
        length = 8 + number % 24
        network = (0x80000000 + (number * 2654435761 >> 3)) & 0xFFFFFFFF
        network &= 0xFFFFFFFF << (32 - length) & 0xFFFFFFFF
        stack.ip.add_route(MAPPED | network, IPV4_PREFIX + length, gateway)


def packet_time(*, connections: int, routes: int) -> float:
    """Seconds of processor time for one round trip of one byte, the best of several measurements."""
    host = Host(connections=connections, routes=routes)
    host.echo(_ROUNDS // 10)
    best = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(_REPETITIONS):
            started = time.process_time()
            host.echo(_ROUNDS)
            best = min(best, (time.process_time() - started) / _ROUNDS)
    finally:
        gc.enable()
    return best


def bytes_per_connection(connections: int = 500) -> float:
    """Bytes of memory of one idle connection with its socket, the mean of both ends."""
    host = Host(connections=20, routes=0)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        host.engine.run(host.add_idle(connections))
        host.engine.run_until(host.engine.now + 1_000_000_000)
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / (2 * connections)
    finally:
        tracemalloc.stop()
