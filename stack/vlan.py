"""VLAN devices: one tagged network on top of another device (IEEE 802.1Q; Linux's net/8021q)."""

from typing import Final

from stack.ethernet import VLAN_HLEN
from stack.net_device import Features, NetDevice, NetdevTx
from stack.skbuff import SkBuff

__all__ = ["VlanDevice"]

_ADDRESSES: Final = 12
_TPID: Final = b"\x81\x00"


class VlanDevice(NetDevice):
    """The VLAN ``identifier`` of ``lower``, which tags and takes off tags by itself if it can. Its owner opens
    ``lower``.

    Raises ``ValueError`` if the identifier is not 1 to 4094, or is in use.
    """

    def __init__(self, lower: NetDevice, identifier: int, *, priority: int = 0) -> None:
        if not 1 <= identifier <= 4094:
            raise ValueError(f"{lower.name}: a VLAN identifier is 1..4094, not {identifier!r}")
        if not 0 <= priority <= 7:
            raise ValueError(f"{lower.name}: a priority is 0..7, not {priority!r}")
        if identifier in lower.vlans:
            raise ValueError(f"{lower.name}: VLAN {identifier} exists")
        super().__init__(lower.env, lower.cpu, name=f"{lower.name}.{identifier}", address=lower.address, mtu=lower.mtu)
        self.lower = lower
        self.identifier = identifier
        self._listened: set[bytes] = set()
        self._tci = priority << 13 | identifier
        self.tags = not lower.features & Features.HW_VLAN_CTAG_TX
        """Whether the tag is put on here."""
        # A packet that carries its tag in band cannot be cut by the device.
        kept = Features.SG | Features.HW_CSUM | Features.RXCSUM
        self.features = lower.features & kept | Features.GSO if self.tags else lower.features

    async def open(self) -> None:
        self.lower.vlans[self.identifier] = self
        self.lower.vlan_rx_add_vid(self.identifier)
        self.wake_queue()

    async def stop(self) -> None:
        self.purge_queue()
        if self.lower.vlans.pop(self.identifier, None) is not None:
            self.lower.vlan_rx_kill_vid(self.identifier)

    def set_rx_mode(self) -> None:
        """What is listened to here the lower device has to let in (dev_mc_sync)."""
        wanted = set(self.multicast_list)
        for address in sorted(wanted - self._listened):
            self.lower.dev_mc_add(address)
        for address in sorted(self._listened - wanted):
            self.lower.dev_mc_del(address)
        self._listened = wanted

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        """Tag the packet, and queue it below, where it may be dropped."""
        self.stats.tx_packets += 1
        self.stats.tx_bytes += len(skb)
        if self.tags:
            frame = skb.frame()
            skb.head = frame[:_ADDRESSES] + _TPID + self._tci.to_bytes(2, "big")
            skb.data = memoryview(frame)[_ADDRESSES:]
            skb.csum_start += VLAN_HLEN
        else:
            skb.vlan_tci = self._tci
        self.lower.queue_xmit(skb)
        return NetdevTx.OK
