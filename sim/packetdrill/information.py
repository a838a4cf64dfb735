"""``tcpi_*`` as packetdrill shows it to a script's code: in packets, microseconds and milliseconds, as in Linux."""

from stack.tcp.connection import Connection
from stack.tcp.info import tcp_info
from stack.tcp.progress import CaState
from stack.tcp.state import State

__all__ = ["variables"]

_STATES = {
    State.ESTABLISHED: ("TCP_ESTABLISHED", 1),
    State.SYN_SENT: ("TCP_SYN_SENT", 2),
    State.SYN_RECEIVED: ("TCP_SYN_RECV", 3),
    State.FIN_WAIT_1: ("TCP_FIN_WAIT1", 4),
    State.FIN_WAIT_2: ("TCP_FIN_WAIT2", 5),
    State.TIME_WAIT: ("TCP_TIME_WAIT", 6),
    State.CLOSED: ("TCP_CLOSE", 7),
    State.CLOSE_WAIT: ("TCP_CLOSE_WAIT", 8),
    State.LAST_ACK: ("TCP_LAST_ACK", 9),
    State.LISTEN: ("TCP_LISTEN", 10),
    State.CLOSING: ("TCP_CLOSING", 11),
}
_CA_STATES = {
    CaState.OPEN: "TCP_CA_Open",
    CaState.DISORDER: "TCP_CA_Disorder",
    CaState.CWR: "TCP_CA_CWR",
    CaState.RECOVERY: "TCP_CA_Recovery",
    CaState.LOSS: "TCP_CA_Loss",
}
_OPTIONS = {"TIMESTAMPS": 1, "SACK": 2, "WSCALE": 4, "ECN": 8, "ECN_SEEN": 16, "SYN_DATA": 32}
_INFINITE = 0x7FFFFFFF


def _packets(size: int, mss: int) -> int:
    """Segments of so many bytes, the last of them may be small."""
    return -(-size // mss)


def variables(connection: Connection) -> dict[str, int]:
    """What a script's code may ask. A name that is not here raises ``NameError`` there."""
    info = tcp_info(connection)
    mss = info.snd_mss
    known = dict(_STATES.values())
    known |= {name: number for number, name in enumerate(_CA_STATES.values())}
    known |= {f"TCPI_OPT_{name}": bit for name, bit in _OPTIONS.items()}
    options = info.timestamps * 1 + info.sack * 2 + (connection.window_scaling * 4) + info.ecn * 8 + info.syn_data * 32
    return known | {
        "tcpi_state": _STATES[info.state][1],
        "tcpi_ca_state": list(_CA_STATES).index(info.ca_state),
        "tcpi_retransmits": info.retransmits,
        "tcpi_probes": info.probes,
        "tcpi_backoff": info.backoff,
        "tcpi_options": options,
        "tcpi_snd_wscale": info.snd_wscale,
        "tcpi_rcv_wscale": info.rcv_wscale,
        "tcpi_rto": info.rto // 1000,
        "tcpi_snd_mss": mss,
        "tcpi_rcv_mss": info.rcv_mss,
        "tcpi_unacked": _packets(info.unacked, mss),
        "tcpi_sacked": _packets(info.sacked, mss),
        "tcpi_lost": _packets(info.lost, mss),
        "tcpi_retrans": _packets(info.retrans, mss),
        "tcpi_pmtu": info.pmtu,
        "tcpi_rtt": info.rtt // 1000,
        "tcpi_rttvar": info.rttvar // 1000,
        "tcpi_snd_ssthresh": min(info.snd_ssthresh // mss, _INFINITE),
        "tcpi_snd_cwnd": info.snd_cwnd // mss,
        "tcpi_advmss": info.advmss,
        "tcpi_total_retrans": info.total_retrans,
        "tcpi_bytes_received": info.bytes_received,
        "tcpi_notsent_bytes": info.notsent,
        "tcpi_reordering": info.reordering,
        "tcpi_reord_seen": info.reord_seen,
        "tcpi_last_data_recv": info.last_data_recv // 1_000_000,
        "tcpi_busy_time": info.busy_time // 1000,
        "tcpi_rwnd_limited": info.rwnd_limited // 1000,
        "tcpi_sndbuf_limited": info.sndbuf_limited // 1000,
        "tcpi_min_rtt": info.min_rtt // 1000,
        "tcpi_delivered": info.delivered_segments,
        "tcpi_pacing_rate": info.pacing_rate,
        "tcpi_snd_wnd": info.snd_wnd,
        "tcpi_rcv_wnd": info.rcv_wnd,
    }
