"""What a server has done, for its last words."""

from dataclasses import dataclass, field

__all__ = ["Statistics"]


@dataclass
class Statistics:
    """Counts since the start. ``refused`` commands were answered with an error, ``broken`` clients were sent away."""

    clients: int = 0
    broken: int = 0
    messages: int = 0
    refused: int = 0
    reads: int = 0
    writes: int = 0
    read_seconds: float = 0.0
    """Wall time in register reads."""
    work_seconds: float = 0.0
    """Wall time in which simulated time passed, reads included."""
    interrupts: int = 0
    bad_reads: int = 0
    bad_writes: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    simulated_ns: int = 0
    checksum_errors: int = 0
    """That our own stack, if it was the peer, has found."""
    wire: dict[str, int] = field(default_factory=dict)
    """What had crossed the wire when the guest last read the NIC's counters, by the names that ``ethtool -S`` has."""
