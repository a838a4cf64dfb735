"""Programs that several workloads share: streams without end, echo servers, sinks."""

from collections.abc import Callable

from sim.hosts import Hosts
from sim.workloads.generator import PORT, sequence_number
from stack.host import NetworkStack
from stack.socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, TCP_NODELAY, StreamSocket
from stack.tcp.tcp import IPPROTO_TCP

__all__ = ["connected_pair", "pour", "receive_exactly", "sink_datagrams", "sink_stream"]

CHUNK = 65536
"""Bytes of one call of the programs."""


async def connected_pair(
    client: NetworkStack, server: NetworkStack, address: str, port: int, hosts: Hosts
) -> tuple[StreamSocket, StreamSocket]:
    """A connection from ``client`` to ``server`` at ``address``: both ends, without Nagle's delay."""
    listener = server.socket(AF_INET, SOCK_STREAM)
    await listener.bind((address, port))
    await listener.listen(1)
    near = client.socket(AF_INET, SOCK_STREAM)
    accepting = hosts.env.spawn(listener.accept())
    await near.connect((address, port))
    far, _ = await accepting
    await listener.close()
    for end in (near, far):
        end.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return near, far


async def receive_exactly(
    connection: StreamSocket, count: int, counted: Callable[[int], None] = lambda size: None
) -> bool:
    """Take ``count`` bytes, and tell ``counted`` of each piece; False if the connection ended before."""
    while count:
        piece = await connection.recv(count)
        if not piece:
            return False
        counted(len(piece))
        count -= len(piece)
    return True


async def pour(connection: StreamSocket, chunk: int = CHUNK) -> None:
    """Send for ever."""
    data = bytes(chunk)
    while True:
        await connection.sendall(data)


async def sink_stream(connection: StreamSocket, hosts: Hosts, *, at_a: bool) -> None:
    """Receive for ever, and count: as received if host A is where this runs, else as what A sent."""
    count = hosts.count_received if at_a else hosts.count_sent
    while True:
        piece = await connection.recv(CHUNK)
        if not piece:
            return
        count(len(piece))


async def sink_datagrams(hosts: Hosts, sent_at: dict[int, int]) -> None:
    """A's program on the generator's port: counts datagrams, and how long each was on its way from the wire.

    ``sent_at`` holds by number when a datagram's frame started on the wire; what arrives is taken out.
    """
    socket = hosts.stack.socket(AF_INET, SOCK_DGRAM)
    await socket.bind((hosts.address, PORT))
    while True:
        data = await socket.recv(CHUNK)
        hosts.count_received(len(data))
        hosts.transaction(hosts.env.now - sent_at.pop(sequence_number(data)))
