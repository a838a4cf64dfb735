"""Hypothesis drives the transmit path: chains of descriptors of all kinds, against the golden functions."""

from typing import Any

import cocotb
from cocotb.clock import Clock
from hypothesis import strategies as st

from hw.transmit import TransmitPath
from tests.hw.explore import explore
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate
from tests.hw.transmit_bench import Bench, check
from tests.hw.transmit_model import random_chain


@cocotb.test()
async def any_chain(dut: Any) -> None:
    """Segmentation, checksums and write-back are as the golden functions have them, whatever the descriptors."""
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    shares = st.sampled_from([0.0, 0.0, 0.4, 0.8])

    async def play(example: tuple[int, int, int, int, float, float, int]) -> None:
        seed, packets, least, jitter, busy, mac_busy, first = example
        chain = random_chain(seed, packets=packets)
        bench = Bench(dut, chain, seed, read_latency=(least, least + jitter), busy=busy, mac_busy=mac_busy)
        bench.first_index = first
        await check(bench, chain.frames(), limit=200_000, clock=False)

    await explore(
        st.tuples(
            st.integers(0, 2**32 - 1),
            st.integers(1, 5),
            st.sampled_from([0, 0, 1, 30, 400]),
            st.integers(0, 40),
            shares,
            shares,
            st.integers(0, 255),
        ),
        play,
        examples=150,
    )


def test_transmit_hostile() -> None:
    simulate(TransmitPath(), name="transmit_path", test_module=__name__)
