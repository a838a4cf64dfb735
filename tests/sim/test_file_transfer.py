"""The main job's programs over ideal devices, and what they say of a wrong byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine import EventEngine
from sim.errors import RunFailedError
from sim.tcp_loop import run_transfer
from sim.wire import Faults, Link
from sim.workloads.file_transfer import Transfer, first_difference


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(1, 255))
def test_the_first_difference_is_found(sent: bytes, offset: int, flip: int) -> None:
    received = bytearray(sent)
    if offset < len(sent):
        received[offset] ^= flip
        expected: int | None = offset
        if offset + 7 < len(sent):
            received[offset + 7] ^= 1
    else:
        expected = None
    assert first_difference(sent, bytes(received)) == expected
    shorter = min(offset, len(sent))
    assert first_difference(sent, sent[:shorter]) == (None if shorter == len(sent) else shorter)


@pytest.mark.parametrize("faults", [Faults(), Faults(loss=0.02), Faults(corruption=0.02)])
@pytest.mark.parametrize("size", [0, 1, 1460, 200_000])
def test_files_of_any_size_cross_whole(size: int, faults: Faults) -> None:
    env = EventEngine(seed=2)
    transfer = Transfer(env, env.random.randbytes(size), 3)
    phases: list[str] = []

    async def note(phase: str) -> None:
        phases.append(phase)

    transfer.on_phase = note
    run_transfer(transfer, env, Link(env, a_to_b=faults, b_to_a=faults))
    assert phases == ["send", "turn", "done"]
    assert len(transfer.round_trips) == 3


def test_a_wrong_byte_is_named() -> None:
    env = EventEngine(seed=1)
    transfer = Transfer(env, bytes(5000), 0)
    link = Link(env)
    run_transfer(transfer, env, link)
    damaged = bytearray(5000)
    damaged[4321] = 1
    with pytest.raises(RunFailedError, match=r"^B received 5000 bytes .* first wrong byte is at offset 4321$"):
        transfer._compare(bytes(damaged), "B")
