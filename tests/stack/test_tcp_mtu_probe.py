"""Path MTU discovery without a word from routers (RFC 4821): what passes is found, black holes are got out of."""

import pytest

from stack.net_device import Features
from stack.tcp.parameters import TcpParameters
from stack.tcp.progress import CaState
from tests.stack.network import MS, OFFLOADS, Network
from tests.stack.test_tcp_network import exchange, nothing_left


def swallow(network: Network, mtu: int) -> None:
    """The path drops what is larger, silently."""
    network.wire.drop = lambda sender, frame: len(frame) > mtu + 14


@pytest.mark.parametrize("features", [Features.NONE, OFFLOADS])
@pytest.mark.parametrize("mtu", [1500, 1400, 1200])
def test_the_largest_that_passes_is_found(mtu: int, features: Features) -> None:
    # A small buffer makes many round trips of few bytes.
    network = Network(
        tcp=TcpParameters(mtu_probing=2, send_buffer_maximum=60_000, send_buffer=60_000), features=features
    )
    swallow(network, mtu)
    forth = network.engine.random.randbytes(900_000)
    at_b, _, info = exchange(network, forth)
    assert at_b == forth
    mib = network.a.counters.mib
    # Within the threshold of eight bytes.
    assert mtu - 52 - 8 < info.snd_mss <= mtu - 52
    assert mib["TcpExt.TCPMTUPSuccess"] >= 2
    assert bool(mib["TcpExt.TCPMTUPFail"]) == (mtu < 1500)
    assert mib["TcpExt.TCPTimeouts"] == 0
    # A lost probe is no congestion.
    assert mib["TcpExt.TCPSackRecovery"] == 0
    assert info.snd_cwnd > 10 * info.snd_mss
    assert info.ca_state is CaState.OPEN
    nothing_left(network)


def test_a_black_hole_is_found_by_timeouts() -> None:
    network = Network(tcp=TcpParameters(mtu_probing=1))
    swallow(network, 1300)
    # Enough that the search is over well before the end.
    forth = network.engine.random.randbytes(300_000)
    at_b, _, info = exchange(network, forth)
    assert at_b == forth
    assert 1248 - 8 < info.snd_mss <= 1248
    # Three timeouts, then the fourth goes with small segments.
    assert network.a.counters.mib["TcpExt.TCPTimeouts"] == 4
    assert network.a.counters.mib["TcpExt.TCPSackRecovery"] == 0
    assert info.ca_state is CaState.OPEN
    assert network.engine.now < 5_000 * MS
    nothing_left(network)


@pytest.mark.parametrize("seed", range(3))
def test_losses_do_not_mislead_for_long(seed: int) -> None:
    network = Network(seed=seed, tcp=TcpParameters(mtu_probing=2))
    random = Network(seed=seed + 10).engine.random
    network.wire.drop = lambda sender, frame: len(frame) > 1414 or random.random() < 0.01
    forth = network.engine.random.randbytes(600_000)
    at_b, _, info = exchange(network, forth)
    assert at_b == forth
    assert 1012 <= info.snd_mss <= 1348
    nothing_left(network)
