"""Ephemeral ports (RFC 6056 section 3.3.1, algorithm 1: a random start, then one after the other)."""

from collections.abc import Iterator

from stack.environment import Random

__all__ = ["EPHEMERAL", "ephemeral_ports"]

EPHEMERAL = range(32768, 61000)
"""Linux's ``ip_local_port_range``."""


def ephemeral_ports(random: Random) -> Iterator[int]:
    """Each port of the range once, from a random one on."""
    start = random.randrange(len(EPHEMERAL))
    for offset in range(len(EPHEMERAL)):
        yield EPHEMERAL[(start + offset) % len(EPHEMERAL)]
