"""sk_buff: one packet on its way through the layers (Linux ``include/linux/skbuff.h``)."""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.ip.interface import Interface
    from stack.net_device import NetDevice

__all__ = ["GsoType", "IpSummed", "SkBuff", "TransmitStage"]


class IpSummed(Enum):
    """State of the transport checksum (Linux's CHECKSUM_*)."""

    NONE = "none"
    """Received: not checked by the device. To send: complete, or not needed."""
    UNNECESSARY = "unnecessary"
    """Received: the device has checked it."""
    PARTIAL = "partial"
    """To send: the device (or ``skb_checksum_help``) sums from ``csum_start`` to the end, on top of the pseudo-header
    sum that stands in the field, and stores the result at ``csum_start + csum_offset``."""


class GsoType(Enum):
    """How a packet larger than the MTU is to be cut."""

    NONE = 0
    TCPV4 = 1
    TCPV6 = 2


class TransmitStage(Enum):
    """Where a packet has come to on its way out (Linux's SCM_TSTAMP_*)."""

    SENT = 0
    """The device has it."""
    SCHEDULED = 1
    """It is with the queueing discipline."""
    ACKNOWLEDGED = 2


@dataclass(init=False, slots=True)
class SkBuff:
    """A packet: headers that each layer pushes in front or pulls off, and its payload.

    ``data`` holds the bytes from the current layer's header on. ``head`` collects headers pushed on output, outermost
    last-pushed first, so that no layer copies the payload: the frame is ``head + data``.
    """

    data: "bytes | memoryview"
    head: bytes
    dev: "NetDevice | None"
    protocol: int
    """EtherType."""
    ip_summed: IpSummed
    csum_start: int
    """Offset of the transport header from the start of the frame."""
    csum_offset: int
    """Offset of the checksum field from ``csum_start``."""
    mac_header: "bytes | memoryview"
    """Received: the Ethernet header that was pulled."""
    network_header: "bytes | memoryview"
    """Received: the IP header that was pulled, with its extension headers."""
    dsfield: int
    """The network header's DS byte, of which the low two bits are ECN (RFC 3168 section 5)."""
    interface: "Interface | None"
    """Received: where. None for a packet that this host has made."""
    gso_size: int
    """Payload bytes per segment; 0 if the packet is not to be cut."""
    gso_segs: int
    gso_type: GsoType
    vlan_tci: int | None
    """Tag control information (priority and VLAN) of a tag that the device has taken off, or is to put on."""
    tstamp: int
    """To send: not before this time, for a qdisc that paces (Linux's earliest departure time)."""
    tstamp_tx: "Callable[[TransmitStage, int], None] | None" = field(repr=False)
    """To send: who wants to know when (ns) it comes where (skb_tstamp_tx)."""
    cb: int
    """Private to the layer that owns the packet (Linux's control block). Bytes of payload for UDP, the sequence number
    after its last byte for TCP."""
    destructor: "Callable[[SkBuff], None] | None" = field(repr=False)
    """Called once by ``consume``: the memory goes back to the socket that sent it."""

    # By hand: the one that ``dataclass`` makes stays interpreted where this module is compiled.
    def __init__(
        self,
        data: "bytes | memoryview",
        head: bytes = b"",
        dev: "NetDevice | None" = None,
        protocol: int = 0,
        ip_summed: IpSummed = IpSummed.NONE,
        csum_start: int = 0,
        csum_offset: int = 0,
        mac_header: "bytes | memoryview" = b"",
        network_header: "bytes | memoryview" = b"",
        dsfield: int = 0,
        interface: "Interface | None" = None,
        gso_size: int = 0,
        gso_segs: int = 0,
        gso_type: GsoType = GsoType.NONE,
        vlan_tci: int | None = None,
        tstamp: int = 0,
        tstamp_tx: "Callable[[TransmitStage, int], None] | None" = None,
        cb: int = 0,
        destructor: "Callable[[SkBuff], None] | None" = None,
    ) -> None:
        self.data = data
        self.head = head
        self.dev = dev
        self.protocol = protocol
        self.ip_summed = ip_summed
        self.csum_start = csum_start
        self.csum_offset = csum_offset
        self.mac_header = mac_header
        self.network_header = network_header
        self.dsfield = dsfield
        self.interface = interface
        self.gso_size = gso_size
        self.gso_segs = gso_segs
        self.gso_type = gso_type
        self.vlan_tci = vlan_tci
        self.tstamp = tstamp
        self.tstamp_tx = tstamp_tx
        self.cb = cb
        self.destructor = destructor

    def __len__(self) -> int:
        return len(self.head) + len(self.data)

    def push(self, header: bytes) -> None:
        """Put a header in front (skb_push)."""
        self.head = header + self.head

    def pull(self, length: int) -> "memoryview":
        """Take ``length`` bytes off the front and return them (skb_pull). Raises ``ValueError`` if there are fewer."""
        if length > len(self.data):
            raise ValueError(f"pull of {length} bytes from {len(self.data)}")
        view = memoryview(self.data)
        self.data = view[length:]
        return view[:length]

    def frame(self) -> bytes:
        """The whole packet as bytes, headers first."""
        data = self.data
        if isinstance(data, bytes):
            return self.head + data if self.head else data
        return b"".join((self.head, data))

    def clone(self) -> "SkBuff":
        """Another packet with the same bytes (skb_clone): its headers are its own, the payload is shared. The socket's
        memory is counted once, so it has no destructor."""
        return replace(self, destructor=None, tstamp_tx=None)

    def linearize(self) -> None:
        """Headers and payload in one piece, in ``data`` (skb_linearize)."""
        if self.head:
            self.data, self.head = self.frame(), b""

    def consume(self) -> None:
        """The packet has served its purpose: run the destructor, once."""
        destructor, self.destructor = self.destructor, None
        if destructor is not None:
            destructor(self)
