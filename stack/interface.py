"""One device in use by the stack: its address, its neighbours, and the first step of input (Linux's eth_type_trans)."""

from collections.abc import Callable

from stack.address import INADDR_BROADCAST
from stack.arp import ArpParameters, ArpTable
from stack.counters import Counters, DropReason
from stack.environment import Cause
from stack.ethernet import ETH_HLEN, ETH_P_ARP, ETH_P_IP
from stack.net_device import NetDevice
from stack.skbuff import SkBuff

__all__ = ["Interface"]


class Interface:
    """A device with an IPv4 address. Hooks itself in as the device's ``receive``."""

    def __init__(
        self,
        device: NetDevice,
        counters: Counters,
        *,
        address: int,
        prefix: int,
        arp: ArpParameters,
        input_ipv4: Callable[[SkBuff], None],
        unreachable: Callable[[SkBuff], None],
    ) -> None:
        if not 0 <= prefix <= 32:
            raise ValueError(f"{device.name}: a prefix has 0 to 32 bits, not {prefix!r}")
        self.device = device
        self.counters = counters
        self.address = address
        self.prefix = prefix
        self.mask = INADDR_BROADCAST << (32 - prefix) & INADDR_BROADCAST
        self.arp = ArpTable(device, address, counters, parameters=arp, unreachable=unreachable)
        self._handlers: dict[int, Callable[[SkBuff], None]] = {ETH_P_IP: input_ipv4, ETH_P_ARP: self.arp.input}
        device.receive = self.receive

    def receive(self, skb: SkBuff) -> None:
        """One frame from the device."""
        self.device.cpu.charge(Cause.PROTOCOL_RX)
        if len(skb.data) < ETH_HLEN:
            self.counters.drop(DropReason.PKT_TOO_SMALL)
            return
        header = skb.pull(ETH_HLEN)
        skb.mac_header = header
        if header[:6] != self.device.address and not header[0] & 1:
            # A device in promiscuous mode delivers what is not ours.
            self.counters.drop(DropReason.OTHERHOST)
            return
        protocol = skb.protocol = header[12] << 8 | header[13]
        handler = self._handlers.get(protocol)
        if handler is None:
            self.counters.drop(DropReason.UNHANDLED_PROTO)
            return
        handler(skb)
