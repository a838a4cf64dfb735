"""TCP_INFO: what a connection tells of itself."""

from dataclasses import dataclass

from stack.tcp.connection import Connection
from stack.tcp.state import State

__all__ = ["TcpInfo", "tcp_info"]


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """A snapshot in the manner of Linux's ``struct tcp_info``. Times in nanoseconds, sizes in bytes."""

    state: State
    retransmits: int
    """Timeouts in a row for the oldest segment."""
    total_retrans: int
    """Segments sent again, all in all."""
    rto: int
    rtt: int
    rttvar: int
    snd_mss: int
    rcv_mss: int
    snd_cwnd: int
    snd_ssthresh: int
    snd_wnd: int
    rcv_wnd: int
    unacked: int
    notsent: int
    in_recovery: bool


def tcp_info(connection: Connection) -> TcpInfo:
    """What ``getsockopt(TCP_INFO)`` shows."""
    sender = connection.sender
    return TcpInfo(
        state=connection.state,
        retransmits=sender.retransmits,
        total_retrans=sender.total_retransmits,
        rto=sender.rtt.rto,
        rtt=sender.rtt.srtt,
        rttvar=sender.rtt.rttvar,
        snd_mss=sender.mss,
        rcv_mss=connection.receiver.segment_size,
        snd_cwnd=sender.congestion.cwnd,
        snd_ssthresh=sender.congestion.ssthresh,
        snd_wnd=sender.window,
        rcv_wnd=max(connection.receiver.edge - connection.receiver.nxt, 0),
        unacked=sender.maximum - sender.una,
        notsent=max(sender.end - sender.maximum, 0),
        in_recovery=sender.recovering,
    )
