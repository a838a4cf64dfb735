"""A network for tests: hosts whose devices are joined by a wire that loses, doubles, delays and damages frames."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sim.engine import EventEngine
from sim.host import IDEAL, HostCosts, HostCpu
from stack.checksum import checksum
from stack.host import NetworkStack
from stack.ip.parameters import IpParameters, NeighbourParameters
from stack.net_device import Features, NetDevice, NetdevTx
from stack.skbuff import GsoType, IpSummed, SkBuff
from stack.tcp.parameters import TcpParameters

MS = 1_000_000
SECOND = 1_000 * MS
OFFLOADS = Features.SG | Features.HW_CSUM | Features.TSO | Features.TSO6
A = "10.0.0.1"
B = "10.0.0.2"
A6 = "2001:db8::1"
B6 = "2001:db8::2"
QUIET = IpParameters(group_robustness=0)
"""Nobody is told of groups."""
AT_ONCE = IpParameters(duplicate_address_probes=0, group_robustness=0)
"""IPv6 addresses are usable from the start."""


def complete_checksum(frame: bytes, skb: SkBuff) -> bytes:
    """What a device does for ``IpSummed.PARTIAL``."""
    position = skb.csum_start + skb.csum_offset
    value = checksum(frame[skb.csum_start :])
    return frame[:position] + value.to_bytes(2, "big") + frame[position + 2 :]


def segments(skb: SkBuff) -> list[bytes]:
    """The frames that a device with all offloads puts on the wire for a packet, written without the stack's code."""
    frame = skb.frame()
    if skb.ip_summed is not IpSummed.PARTIAL:
        return [frame]
    if not skb.gso_size:
        return [complete_checksum(frame, skb)]
    if skb.gso_type is GsoType.TCPV6:
        return ipv6_segments(skb, frame)
    header_bytes = 34 + (frame[46] >> 4) * 4
    header, payload = frame[:header_bytes], frame[header_bytes:]
    pieces = [payload[at : at + skb.gso_size] for at in range(0, len(payload), skb.gso_size)]
    assert len(pieces) == skb.gso_segs
    frames = []
    for number, piece in enumerate(pieces):
        made = bytearray(header)
        length = len(header) - 14 + len(piece)
        made[16:18] = length.to_bytes(2, "big")
        made[18:20] = ((int.from_bytes(header[18:20], "big") + number) & 0xFFFF).to_bytes(2, "big")
        made[24:26] = b"\0\0"
        made[24:26] = checksum(made[14:34]).to_bytes(2, "big")
        sequence = int.from_bytes(header[38:42], "big") + number * skb.gso_size
        made[38:42] = (sequence & 0xFFFFFFFF).to_bytes(4, "big")
        if number < len(pieces) - 1:
            made[47] &= ~0x09
        made[50:52] = b"\0\0"
        pseudo = bytes(made[26:34]) + b"\0\x06" + (length - 20).to_bytes(2, "big")
        made[50:52] = checksum(pseudo + made[34:] + piece).to_bytes(2, "big")
        frames.append(bytes(made) + piece)
    return frames


def ipv6_segments(skb: SkBuff, frame: bytes) -> list[bytes]:
    """The same for TCP over IPv6."""
    header_bytes = 54 + (frame[66] >> 4) * 4
    header, payload = frame[:header_bytes], frame[header_bytes:]
    frames = []
    for at in range(0, len(payload), skb.gso_size):
        piece = payload[at : at + skb.gso_size]
        made = bytearray(header)
        length = header_bytes - 54 + len(piece)
        made[18:20] = length.to_bytes(2, "big")
        made[58:62] = ((int.from_bytes(header[58:62], "big") + at) & 0xFFFFFFFF).to_bytes(4, "big")
        if at + skb.gso_size < len(payload):
            made[67] &= ~0x09
        made[70:72] = bytes(2)
        pseudo = bytes(made[22:54]) + length.to_bytes(4, "big") + bytes((0, 0, 0, 6))
        made[70:72] = checksum(pseudo + made[54:] + piece).to_bytes(2, "big")
        frames.append(bytes(made) + piece)
    assert len(frames) == skb.gso_segs
    return frames


@dataclass
class Faults:
    """Probabilities per frame."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    corruption: float = 0.0


@dataclass
class Wire:
    """Both directions between two devices. ``drop(number, frame)`` may take out frames by hand."""

    engine: EventEngine
    delay: int = 1 * MS
    faults: Faults = field(default_factory=Faults)
    devices: list["WireEnd"] = field(default_factory=list)
    frames: list[tuple[int, str, bytes]] = field(default_factory=list)
    """All that was sent: (time, sender, frame)."""
    drop: Callable[[str, bytes], bool] = lambda sender, frame: False

    def carry(self, sender: "WireEnd", frame: bytes) -> None:
        frame += bytes(max(60 - len(frame), 0))
        self.frames.append((self.engine.now, sender.name, frame))
        random, faults = self.engine.random, self.faults
        if self.drop(sender.name, frame) or random.random() < faults.loss:
            return
        if random.random() < faults.corruption:
            bit = random.randrange(8 * len(frame))
            damaged = bytearray(frame)
            damaged[bit // 8] ^= 1 << bit % 8
            frame = bytes(damaged)
        for _ in range(2 if random.random() < faults.duplication else 1):
            delay = self.delay
            if random.random() < faults.reordering:
                delay += random.randrange(self.delay)
            for device in self.devices:
                if device is not sender:
                    self.engine.call_at(
                        self.engine.now + delay, lambda device=device, frame=frame: device.arrive(frame)
                    )


class WireEnd(NetDevice):
    """A device that sends at once. ``hold`` keeps packets as a ring would, until ``release``."""

    def __init__(self, wire: Wire, cpu: HostCpu, *, name: str, address: bytes, features: Features, mtu: int) -> None:
        super().__init__(wire.engine, cpu, name=name, address=address, mtu=mtu)
        self.wire = wire
        self.features = features
        self.hold = False
        self.held: list[tuple[SkBuff, bytes]] = []
        self.packets: list[SkBuff] = []
        """All that the stack has given to the device."""
        wire.devices.append(self)
        self._queue_stopped = False

    async def open(self) -> None:
        self.wake_queue()

    async def stop(self) -> None:
        self.purge_queue()

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        self.packets.append(skb)
        if self.hold:
            self.held.append((skb, skb.frame()))
            return NetdevTx.OK
        for frame in segments(skb):
            self.wire.carry(self, frame)
        skb.consume()
        return NetdevTx.OK

    def release(self) -> None:
        """Send what was held."""
        held, self.held = self.held, []
        for skb, frame in held:
            assert skb.frame() == frame, "a packet changed while the device held it"
            for one in segments(skb):
                self.wire.carry(self, one)
            skb.consume()

    def arrive(self, frame: bytes) -> None:
        self.netif_receive_skb(SkBuff(frame))


class Network:
    """Two hosts, ``a`` (10.0.0.1, 2001:db8::1) and ``b`` (10.0.0.2, 2001:db8::2), on one wire. IPv6 only if asked
    for."""

    def __init__(
        self,
        *,
        seed: int = 1,
        delay: int = 1 * MS,
        faults: Faults | None = None,
        features: Features = Features.NONE,
        mtu: int = 1500,
        tcp: TcpParameters | None = None,
        tcp_b: TcpParameters | None = None,
        neighbours: NeighbourParameters | None = None,
        ip: IpParameters | None = None,
        ipv6: bool = False,
        costs: HostCosts = IDEAL,
    ) -> None:
        self.engine = EventEngine(seed=seed)
        self.wire = Wire(self.engine, delay, faults or Faults())
        self.cpus = [HostCpu(self.engine, costs) for _ in range(2)]
        self.devices = [
            WireEnd(self.wire, cpu, name=name, address=bytes((2, 0, 0, 0, 0, number)), features=features, mtu=mtu)
            for cpu, name, number in zip(self.cpus, "ab", (1, 2), strict=True)
        ]
        self.a, self.b = (
            NetworkStack(self.engine, cpu, tcp=parameters, neighbours=neighbours, ip=ip or (AT_ONCE if ipv6 else QUIET))
            for cpu, parameters in zip(self.cpus, (tcp, tcp_b or tcp), strict=True)
        )
        self.a.add_interface(self.devices[0], A, 24)
        self.b.add_interface(self.devices[1], B, 24)
        if ipv6:
            self.a.add_interface(self.devices[0], A6, 64)
            self.b.add_interface(self.devices[1], B6, 64)

    def settle(self) -> None:
        """Let everything happen that is still to come."""
        while (when := self.engine.next_call()) is not None:
            self.engine.run_until(when)
