"""The loopback device: what a host sends to itself (Linux ``drivers/net/loopback.c``)."""

from typing import Final

from stack.environment import Cpu, Environment
from stack.net_device import Features, NetDevice, NetdevTx
from stack.skbuff import IpSummed, SkBuff

__all__ = ["LoopbackDevice"]

_MTU: Final = 65536


class LoopbackDevice(NetDevice):
    """Always up. Checksums are not made, for nothing can damage a packet, and nothing is cut."""

    def __init__(self, env: Environment, cpu: Cpu) -> None:
        super().__init__(env, cpu, name="lo", address=bytes(6), mtu=_MTU)
        self.features = Features.SG | Features.HW_CSUM | Features.RXCSUM | Features.TSO | Features.TSO6
        self._queue_stopped = False

    async def open(self) -> None:
        """It has no state to bring up."""

    async def stop(self) -> None:
        """It cannot be brought down."""

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        self.stats.tx_packets += 1
        self.stats.tx_bytes += len(skb)
        received = skb.clone()
        received.linearize()
        if skb.ip_summed is IpSummed.PARTIAL:
            received.ip_summed = IpSummed.UNNECESSARY
        skb.consume()
        # Not at once: the sender is at work still.
        self.env.call_at(self.cpu.now, lambda: self.netif_receive_skb(received))
        return NetdevTx.OK
