"""A path between two stacks for tables of throughput: rate, queue, delay and loss, all in simulated time.

Unlike ``sim.wire`` it is no cable but a whole path: frames queue in front of a bottleneck, and each flow has its own
delay behind it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from sim.engine import EventEngine
from sim.host import IDEAL, HostCpu
from stack.host import NetworkStack
from stack.net_device import Features, NetDevice, NetdevTx
from stack.skbuff import IpSummed, SkBuff
from stack.tcp.parameters import TcpParameters

__all__ = ["FAR", "NEAR", "Netsim", "Path"]

NEAR, FAR = "10.0.0.1", "10.0.0.2"
_ARP = b"\x08\x06"


@dataclass
class Path:
    """One direction. ``rate`` in bit/s, None for no limit; ``queue`` in bytes in front of it; ``delay(frame)`` in
    nanoseconds. ``loses(frame)`` decides of each frame but ARP's."""

    engine: EventEngine
    delay: Callable[[bytes], int]
    rate: int | None = None
    queue: int = 64 * 1024
    loses: Callable[[bytes], bool] = lambda frame: False
    sent: int = 0
    overflowed: int = 0
    deliver: Callable[[bytes], None] = field(default=lambda frame: None, repr=False)
    _free_at: int = 0

    def send(self, frame: bytes) -> None:
        """A frame enters the queue, and leaves the path after its time if nothing befalls it."""
        now = self.engine.now
        if frame[12:14] != _ARP:
            self.sent += 1
            if self.loses(frame):
                return
        departure = now
        if self.rate is not None:
            backlog = max(self._free_at - now, 0) * self.rate // 8_000_000_000
            if backlog + len(frame) > self.queue:
                self.overflowed += 1
                return
            self._free_at = departure = max(self._free_at, now) + len(frame) * 8_000_000_000 // self.rate
        self.engine.call_at(departure + self.delay(frame), lambda: self.deliver(frame))


class _PathDevice(NetDevice):
    """The end of a path: it makes and checks no checksums, for nothing damages a frame here."""

    def __init__(self, engine: EventEngine, cpu: HostCpu, outgoing: Path, incoming: Path, number: int) -> None:
        super().__init__(engine, cpu, name=f"path{number}", address=bytes((2, 0, 0, 0, 0, number)))
        self.features = Features.SG | Features.HW_CSUM | Features.RXCSUM | Features.GSO
        self._outgoing = outgoing
        incoming.deliver = self._arrive
        self._queue_stopped = False

    async def open(self) -> None:
        """It is up from the start."""

    async def stop(self) -> None:
        """It stays up."""

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        self._outgoing.send(skb.frame())
        skb.consume()
        return NetdevTx.OK

    def _arrive(self, frame: bytes) -> None:
        self.netif_receive_skb(SkBuff(frame, ip_summed=IpSummed.UNNECESSARY))


class Netsim:
    """Two stacks and the two directions between them: ``forth`` from ``near`` to ``far``, and ``back``."""

    def __init__(
        self,
        *,
        seed: int,
        delay: int | Callable[[bytes], int],
        parameters: TcpParameters,
        rate: int | None = None,
        queue: int = 64 * 1024,
    ) -> None:
        self.engine = EventEngine(seed=seed)
        one_way = (lambda frame: delay) if isinstance(delay, int) else delay
        self.forth = Path(self.engine, one_way, rate, queue)
        self.back = Path(self.engine, one_way)
        self.loss = Random(seed)
        stacks = []
        for number, (outgoing, incoming) in enumerate(((self.forth, self.back), (self.back, self.forth)), start=1):
            cpu = HostCpu(self.engine, IDEAL)
            stacks.append(NetworkStack(self.engine, cpu, tcp=parameters))
            stacks[-1].add_interface(
                _PathDevice(self.engine, cpu, outgoing, incoming, number), (NEAR, FAR)[number - 1], 24
            )
        self.near, self.far = stacks

    def lose_at_random(self, probability: float) -> None:
        """Both directions lose frames, each with this probability."""
        for path in (self.forth, self.back):
            path.loses = lambda frame: self.loss.random() < probability
