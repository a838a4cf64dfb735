"""A peer whose every segment is written by the test, in the manner of packetdrill: one stack under test, no second one.

Segments are built and judged with scapy, which shares no code with the stack.
"""

from collections.abc import Callable
from typing import Any

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from stack.address import parse_address
from stack.net_device import Features
from stack.socket import AF_INET, AF_INET6, SOCK_STREAM
from stack.socket.stream import StreamSocket
from stack.tcp.parameters import TcpParameters
from tests.stack.network import A6, B6, MS, A, B, Network, WireEnd

PEER_MAC = "02:00:00:00:00:02"
HOST_MAC = "02:00:00:00:00:01"


def judge(frame: bytes) -> Packet:
    """The frame dissected, after a check that scapy would have computed the same checksums and lengths."""
    packet = Ether(frame)
    if IPv6 in packet:
        whole = bytes(packet[IPv6])[: 40 + packet[IPv6].plen]
        remade = IPv6(whole)
        remade[TCP].chksum = None
        remade.plen = None
        assert bytes(remade) == whole, "a checksum or length is wrong"
        return IPv6(whole)
    ip_length = packet[IP].len
    whole = bytes(packet[IP])[:ip_length]
    remade = IP(whole)
    remade[IP].chksum = None
    remade[IP].len = None
    remade[TCP].chksum = None
    assert bytes(remade) == whole, "a checksum or length is wrong"
    return IP(whole)


class Call:
    """A socket call that runs by itself; what it raises is kept, so that a test may expect it."""

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine
        self._done = False
        self._result: Any = None
        self._error: OSError | None = None

    async def run(self) -> None:
        try:
            self._result = await self._coroutine
        except OSError as error:
            self._error = error
        self._done = True

    def done(self) -> bool:
        return self._done

    def result(self) -> Any:
        assert self._done, "the call blocks"
        if self._error is not None:
            raise self._error
        return self._result


class Script:
    """The stack of host A against a scripted B.

    ``sent`` holds the segments that the stack has sent and the test has not looked at: (time, segment).
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        features: Features = Features.NONE,
        tcp: TcpParameters | None = None,
        mtu: int = 1500,
        ipv6: bool = False,
    ) -> None:
        self.network = Network(seed=seed, features=features, tcp=tcp, mtu=mtu, delay=0, ipv6=ipv6)
        self.family = AF_INET6 if ipv6 else AF_INET
        self.host, self.peer = (A6, B6) if ipv6 else (A, B)
        if ipv6:
            neighbour = self.network.a.ip.interfaces[2].ndisc.neighbour(parse_address(B6))
            assert neighbour is not None
            neighbour.set_permanent(bytes.fromhex(PEER_MAC.replace(":", "")))
        self.engine = self.network.engine
        self.stack = self.network.a
        self.device = self.network.devices[0]
        self.sent: list[tuple[int, Packet]] = []
        self.network.wire.carry = self._carry  # type: ignore[method-assign]
        self.ports = (80, 4000)
        """(stack's port, peer's port)."""
        arp = Ether(src=PEER_MAC, dst=HOST_MAC) / ARP(op=2, hwsrc=PEER_MAC, psrc=B, hwdst=HOST_MAC, pdst=A)
        self._answer_arp: Callable[[], None] = lambda: self.device.arrive(bytes(arp))

    def _carry(self, sender: WireEnd, frame: bytes) -> None:
        if frame[12:14] == b"\x08\x06":
            self.engine.call_at(self.engine.now, self._answer_arp)
        else:
            self.sent.append((self.engine.now, judge(frame)))

    def inject(
        self,
        flags: str,
        sequence: int,
        acknowledgment: int = 0,
        *,
        data: bytes = b"",
        window: int = 65535,
        options: list[Any] | None = None,
    ) -> None:
        """The peer's segment arrives, now."""
        segment = TCP(
            sport=self.ports[1],
            dport=self.ports[0],
            flags=flags,
            seq=sequence & 0xFFFFFFFF,
            ack=acknowledgment & 0xFFFFFFFF,
            window=window,
            options=options or [],
        )
        network = IPv6 if self.family == AF_INET6 else IP
        packet = Ether(src=PEER_MAC, dst=HOST_MAC) / network(src=self.peer, dst=self.host) / segment
        if data:
            packet = packet / Raw(data)
        self.device.arrive(bytes(packet))
        self.run(0)

    def run(self, duration: int) -> None:
        """Let time pass."""
        self.engine.run_until(self.engine.now + duration)

    def expect(self, flags: str, sequence: int | None = None, acknowledgment: int | None = None,
               *, length: int = 0, window: int | None = None, at: int | None = None) -> Packet:  # fmt: skip
        """The next segment that the stack has sent must be this."""
        assert self.sent, f"nothing was sent; expected {flags}"
        time, packet = self.sent.pop(0)
        segment = packet[TCP]
        shown = f"{segment.flags} seq {segment.seq} ack {segment.ack} length {len(segment.payload)} at {time}"
        assert set(str(segment.flags)) == set(flags), shown
        assert len(segment.payload) == length, shown
        if sequence is not None:
            assert segment.seq == sequence & 0xFFFFFFFF, shown
        if acknowledgment is not None:
            assert segment.ack == acknowledgment & 0xFFFFFFFF, shown
        if window is not None:
            assert segment.window == window, f"window {segment.window}: {shown}"
        if at is not None:
            assert time == at, f"{shown}, not at {at}"
        return packet

    def nothing(self) -> None:
        """The stack must have sent nothing more."""
        assert not self.sent, [(time, packet.summary()) for time, packet in self.sent]

    def set_initial(self, value: int) -> None:
        """The next initial sequence number of the stack."""
        random = self.engine.random
        original = random.getrandbits

        def getrandbits(bits: int) -> int:
            return value if bits == 32 else original(bits)

        random.getrandbits = getrandbits  # type: ignore[method-assign]

    def accepted(
        self,
        *,
        initial: int = 1000,
        window: int = 65535,
        options: list[Any] | None = None,
        mss: int = 1460,
        round_trip: int = 0,
    ) -> tuple[StreamSocket, int]:
        """A connection that the peer has opened: (socket, the stack's initial sequence number).

        The peer's initial number is ``initial``, so its first byte has ``initial + 1``.
        """
        listener = self.stack.socket(self.family, SOCK_STREAM)

        async def listen() -> None:
            await listener.bind((self.host, self.ports[0]))
            await listener.listen()

        self.call(listen())
        self.inject("S", initial, window=window, options=[("MSS", mss), *(options or [])])
        answer = self.expect("SA", acknowledgment=initial + 1)[TCP]
        self.run(round_trip)
        self.inject("A", initial + 1, answer.seq + 1, window=window)
        self.nothing()
        socket, _ = self.call(listener.accept())
        return socket, answer.seq

    def connecting(self) -> tuple[Call, StreamSocket]:
        """The stack opens a connection to the peer: the task of ``connect`` and its socket."""
        socket = self.stack.socket(self.family, SOCK_STREAM)
        task = self.start(socket.connect((self.peer, self.ports[1])))
        self.ports = (socket.getsockname()[1], self.ports[1])
        return task, socket

    def call(self, coroutine: Any) -> Any:
        """The result of a call that does not block."""
        return self.start(coroutine).result()

    def start(self, coroutine: Any) -> Call:
        """A call that may block."""
        call = Call(coroutine)
        self.engine.spawn(call.run())
        self.run(0)
        return call


__all__ = ["MS", "A", "B", "Script", "judge"]
