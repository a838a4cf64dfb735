"""The allocator against a list of what is reserved."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine import EventEngine
from sim.host import IDEAL, HostCpu
from sim.memory import HostMemory
from sim.model.bus import ModelBus

SIZE = 64 * 1024


def _of_the_model() -> HostMemory:
    env = EventEngine(seed=1)
    bus = ModelBus(env, HostCpu(env, IDEAL))
    env.run_until(1)
    return bus.memory


@given(st.lists(st.one_of(st.tuples(st.integers(1, 9000), st.sampled_from([1, 8, 16, 256, 4096])), st.integers(0, 30))))
def test_ranges_are_aligned_apart_and_all_given_back(steps: list[tuple[int, int] | int]) -> None:
    memory = HostMemory(np.zeros(SIZE, np.uint8))
    held: list[tuple[int, int]] = []
    for step in steps:
        if isinstance(step, int):
            if held:
                memory.free(held.pop(step % len(held))[0])
            continue
        size, alignment = step
        try:
            address = memory.allocate(size, alignment)
        except MemoryError:
            continue
        assert address % alignment == 0
        assert 4096 <= address <= SIZE - size
        assert all(address + size <= start or start + length <= address for start, length in held)
        held.append((address, size))
        assert memory.allocated() == sum(length for _, length in held)
    for address, _ in held:
        memory.free(address)
    assert memory.allocated() == 0
    assert memory.allocate(SIZE - 4096) == 4096  # all free ranges have grown together again


def test_odd_sizes_leave_no_scraps_to_search() -> None:
    memory = HostMemory(np.zeros(SIZE, np.uint8))
    for size in range(61, 161):
        memory.allocate(size)
    assert len(memory._starts) == 1


@pytest.mark.parametrize("make", [lambda: HostMemory(np.zeros(SIZE, np.uint8)), _of_the_model])
def test_reads_see_writes_and_a_wrong_free_is_refused(make: Callable[[], HostMemory]) -> None:
    memory = make()
    address = memory.allocate(100)
    memory.write(address + 3, b"niclab")
    assert memory.read(address + 2, 8) == b"\0niclab\0"
    memory.write128(address, 0x0706050403020100, 0xFFEEDDCCBBAA9988)
    assert memory.read(address, 16) == bytes.fromhex("0001020304050607 8899aabbccddeeff")
    assert memory.read64(address + 8) == 0xFFEEDDCCBBAA9988
    with pytest.raises(ValueError, match="was not allocated"):
        memory.free(address + 16)


def test_memory_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="one-dimensional array of uint8, not int64"):
        HostMemory(np.zeros(4, np.int64))  # type: ignore[arg-type]
