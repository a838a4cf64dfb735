"""Request and response, over TCP or UDP, with some requests outstanding at a time."""

from collections import deque
from enum import StrEnum
from typing import Literal

from pydantic import Field

from sim.hosts import Hosts
from sim.quantity import Size
from sim.workloads.programs import connected_pair, receive_exactly
from sim.workloads.workload import Load, TimedWorkload
from stack.host import NetworkStack
from stack.socket import AF_INET, SOCK_DGRAM, StreamSocket

__all__ = ["PingPong", "Transport", "request_over_tcp"]

_PORT = 5201


class Transport(StrEnum):
    TCP = "tcp"
    UDP = "udp"


async def _answer_tcp(connection: StreamSocket, request: int, response: int) -> None:
    while await receive_exactly(connection, request):
        await connection.sendall(bytes(response))


async def request_over_tcp(
    hosts: Hosts, connection: StreamSocket, *, outstanding: int, request: int, response: int
) -> None:
    """A's program: ``outstanding`` requests at first, then one for each response."""
    started: deque[int] = deque()
    for _ in range(outstanding):
        started.append(hosts.env.now)
        await connection.sendall(bytes(request))
    while await receive_exactly(connection, response, hosts.count_received):
        hosts.transaction(hosts.env.now - started.popleft())
        started.append(hosts.env.now)
        await connection.sendall(bytes(request))


async def _answer_udp(stack: NetworkStack, address: str, response: int) -> None:
    socket = stack.socket(AF_INET, SOCK_DGRAM)
    await socket.bind((address, _PORT))
    while True:
        data, sender = await socket.recvfrom(65536)
        await socket.sendto(data[:8] + bytes(max(response - 8, 0)), sender)


async def _request_over_udp(hosts: Hosts, *, outstanding: int, request: int, response: int) -> None:
    """As ``request_over_tcp``; requests carry their number. One that is lost is not sent again."""
    socket = hosts.stack.socket(AF_INET, SOCK_DGRAM)
    await socket.connect((hosts.peer_addresses[0], _PORT))
    started: dict[bytes, int] = {}
    number = 0

    async def send() -> None:
        nonlocal number
        head = number.to_bytes(8, "big")
        number += 1
        started[head] = hosts.env.now
        await socket.send(head + bytes(request - len(head)))

    for _ in range(outstanding):
        await send()
    while True:
        data = await socket.recv(65536)
        hosts.transaction(hosts.env.now - started.pop(data[:8]))
        hosts.count_received(response)
        await send()


class PingPong(TimedWorkload):
    """A's program asks, the peer's answers; the latency is from asking to having the answer."""

    kind: Literal["ping-pong"] = "ping-pong"
    latency_of = "round trip"
    transport: Transport = Transport.TCP
    outstanding: int = Field(default=1, ge=1, le=1000)
    request: Size = Field(default=8, ge=1, le=1_000_000)
    response: Size = Field(default=8, ge=1, le=1_000_000)

    def model_post_init(self, context: object) -> None:
        if self.transport is Transport.UDP and not (8 <= self.request <= 1472 and 8 <= self.response <= 1472):
            raise ValueError("request and response over UDP have 8..1472 bytes: a number, and what fits a frame")

    @property
    def load(self) -> Load:
        return self.outstanding, "outstanding"

    async def start(self, hosts: Hosts) -> None:
        peer, address = hosts.peers[0], hosts.peer_addresses[0]
        if self.transport is Transport.UDP:
            hosts.spawn(_answer_udp(peer, address, self.response), "answers")
            program = _request_over_udp(
                hosts, outstanding=self.outstanding, request=self.request, response=self.response
            )
        else:
            near, far = await connected_pair(hosts.stack, peer, address, _PORT, hosts)
            hosts.spawn(_answer_tcp(far, self.request, self.response), "answers")
            program = request_over_tcp(
                hosts, near, outstanding=self.outstanding, request=self.request, response=self.response
            )
        hosts.spawn(program, "requests")
