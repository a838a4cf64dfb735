"""A TAP as net_device: an interface of Linux whose other end is this program (kernel: networking/tuntap.rst).

Each packet carries a ``struct virtio_net_hdr`` (virtio 1.2 section 5.1.6), so that checksums may be left to the other
side and TCP packets of up to 64 KiB pass whole, both ways.
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

from sim.errors import UserError
from sim.realtime.engine import RealTimeCpu, RealTimeEngine
from stack.napi import NAPI_WEIGHT
from stack.net_device import Features, NetDevice, NetdevTx
from stack.skbuff import GsoType, IpSummed, SkBuff

__all__ = ["TapDevice"]

_CLONE = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_TUN_F_CSUM, _TUN_F_TSO4, _TUN_F_TSO6 = 1, 2, 4
_IFREQ = struct.Struct("16sH22x")
_LONGEST_NAME = 15

_VNET = struct.Struct("<BBHHHH")
"""flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, in the byte order of the machines that are in use."""
_NEEDS_CSUM, _DATA_VALID = 1, 2
_GSO_TYPES = {GsoType.NONE: 0, GsoType.TCPV4: 1, GsoType.TCPV6: 4}
_FROM_GSO = {number: kind for kind, number in _GSO_TYPES.items()}
_GSO_ECN = 0x80
_LARGEST_READ = _VNET.size + 14 + 4 + 0xFFFF
_NO_OFFLOAD = bytes(_VNET.size)


class TapDevice(NetDevice):
    """``offloads``: checksums and segmentation are left to the kernel, and taken from it."""

    def __init__(
        self,
        env: RealTimeEngine,
        cpu: RealTimeCpu,
        *,
        name: str,
        address: bytes,
        mtu: int = 1500,
        offloads: bool = True,
    ) -> None:
        super().__init__(env, cpu, name=name, address=address, mtu=mtu)
        if not 0 < len(name.encode()) <= _LONGEST_NAME:
            raise UserError(f"{name!r}: the name of an interface has 1 to {_LONGEST_NAME} bytes")
        self._engine = env
        self._offloads = offloads
        self._file = -1
        self.features = Features.SG | Features.HW_CSUM | Features.RXCSUM | Features.TSO | Features.TSO6
        if not offloads:
            self.features = Features.GSO

    async def open(self) -> None:
        """Make the interface, or take one that a user may use. Raises ``UserError``."""
        try:
            self._file = os.open(_CLONE, os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            raise UserError(f"{_CLONE}: {error.strerror}; load the kernel's module tun, or run as root") from None
        try:
            request = _IFREQ.pack(self.name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR)
            fcntl.ioctl(self._file, _TUNSETIFF, request)
            fcntl.ioctl(self._file, _TUNSETOFFLOAD, _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6 if self._offloads else 0)
        except OSError as error:
            os.close(self._file)
            self._file = -1
            raise UserError(self._refused(error)) from None
        # Also with offloads: what the kernel only forwards, as a bridge does, comes in single segments.
        self.set_gro(True)
        self._engine.add_reader(self._file, self._poll)
        self.wake_queue()

    def _refused(self, error: OSError) -> str:
        if error.errno == errno.EPERM:
            return (
                f"{self.name}: not permitted; run as root, or let root do: "
                f"ip tuntap add name {self.name} mode tap user {os.getuid()}"
            )
        if error.errno == errno.EBUSY:
            return f"{self.name}: another program has this TAP; end it, or choose another name with --tap"
        if error.errno == errno.EINVAL:
            return f"{self.name}: an interface of this name exists and is no TAP; choose another name with --tap"
        return f"{self.name}: {error.strerror}"

    async def stop(self) -> None:
        self.set_gro(False)
        self.purge_queue()
        if self._file >= 0:
            self._engine.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        """Write one packet. The kernel takes it at once or not at all."""
        if skb.ip_summed is IpSummed.PARTIAL:
            header_bytes = len(skb.head) if skb.gso_size else 0
            vnet = _VNET.pack(
                _NEEDS_CSUM, _GSO_TYPES[skb.gso_type], header_bytes, skb.gso_size, skb.csum_start, skb.csum_offset
            )
        else:
            vnet = _NO_OFFLOAD
        size = len(skb)
        try:
            os.writev(self._file, (vnet + skb.head, skb.data))
        except OSError:
            # Its interface is down, or its queue full: what Ethernet does then, it loses the frame.
            self.stats.tx_errors += 1
        else:
            self.stats.tx_packets += 1
            self.stats.tx_bytes += size
        skb.consume()
        return NetdevTx.OK

    def _poll(self) -> None:
        """Deliver what the kernel has sent, one budget at a time."""
        file = self._file
        refresh = self._engine.refresh
        for _ in range(NAPI_WEIGHT):
            try:
                packet = os.read(file, _LARGEST_READ)
            except BlockingIOError:
                break
            except OSError as error:
                # The interface was taken away under our hands (ip link del).
                raise UserError(f"{self.name}: {error.strerror}; the interface is gone") from None
            refresh()
            self._arrived(packet)
            if self._file < 0:
                return
        self.gro_flush()

    def _arrived(self, packet: bytes) -> None:
        skb = SkBuff(memoryview(packet)[_VNET.size :])
        if packet[0]:
            # Within one machine there is nothing to check: the sum is left undone, or was checked by a device.
            skb.ip_summed = IpSummed.UNNECESSARY
            kind = packet[1] & ~_GSO_ECN
            if kind in _FROM_GSO and kind:
                _, _, header_bytes, skb.gso_size, _, _ = _VNET.unpack_from(packet)
                skb.gso_type = _FROM_GSO[kind]
                skb.gso_segs = -(-(len(skb.data) - header_bytes) // max(skb.gso_size, 1))
        self.netif_receive_skb(skb)
