"""TCP_INFO: what a connection tells of itself."""

from dataclasses import dataclass

from stack.tcp.chronograph import Limit
from stack.tcp.connection import Connection
from stack.tcp.progress import CaState
from stack.tcp.state import State

__all__ = ["TcpInfo", "tcp_info"]


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """A snapshot in the manner of Linux's ``struct tcp_info``. Times in nanoseconds, sizes in bytes, rates in bytes/s;
    what Linux counts in packets is in bytes here too."""

    state: State
    ca_state: CaState
    congestion_control: str
    retransmits: int
    """Timeouts in a row for the oldest segment."""
    probes: int
    """Zero-window probes without answer."""
    backoff: int
    timestamps: bool
    sack: bool
    ecn: bool
    syn_data: bool
    """The data of the SYN was taken (RFC 7413)."""
    snd_wscale: int
    rcv_wscale: int
    total_retrans: int
    """Segments sent again, all in all."""
    rto: int
    rtt: int
    rttvar: int
    min_rtt: int
    rcv_rtt: int
    snd_mss: int
    rcv_mss: int
    advmss: int
    pmtu: int
    snd_cwnd: int
    snd_ssthresh: int
    snd_wnd: int
    rcv_wnd: int
    rcv_space: int
    """The receive buffer, as autotuning has set it."""
    unacked: int
    sacked: int
    lost: int
    retrans: int
    notsent: int
    reord_seen: int
    """ACKs that have shown reordering."""
    reordering: int
    """Segments by which the path has been seen to reorder, or ``tcp_reordering``."""
    last_data_recv: int
    """Since data last came, or the connection was opened."""
    delivered: int
    delivered_segments: int
    delivery_rate: int
    delivery_rate_app_limited: bool
    pacing_rate: int
    busy_time: int
    """With something to send, or unacknowledged; of it:"""
    rwnd_limited: int
    """while the peer's window was full,"""
    sndbuf_limited: int
    """while the program waited for room in the send buffer."""
    bytes_received: int
    in_recovery: bool


def tcp_info(connection: Connection) -> TcpInfo:
    """What ``getsockopt(TCP_INFO)`` shows."""
    sender, receiver = connection.sender, connection.receiver
    now = connection.tcp.cpu.now
    board, rtt, recovery = sender.board, sender.rtt, sender.recovery
    return TcpInfo(
        state=connection.state,
        ca_state=recovery.state,
        congestion_control=sender.congestion.name,
        retransmits=sender.retransmits,
        probes=sender.unanswered,
        backoff=rtt.backoff,
        timestamps=connection.timestamps.enabled,
        sack=sender.sack,
        ecn=sender.ecn.enabled,
        syn_data=connection.syn_data_acked,
        snd_wscale=sender.scale,
        rcv_wscale=receiver.scale,
        total_retrans=sender.total_retransmits,
        rto=rtt.rto,
        rtt=rtt.srtt,
        rttvar=rtt.rttvar,
        min_rtt=rtt.min_rtt,
        rcv_rtt=connection.tuning.rtt,
        snd_mss=sender.mss,
        rcv_mss=receiver.segment_size,
        advmss=receiver.mss,
        pmtu=connection.path.mtu,
        snd_cwnd=sender.congestion.cwnd,
        snd_ssthresh=sender.congestion.ssthresh,
        snd_wnd=sender.window,
        rcv_wnd=max(receiver.edge - receiver.nxt, 0),
        rcv_space=receiver.limit,
        unacked=sender.nxt - sender.una,
        sacked=board.sacked,
        lost=board.lost,
        retrans=board.retransmitted,
        notsent=max(sender.end - sender.nxt, 0),
        reord_seen=recovery.rack.reordering_seen,
        reordering=max(recovery.rack.degree, sender.parameters.reordering),
        last_data_recv=now - max(connection.delayed_ack.last_data, connection.tuning.started_at),
        delivered=sender.rate.delivered,
        delivered_segments=sender.rate.segments,
        delivery_rate=sender.rate.rate,
        delivery_rate_app_limited=sender.rate.app_limited > 0,
        pacing_rate=sender.pacing.rate(sender),
        busy_time=sender.chronograph.busy(now),
        rwnd_limited=sender.chronograph.total(Limit.RECEIVE_WINDOW, now),
        sndbuf_limited=sender.chronograph.total(Limit.SEND_BUFFER, now),
        bytes_received=receiver.copied + len(receiver.buffer),
        in_recovery=recovery.state is CaState.RECOVERY,
    )
