"""An ideal network device: no rings, no interrupts, just the wire. For peers. The stack cuts its packets (GSO), which
is quicker and puts the same bytes on the wire."""

from typing import Final

from sim.wire import Direction, fcs, fcs_is_good
from stack.environment import Cpu, Environment
from stack.net_device import Features, NetDevice, NetdevTx
from stack.skbuff import SkBuff

__all__ = ["WireDevice"]

_MINIMUM_BYTES: Final = 60


class WireDevice(NetDevice):
    """Sends on one direction of a link and receives from the other, one frame at a time.

    With an ``interval`` (ns) what has come is handed over at its multiples, together.
    """

    def __init__(
        self,
        env: Environment,
        cpu: Cpu,
        *,
        outgoing: Direction,
        incoming: Direction,
        address: bytes,
        name: str = "wire0",
        mtu: int = 1500,
        interval: int = 0,
    ) -> None:
        super().__init__(env, cpu, name=name, address=address, mtu=mtu)
        self.features = Features.GSO
        self._outgoing = outgoing
        self._incoming = incoming
        self._running = False
        self._interval = interval
        self._held: list[bytes] = []

    async def open(self) -> None:
        self._incoming.deliver = self._arrive
        self._running = True
        self.wake_queue()

    async def stop(self) -> None:
        self._running = False
        self.purge_queue()
        self._incoming.deliver = None

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        """Serialise one frame; the next is taken when this one has left."""
        frame = skb.frame()
        frame += bytes(max(_MINIMUM_BYTES - len(frame), 0))
        free_at = self._outgoing.send(frame + fcs(frame))
        self.stats.tx_packets += 1
        self.stats.tx_bytes += len(frame)
        self.stop_queue()
        self.env.call_at(free_at, lambda: self._sent(skb))
        return NetdevTx.OK

    def _sent(self, skb: SkBuff) -> None:
        skb.consume()
        if self._running:
            self.wake_queue()

    def _arrive(self, start: int, frame: bytes) -> None:
        if not self._interval:
            self._take(frame)
            return
        self._held.append(frame)
        if len(self._held) == 1:
            now = self.env.now
            self.env.call_at(now + self._interval - now % self._interval, self._hand_over)

    def _hand_over(self) -> None:
        held, self._held = self._held, []
        for frame in held:
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        if not fcs_is_good(frame):
            self.stats.rx_errors += 1
            self.stats.rx_crc_errors += 1
            return
        self.netif_receive_skb(SkBuff(frame[:-4]))
