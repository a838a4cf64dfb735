"""AF_PACKET (packet(7)): frames as they pass an interface, and frames as the program writes them."""

import errno
from typing import TYPE_CHECKING

from stack.ethernet import BROADCAST, ETH_HLEN, ETH_P_ALL, link_header
from stack.ip.interface import Interface
from stack.net_device import NetDevice
from stack.skbuff import SkBuff
from stack.socket.base import Socket, check_buffer, error
from stack.socket.constants import (
    AF_PACKET,
    MSG_PEEK,
    MSG_TRUNC,
    POLLIN,
    POLLOUT,
    SO_RCVBUF,
    SO_RCVTIMEO,
    SO_SNDTIMEO,
    SOCK_DGRAM,
    SOL_SOCKET,
)
from stack.socket.queue import PacketQueue

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["LinkAddress", "PacketSocket"]

LinkAddress = tuple[str, int, int, int, bytes]
"""(interface, EtherType, packet type, hardware type, hardware address), as in Python's ``socket``."""

_ETHERNET = 1
_PACKET_HOST = 0
_PACKET_BROADCAST = 1
_PACKET_MULTICAST = 2
_PACKET_OTHERHOST = 3
_PACKET_OUTGOING = 4


class PacketSocket(Socket):
    """SOCK_RAW with link-layer header, SOCK_DGRAM without. ``protocol`` is an EtherType, ETH_P_ALL for every frame, 0
    for none until ``bind`` names one. What this host sends is seen with ETH_P_ALL only."""

    def __init__(self, stack: "NetworkStack", kind: int, protocol: int) -> None:
        super().__init__(stack, AF_PACKET, kind, protocol)
        self._queue: PacketQueue[LinkAddress] = PacketQueue(stack.tcp.parameters.receive_buffer, stack.counters)
        self._interface: Interface | None = None
        self._hooked: list[NetDevice] = []
        self._hook()

    def _hook(self) -> None:
        """Listen at the devices of one interface, or of all."""
        self._unhook()
        if not self.proto:
            return
        chosen = [self._interface] if self._interface is not None else list(self.stack.ip.interfaces.values())
        for device in dict.fromkeys(interface.device for interface in chosen):
            device.taps.append(self._received)
            if self.proto == ETH_P_ALL:
                device.transmit_taps.append(self._sent)
            self._hooked.append(device)

    def _unhook(self) -> None:
        for device in self._hooked:
            device.taps.remove(self._received)
            if self._sent in device.transmit_taps:
                device.transmit_taps.remove(self._sent)
        self._hooked.clear()

    def _received(self, skb: SkBuff) -> None:
        device = skb.dev
        frame = bytes(skb.data)
        if device is None or len(frame) < ETH_HLEN:
            return
        if frame[:6] == device.address:
            kind = _PACKET_HOST
        elif frame[:6] == BROADCAST:
            kind = _PACKET_BROADCAST
        else:
            kind = _PACKET_MULTICAST if frame[0] & 1 else _PACKET_OTHERHOST
        self._put(device, frame, kind)

    def _sent(self, device: NetDevice, skb: SkBuff) -> None:
        self._put(device, skb.frame(), _PACKET_OUTGOING)

    def _put(self, device: NetDevice, frame: bytes, kind: int) -> None:
        protocol = int.from_bytes(frame[12:14], "big")
        if self.proto not in (ETH_P_ALL, protocol):
            return
        data = frame if self.type != SOCK_DGRAM else frame[ETH_HLEN:]
        if self._queue.put(data, (device.name, protocol, kind, _ETHERNET, frame[6:12])):
            self._changed_readable()

    def poll(self) -> int:
        return POLLOUT | (POLLIN if self._queue else 0)

    def _device(self, name: str) -> Interface:
        for interface in self.stack.ip.interfaces.values():
            if interface.name == name:
                return interface
        raise error(errno.ENODEV)

    async def bind(self, address: tuple[str, int]) -> None:
        """(interface, EtherType): see one interface only; EtherType 0 leaves it as it is. ENODEV."""
        self._enter()
        self._interface = self._device(address[0])
        self.proto = address[1] or self.proto
        self._hook()
        await self._leave()

    def getsockname(self) -> LinkAddress:
        """The interface and EtherType."""
        interface = self._interface
        if interface is None:
            return "", self.proto, 0, _ETHERNET, b""
        return interface.name, self.proto, 0, _ETHERNET, interface.device.address

    async def send(self, frame: "bytes | bytearray | memoryview", flags: int = 0) -> int:
        """Send one whole frame through the bound interface. EDESTADDRREQ for SOCK_DGRAM or without one."""
        self._enter()
        if self._interface is None or self.type == SOCK_DGRAM:
            raise error(errno.EDESTADDRREQ)
        return await self._send(self._interface, b"", bytes(frame))

    async def sendto(self, data: "bytes | bytearray | memoryview", address: LinkAddress | tuple[str, int]) -> int:
        """Send one frame, or with SOCK_DGRAM one packet, through the interface that ``address`` names. EMSGSIZE if it
        is too long for it, ENOBUFS if its queue is full."""
        self._enter()
        interface = self._device(address[0])
        header = b""
        if self.type == SOCK_DGRAM:
            if len(address) < 5 or len(address[4]) != 6:
                raise error(errno.EINVAL)
            header = link_header(address[4], interface.device.address, address[1])
        return await self._send(interface, header, bytes(data))

    async def _send(self, interface: Interface, header: bytes, data: bytes) -> int:
        whole = len(header) + len(data)
        if whole < ETH_HLEN:
            raise error(errno.EINVAL)
        if whole > interface.device.mtu + ETH_HLEN + 4:
            raise error(errno.EMSGSIZE)
        self._copy(len(data))
        frame = header + data
        skb = SkBuff(frame[ETH_HLEN:], head=frame[:ETH_HLEN], protocol=int.from_bytes(frame[12:14], "big"))
        if not interface.device.queue_xmit(skb):
            raise error(errno.ENOBUFS)
        await self._leave()
        return len(data)

    async def recv(self, size: int, flags: int = 0) -> bytes:
        """The oldest frame or packet, cut to ``size`` bytes."""
        return (await self.recvfrom(size, flags))[0]

    async def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, LinkAddress]:
        """The oldest frame or packet, cut to ``size`` bytes, and where it came from."""
        data, _, _, address = await self.recvmsg(size, 0, flags)
        return data, address

    async def recvmsg(
        self, size: int, ancillary_size: int = 0, flags: int = 0
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, LinkAddress]:
        """(data, no control messages, MSG_TRUNC, where it came from)."""
        self._enter()
        deadline = self._deadline(SO_RCVTIMEO)
        while not self._queue:
            await self._wait_readable(flags, deadline)
        data, address = self._queue.take(peek=flags & MSG_PEEK != 0)
        self._copy(min(size, len(data)))
        await self._leave()
        return data[:size], [], MSG_TRUNC if len(data) > size else 0, address

    async def close(self) -> None:
        if self._closed:
            return
        self._enter()
        self._closed = True
        self._unhook()
        self._queue.clear()
        self._wake_all()
        await self._leave()

    def setsockopt(self, level: int, option: int, value: int | bytes | str) -> None:
        """SO_RCVBUF, SO_RCVTIMEO, SO_SNDTIMEO; ENOPROTOOPT for any other."""
        self._enter()
        if level == SOL_SOCKET and option in (SO_RCVTIMEO, SO_SNDTIMEO):
            self._set_timeout(option, value)
        elif (level, option) == (SOL_SOCKET, SO_RCVBUF) and isinstance(value, int):
            self._queue.limit = check_buffer(value)
        else:
            raise error(errno.ENOPROTOOPT)

    def getsockopt(self, level: int, option: int) -> int:
        """SO_RCVBUF; ENOPROTOOPT for any other."""
        self._enter()
        if (level, option) == (SOL_SOCKET, SO_RCVBUF):
            return self._queue.limit
        raise error(errno.ENOPROTOOPT)
