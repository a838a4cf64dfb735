"""The transmit path with memories so small that all of them run full (manual 3.3: flow from ring to FIFO)."""

from typing import Any

import cocotb

from hw.transmit import TransmitPath
from tests.hw.simulate import simulate
from tests.hw.transmit_bench import Bench, check
from tests.hw.transmit_model import random_chain

BUFFER_WORDS = 64


def test_path_in_small_memories() -> None:
    simulate(
        TransmitPath(data_words=128, items=2, buffer_words=BUFFER_WORDS, buffer_packets=2),
        name="transmit_path_small",
        test_module="tests.hw.test_transmit_small",
    )


@cocotb.test()
@cocotb.parametrize((("seed", "mac_busy"), [(11, 0.0), (12, 0.8)]))
async def chains_in_small_memories(dut: Any, seed: int, mac_busy: float) -> None:
    """Random and hostile chains of which many packets do not fit."""
    chain = random_chain(seed, packets=100)
    bench = Bench(dut, chain, seed=seed, read_latency=(0, 60), busy=0.2, mac_busy=mac_busy, ring_entries=1024)
    expected = chain.frames(max_bytes=8 * (BUFFER_WORDS - 2))
    await check(bench, expected, limit=100_000)
    assert bench.pulses["oversize"] == len(chain.frames()) - len(expected) > 0
