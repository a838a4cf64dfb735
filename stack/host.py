"""One host's network stack: its interfaces and layers put together, and the way to sockets."""

from typing import Literal, overload

from stack.address import parse_ipv4
from stack.arp import ArpParameters
from stack.counters import Counters
from stack.datagram_socket import DatagramSocket
from stack.environment import Cpu, Environment
from stack.icmp import Icmp
from stack.interface import Interface
from stack.ipv4 import Ipv4
from stack.net_device import NetDevice
from stack.socket import AF_INET, SOCK_DGRAM, SOCK_STREAM
from stack.stream_socket import StreamSocket
from stack.tcp.parameters import TcpParameters
from stack.tcp.tcp import Tcp
from stack.udp import Udp

__all__ = ["NetworkStack"]


class NetworkStack:
    """ARP, IPv4, ICMP, UDP and TCP of one host.

    The devices that are added deliver to it; they are opened and stopped by their owner.
    """

    def __init__(
        self,
        env: Environment,
        cpu: Cpu,
        *,
        tcp: TcpParameters | None = None,
        arp: ArpParameters | None = None,
    ) -> None:
        self.env = env
        self.cpu = cpu
        self.counters = Counters()
        self.interfaces: list[Interface] = []
        self._arp = arp or ArpParameters()
        self.ipv4 = Ipv4(cpu, self.counters)
        self.icmp = Icmp(self.ipv4, cpu, self.counters)
        self.udp = Udp(self.ipv4, self.icmp, cpu, env.random, self.counters)
        self.tcp = Tcp(env, cpu, self.ipv4, self.icmp, self.counters, tcp or TcpParameters())

    def add_interface(self, device: NetDevice, address: str, prefix: int) -> Interface:
        """Give a device an address, such as ``"10.0.0.1", 24``, and receive from it."""
        interface = Interface(
            device,
            self.counters,
            address=parse_ipv4(address),
            prefix=prefix,
            arp=self._arp,
            input_ipv4=self.ipv4.input,
            unreachable=self.icmp.host_unreachable,
        )
        self.interfaces.append(interface)
        self.ipv4.add_interface(interface)
        return interface

    def add_route(self, network: str, prefix: int, gateway: str) -> None:
        """Reach ``network/prefix`` through ``gateway``; ``"0.0.0.0", 0`` is the default route."""
        self.ipv4.add_route(network, prefix, gateway)

    @overload
    def socket(self, family: int, kind: Literal[1]) -> StreamSocket: ...

    @overload
    def socket(self, family: int, kind: Literal[2]) -> DatagramSocket: ...

    def socket(self, family: int, kind: int) -> StreamSocket | DatagramSocket:
        """A new socket: ``socket(AF_INET, SOCK_STREAM)`` or ``socket(AF_INET, SOCK_DGRAM)``.

        Raises ``ValueError`` for any other family or kind.
        """
        if family != AF_INET:
            raise ValueError(f"address family {family!r} is not built; AF_INET ({AF_INET}) is")
        if kind == SOCK_STREAM:
            return StreamSocket(self)
        if kind == SOCK_DGRAM:
            return DatagramSocket(self)
        raise ValueError(f"socket type {kind!r} is not built; SOCK_STREAM and SOCK_DGRAM are")

    async def ping(self, address: str, *, count: int = 1, size: int = 56, timeout: int = 1_000_000_000) -> list[int]:
        """Send ``count`` echo requests, one after the other's answer or ``timeout`` ns. Returns the round-trip times
        in nanoseconds of those that were answered."""
        destination = parse_ipv4(address)
        identifier = self.env.random.getrandbits(16)
        answered = self.env.event()
        expected = -1
        times: list[int] = []

        def reply(sequence: int, data: bytes) -> None:
            nonlocal expected
            if sequence == expected and data == bytes(size):
                expected = -1
                times.append(self.cpu.now - sent)
                answered.set()

        self.icmp.echo_replies[identifier] = reply
        try:
            for sequence in range(count):
                answered.clear()
                expected = sequence
                sent = self.cpu.now
                self.icmp.send_echo(destination, identifier, sequence, bytes(size))
                timer = self.env.call_at(sent + timeout, answered.set)
                await answered.wait()
                timer.cancel()
        finally:
            del self.icmp.echo_replies[identifier]
        return times

    def close(self) -> None:
        """End all connections at once, without a word to their peers, and leave no timer behind."""
        for listener in list(self.tcp.listeners.values()):
            self.tcp.unlisten(listener)
        for connection in list(self.tcp.connections.values()):
            connection.finish(0)
        for interface in self.interfaces:
            interface.arp.close()
            interface.device.receive = None
