"""What ``niclab ss`` shows of a stack's sockets."""

from typing import Any

from stack.address import format_ipv4
from stack.host import NetworkStack
from stack.tcp.info import tcp_info

__all__ = ["socket_table"]


def _endpoint(address: int, port: int) -> str:
    return f"{format_ipv4(address) if address else '*'}:{port or '*'}"


def socket_table(stack: NetworkStack) -> list[dict[str, Any]]:
    """A row per socket, sorted as listeners, connections, UDP; queues in bytes as in ss(8): of a listener what waits to
    be accepted, and the backlog."""
    rows: list[dict[str, Any]] = [
        {
            "netid": "tcp",
            "state": "LISTEN",
            "recv_q": len(listener.accepted),
            "send_q": listener.backlog,
            "local": _endpoint(listener.address, listener.port),
            "peer": "*:*",
        }
        for _, listener in sorted(stack.tcp.listeners.items())
    ]
    for key, connection in sorted(stack.tcp.connections.items()):
        info = tcp_info(connection)
        rows.append(
            {
                "netid": "tcp",
                "state": info.state.value,
                "recv_q": len(connection.receiver.buffer),
                "send_q": info.unacked + info.notsent,
                "local": _endpoint(key[0], key[1]),
                "peer": _endpoint(key[2], key[3]),
                "info": f"{info.congestion_control} rtt:{info.rtt / 1e6:.3f}/{info.rttvar / 1e6:.3f} "
                f"rto:{info.rto / 1e6:.0f} mss:{info.snd_mss} cwnd:{info.snd_cwnd} retrans:{info.total_retrans} "
                f"delivery_rate:{info.delivery_rate * 8 / 1e6:.1f}Mbps",
            }
        )
    for endpoint in stack.udp.endpoints():
        rows.append(
            {
                "netid": "udp",
                "state": "UNCONN" if endpoint.peer is None else "ESTAB",
                "recv_q": endpoint.receive_used,
                "send_q": endpoint.send_used,
                "local": _endpoint(*endpoint.local),
                "peer": _endpoint(*endpoint.peer) if endpoint.peer else "*:*",
            }
        )
    return rows
