"""Segments of a connection on their way out: options, header, checksum (RFC 9293 section 3.1; tcp_transmit_skb)."""

from typing import TYPE_CHECKING, Final

from stack.checksum import checksum, fold, store
from stack.environment import Cause
from stack.skbuff import IpSummed, SkBuff
from stack.tcp.ecn import ECT_0
from stack.tcp.mtu_probe import MtuProbe
from stack.tcp.options import (
    TIMESTAMP_BYTES,
    FastOpenOption,
    Options,
    maximum_sack_blocks,
    pack_sack,
    pack_syn_options,
    pack_timestamps,
)
from stack.tcp.receive import scale_for
from stack.tcp.segment import ACK, CHECKSUM_OFFSET, CWR, ECE, FIN, HEADER, HEADER_BYTES, PSH, RST, SYN, URG
from stack.tcp.sequence import MASK
from stack.tcp.state import State

if TYPE_CHECKING:
    from stack.tcp.connection import Connection

__all__ = ["advertised_mss", "chunk", "negotiate", "send_answer", "send_mss", "send_packet", "send_syn"]

_DEFAULT_SEND_MSS: Final = 536
"""RFC 9293 MUST-15: for a peer that names no maximum segment size."""
_MINIMUM_SEND_MSS: Final = 48
"""Linux's TCP_MIN_SND_MSS: a smaller offer would only serve to make work."""
_LARGEST_PACKET: Final = 0xFFFF
_PROBE_ALWAYS: Final = 2


def advertised_mss(connection: "Connection") -> int:
    """Our MSS option: without regard to options, as RFC 6691 says."""
    path = connection.path
    mss = path.mtu - path.header_bytes - HEADER_BYTES
    return min(mss, connection.options.maximum_segment_size or mss)


def send_mss(connection: "Connection", offered: int) -> int:
    """Payload of a full segment: what peer and path allow, less the options that every segment carries (RFC 6691)."""
    timestamps = TIMESTAMP_BYTES if connection.timestamps.enabled else 0
    return max(min(offered, advertised_mss(connection) - timestamps), _MINIMUM_SEND_MSS - timestamps)


def send_syn(connection: "Connection", *, fast_open: FastOpenOption | None = None, data: int = 0) -> None:
    """Send SYN, or in SYN-RECEIVED SYN and ACK, for the first time or again; a SYN may carry the first ``data`` bytes
    of the buffer (RFC 7413)."""
    now = connection.tcp.cpu.now
    again = connection.sender.sent_syn(now, data)
    if connection.state is State.SYN_RECEIVED:
        send_answer(connection, fast_open=fast_open, again=again)
        return
    parameters = connection.tcp.parameters
    # RFC 3168 section 6.1.1.1: a SYN that was lost may have been dropped for its flags.
    flags = SYN | ECE | CWR if parameters.ecn == 1 and not again else SYN
    _send_syn(
        connection, flags, parameters.timestamps, parameters.sack, fast_open=fast_open, data=data, retransmission=again
    )


def send_answer(connection: "Connection", *, fast_open: FastOpenOption | None = None, again: bool) -> None:
    """Send SYN and ACK, with only what the peer has offered (``negotiate``)."""
    sender = connection.sender
    flags = SYN | ACK | (ECE if sender.ecn.enabled else 0)
    timestamps = connection.timestamps.enabled
    _send_syn(connection, flags, timestamps, sender.sack, fast_open=fast_open, retransmission=again)


def _send_syn(
    connection: "Connection",
    flags: int,
    timestamps: bool,
    sack: bool,
    *,
    fast_open: FastOpenOption | None,
    data: int = 0,
    retransmission: bool,
) -> None:
    sender = connection.sender
    clock = connection.timestamps
    options = Options(
        connection.receiver.mss,
        scale_for(connection.tuning.maximum) if connection.window_scaling else None,
        sack,
        (clock.value(connection.tcp.cpu.now), clock.recent) if timestamps else None,
        fast_open,
    )
    payload = sender.buffer.take(sender.initial + 1, data) if data else b""
    sender.queue.sent(data)
    packed = pack_syn_options(options)
    _send_segment(connection, sender.initial, payload, flags, options=packed, retransmission=retransmission)


def negotiate(connection: "Connection", offer: Options, flags: int, now: int) -> None:
    """Take over what the peer's SYN with ``flags`` offers (RFC 9293 section 3.7.1, RFC 7323 sections 2.2 and 3.2, RFC
    2018 section 2, RFC 3168 section 6.1.1)."""
    parameters = connection.tcp.parameters
    sender, receiver = connection.sender, connection.receiver
    if offer.timestamps is not None and parameters.timestamps:
        connection.timestamps.enabled = True
        connection.timestamps.accept(offer.timestamps[0], now)
    sender.sack = offer.sack_permitted and parameters.sack
    if flags & ACK:
        sender.ecn.enabled = flags & (ECE | CWR) == ECE and parameters.ecn == 1
    else:
        sender.ecn.enabled = flags & (ECE | CWR) == ECE | CWR and parameters.ecn > 0
    offered = max(offer.maximum_segment_size or _DEFAULT_SEND_MSS, _MINIMUM_SEND_MSS)
    if connection.timestamps.enabled:
        offered -= TIMESTAMP_BYTES
    sender.set_segment_size(send_mss(connection, offered))
    if parameters.mtu_probing:
        overhead = TIMESTAMP_BYTES if connection.timestamps.enabled else 0
        sender.mtu_probe = MtuProbe(sender, overhead=overhead, enabled=parameters.mtu_probing == _PROBE_ALWAYS)
        if sender.mtu_probe.enabled:
            sender.set_segment_size(sender.mtu_probe.low)
    connection.window_scaling = connection.window_scaling and offer.window_scale is not None
    if connection.window_scaling:
        sender.scale = offer.window_scale or 0
        receiver.scale = scale_for(connection.tuning.maximum)


def chunk(connection: "Connection") -> int:
    """Payload of the largest packet: a multiple of a segment, whether or not the device can cut it. So offload changes
    nothing of what is sent when."""
    room = _LARGEST_PACKET - connection.path.header_bytes - HEADER_BYTES
    if connection.timestamps.enabled:
        room -= TIMESTAMP_BYTES
    mss = connection.sender.mss
    return max(room // mss, 1) * mss


def send_packet(
    connection: "Connection", sequence: int, payload: bytes, flags: int, *, retransmission: bool = False
) -> bool:
    """Send one segment or several that follow each other, in one packet if the device can cut it. False if this host
    dropped any."""
    mss = connection.sender.mss
    size = len(payload)
    offloads = connection.offloads
    if connection.path.interface.device.features is not offloads.features:
        offloads.refresh()
    if size <= mss or offloads.segmentation:
        return _send_segment(connection, sequence, payload, flags, retransmission=retransmission)
    sent = True
    for start in range(0, size, mss):
        own = flags if start + mss >= size else flags & ~(PSH | FIN)
        piece = payload[start : start + mss]
        sent = _send_segment(connection, sequence + start, piece, own, retransmission=retransmission) and sent
    return sent


def _sack(connection: "Connection", size: int, used: int) -> bytes:
    """The SACK option, as far as it fits beside ``size`` bytes of payload and ``used`` of other options."""
    if not connection.sender.sack:
        return b""
    room = maximum_sack_blocks(used)
    if size:
        room = min(room, (connection.sender.mss - size - 4) // 8)
    blocks = connection.receiver.sacks.report(max(room, 0), dsack=connection.tcp.parameters.dsack)
    return pack_sack([(left & MASK, right & MASK) for left, right in blocks]) if blocks else b""


def _send_segment(
    connection: "Connection",
    sequence: int,
    payload: bytes,
    flags: int,
    *,
    options: bytes | None = None,
    retransmission: bool = False,
) -> bool:
    """Send a packet as the device takes it. False if this host dropped it."""
    tcp = connection.tcp
    sender, receiver = connection.sender, connection.receiver
    key = connection.key
    size = len(payload)
    now = tcp.cpu.now
    skb = SkBuff(payload)
    if connection.options.dsfield:
        skb.dsfield = connection.options.dsfield
    if options is None:
        timestamps = connection.timestamps
        options = pack_timestamps(timestamps.value(now), timestamps.recent) if timestamps.enabled else b""
        sacks = receiver.sacks
        if sacks.blocks or sacks.duplicates:
            options += _sack(connection, size, len(options))
        if sender.ecn.enabled and not flags & RST:
            new_data = size > 0 and not retransmission
            flags |= sender.ecn.flags(new_data=new_data)
            # RFC 3168 section 6.1.5: what is sent again, or carries no data, is not ECN-capable.
            skb.dsfield |= ECT_0 if new_data else 0
    acknowledgment = 0
    window = receiver.window_field(scaled=not flags & SYN)
    if flags & ACK:
        acknowledgment = receiver.nxt & MASK
        receiver.acknowledged = receiver.nxt
        connection.ack_now = False
        connection.delayed_ack.sent(now, data=size > 0)
    urgent = 0
    if sender.urgent > sequence:
        # RFC 6093 section 3.1: the pointer stands behind the urgent byte.
        urgent = min(sender.urgent - sequence, 0xFFFF)
        flags |= URG
    length = HEADER_BYTES + len(options) + size
    path = connection.path
    value = 0
    partial = connection.offloads.checksum or size > sender.mss
    if partial:
        skb.ip_summed = IpSummed.PARTIAL
        skb.csum_start = path.transport_offset
        skb.csum_offset = CHECKSUM_OFFSET
        value = fold(connection.pseudo_sum + length)
    header = (
        HEADER.pack(
            key.local_port,
            key.remote_port,
            sequence & MASK,
            acknowledgment,
            length - size << 10 | flags,
            window,
            value,
            urgent,
        )
        + options
    )
    if not partial:
        tcp.cpu.charge(Cause.CHECKSUM, size=length)
        value = checksum(payload, fold(connection.pseudo_sum + length + int.from_bytes(header, "big")))
        header = store(header, CHECKSUM_OFFSET, value)
    skb.head = header
    segments = 1
    if size > sender.mss:
        segments = -(-size // sender.mss)
        skb.gso_size = sender.mss
        skb.gso_segs = segments
        skb.gso_type = path.gso_type
    if size or flags & FIN:
        skb.tstamp = sender.pacing.departure
        skb.cb = sequence + size + (flags & FIN) + (flags & SYN != 0)
        skb.destructor = sender.queue.departed
        if connection.transmit_timestamps is not None and not retransmission:
            skb.tstamp_tx = connection.transmit_timestamps.packet(sequence, sequence + size)
    tcp.counters.mib["Tcp.RetransSegs" if retransmission else "Tcp.OutSegs"] += segments
    identification = connection.identification
    connection.identification = identification + segments & 0xFFFF
    return path.send(skb, identification)
