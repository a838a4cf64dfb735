"""What a host remembers does not cost its packets anything: counted in calls and bytes, since time would depend on the
machine."""

import sys
from typing import Any

import pytest

from sim.stack_cost import Host, bytes_per_connection


def calls(host: Host, rounds: int) -> int:
    """Calls of Python and C functions during so many round trips."""
    counted = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    host.echo(5)
    sys.setprofile(count)
    try:
        host.echo(rounds)
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.slow
def test_a_packet_costs_the_same_among_many() -> None:
    alone, among = Host(connections=0, routes=0), Host(connections=300, routes=3000)
    assert len(among.near.tcp.connections) == len(alone.near.tcp.connections) + 300
    # The heap of timers is deeper: a few comparisons more.
    assert calls(among, 50) < 1.05 * calls(alone, 50)


@pytest.mark.slow
def test_an_idle_connection_is_small() -> None:
    assert bytes_per_connection(100) < 8192
