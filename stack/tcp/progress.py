"""The states of loss recovery, and what it wants to know of an ACK (Linux's FLAG_* of tcp_ack)."""

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["CaState", "Progress"]


class CaState(IntEnum):
    """Linux's ``enum tcp_ca_state``."""

    OPEN = 0
    """Nothing is wrong."""
    DISORDER = 1
    """Duplicate or selective ACKs have come: reordering or loss."""
    CWR = 2
    """The window goes down for a congestion mark or local congestion."""
    RECOVERY = 3
    """Fast recovery."""
    LOSS = 4
    """The retransmission timer expired."""


@dataclass(slots=True)
class Progress:
    """Sizes in bytes."""

    prior_una: int
    advanced: bool
    """SND.UNA moved."""
    duplicate: bool = False
    """A duplicate ACK (RFC 5681 section 2), or with SACK one that brought no news at all."""
    acked: int = 0
    """Newly acknowledged cumulatively."""
    sacked: int = 0
    """Newly acknowledged selectively."""
    delivered: int = 0
    """Newly delivered: both, without what was sacked before."""
    original: bool = False
    """Of that, something that was sent before the episode, and once (FLAG_ORIG_SACK_ACKED)."""
    dsack: bool = False
    ece: bool = False
    delayed: bool = False
    """Timestamps say that the ACK answers what was sent before the episode's first retransmission."""
    lost: int = 0
    """Newly believed lost."""
