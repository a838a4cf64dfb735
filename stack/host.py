"""One host's network stack: its interfaces and layers put together, and the way to sockets."""

from typing import Literal, overload

from stack.address import IPV4_PREFIX, embed_scope, is_ipv4, parse_address
from stack.counters import Counters
from stack.environment import Cpu, Environment
from stack.ip.interface import Interface
from stack.ip.ip import Ip
from stack.ip.parameters import IpParameters, NeighbourParameters
from stack.net_device import NetDevice
from stack.socket.base import Socket
from stack.socket.constants import AF_INET, AF_INET6, AF_PACKET, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM
from stack.socket.datagram import DatagramSocket
from stack.socket.packet import PacketSocket
from stack.socket.raw import RawSocket
from stack.socket.stream import StreamSocket
from stack.tcp.parameters import TcpParameters
from stack.tcp.tcp import IPPROTO_TCP, Tcp
from stack.udp import IPPROTO_UDP, Udp

__all__ = ["NetworkStack"]


class NetworkStack:
    """ARP, IPv4, IPv6, neighbour discovery, ICMP, UDP and TCP of one host.

    The devices that are added deliver to it; they are opened and stopped by their owner.
    """

    def __init__(
        self,
        env: Environment,
        cpu: Cpu,
        *,
        tcp: TcpParameters | None = None,
        ip: IpParameters | None = None,
        neighbours: NeighbourParameters | None = None,
    ) -> None:
        self.env = env
        self.cpu = cpu
        self.counters = Counters()
        self.ip = Ip(env, cpu, self.counters, ip or IpParameters(), neighbours or NeighbourParameters())
        self.udp = Udp(self.ip, cpu, env.random, self.counters)
        self.tcp = Tcp(env, cpu, self.ip, self.counters, tcp or TcpParameters())

    def add_interface(self, device: NetDevice, address: str, prefix: int) -> Interface:
        """Give a device an address such as ``"10.0.0.1", 24`` or ``"2001:db8::1", 64``, and receive
        from it. Again for another address. Raises ``ValueError``."""
        number = parse_address(address)
        longest = 32 if is_ipv4(number) else 128
        if not 0 <= prefix <= longest:
            raise ValueError(f"{device.name}: a prefix has 0 to {longest} bits, not {prefix!r}")
        interface = self.ip.interface_of(device) or self.ip.add_interface(device)
        number = embed_scope(number, interface.index)
        if number in interface.addresses:
            raise ValueError(f"{interface.name} has the address {address} already")
        interface.add_address(number, prefix + (IPV4_PREFIX if is_ipv4(number) else 0))
        return interface

    def add_route(self, network: str, prefix: int, gateway: str, *, source: str = "", source_prefix: int = 0) -> None:
        """Reach ``network/prefix`` through ``gateway``; ``"0.0.0.0", 0`` and ``"::", 0`` are the default routes.
        ``source``: only for packets from there. Raises ``ValueError``."""
        destination, hop = parse_address(network), parse_address(gateway)
        ipv4 = is_ipv4(destination)
        shift = IPV4_PREFIX if ipv4 else 0
        if is_ipv4(hop) is not ipv4:
            raise ValueError(f"gateway {gateway} is not of the family of {network}")
        if not 0 <= prefix <= 128 - shift or not 0 <= source_prefix <= 128 - shift:
            raise ValueError(f"a prefix has 0 to {128 - shift} bits, not {prefix!r}")
        if not source:
            self.ip.add_route(destination, prefix + shift, hop)
            return
        origin = parse_address(source)
        if is_ipv4(origin) is not ipv4:
            raise ValueError(f"source {source} is not of the family of {network}")
        self.ip.add_route(destination, prefix + shift, hop, source=origin, source_length=source_prefix + shift)

    @overload
    def socket(self, family: int, kind: Literal[1], protocol: int = 0) -> StreamSocket: ...

    @overload
    def socket(self, family: Literal[2, 10], kind: Literal[2], protocol: int = 0) -> DatagramSocket: ...

    @overload
    def socket(self, family: Literal[2, 10], kind: Literal[3], protocol: int) -> RawSocket: ...

    @overload
    def socket(self, family: Literal[17], kind: Literal[2, 3], protocol: int) -> PacketSocket: ...

    def socket(self, family: int, kind: int, protocol: int = 0) -> Socket:
        """A new socket of AF_INET or AF_INET6 with SOCK_STREAM, SOCK_DGRAM or SOCK_RAW, or of AF_PACKET with SOCK_RAW
        or SOCK_DGRAM.

        Raises ``ValueError`` for what is not built.
        """
        if family == AF_PACKET and kind in (SOCK_RAW, SOCK_DGRAM):
            return PacketSocket(self, kind, protocol)
        if family not in (AF_INET, AF_INET6):
            raise ValueError(f"address family {family!r} is not built; AF_INET, AF_INET6 and AF_PACKET are")
        if kind == SOCK_STREAM and protocol in (0, IPPROTO_TCP):
            return StreamSocket(self, family)
        if kind == SOCK_DGRAM and protocol in (0, IPPROTO_UDP):
            return DatagramSocket(self, family)
        if kind == SOCK_RAW and 0 < protocol <= 255:
            return RawSocket(self, family, protocol)
        raise ValueError(f"socket type {kind!r} with protocol {protocol!r} is not built")

    async def ping(self, address: str, *, count: int = 1, size: int = 56, timeout: int = 1_000_000_000) -> list[int]:
        """Send ``count`` echo requests, one after the other's answer or ``timeout`` ns. Returns the round-trip times
        in nanoseconds of those that were answered."""
        destination = parse_address(address)
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

        self.ip.icmp.echo_replies[identifier] = reply
        try:
            for sequence in range(count):
                answered.clear()
                expected = sequence
                sent = self.cpu.now
                self.ip.icmp.send_echo(destination, identifier, sequence, bytes(size))
                timer = self.env.call_at(sent + timeout, answered.set)
                await answered.wait()
                timer.cancel()
        finally:
            del self.ip.icmp.echo_replies[identifier]
        return times

    def close(self) -> None:
        """End all connections at once, without a word to their peers, and leave no timer behind."""
        for listeners in list(self.tcp.ports.wild.values()):
            for listener in list(listeners):
                self.tcp.ports.unlisten(listener.binding, listener)
        for connection in list(self.tcp.connections.values()):
            connection.finish(0)
        self.ip.close()
