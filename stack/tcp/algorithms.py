"""Congestion control algorithms by the names that TCP_CONGESTION and ``tcp_congestion_control`` know them by."""

from stack.tcp.congestion import CongestionControl
from stack.tcp.cubic import Cubic
from stack.tcp.reno import Reno

__all__ = ["ALGORITHMS"]

ALGORITHMS: dict[str, type[CongestionControl]] = {algorithm.name: algorithm for algorithm in (Reno, Cubic)}
"""Others may be added (tcp_register_congestion_control)."""
