"""The scheduler with the wall clock: order and time of calls, files, asyncio's programs, errors. Time is only ever
compared from below: a machine may be slow."""

import asyncio
import os

import pytest

from sim.realtime.engine import RealTimeCpu, RealTimeEngine
from stack.environment import Cause

MS = 1_000_000


def test_sleepers_wake_in_order_and_not_before_their_time() -> None:
    engine = RealTimeEngine(seed=1)
    woken: list[tuple[int, int]] = []

    async def sleeper(duration: int) -> None:
        started = engine.now
        await engine.sleep(duration)
        woken.append((duration, engine.now - started))

    async def main() -> None:
        for task in [engine.spawn(sleeper(duration)) for duration in (6 * MS, 2 * MS, 4 * MS)]:
            await task

    engine.run(main())
    assert [duration for duration, _ in woken] == [2 * MS, 4 * MS, 6 * MS]
    assert all(taken >= duration for duration, taken in woken)


def test_a_call_that_is_cancelled_is_not_made() -> None:
    engine = RealTimeEngine(seed=1)
    made: list[str] = []

    async def main() -> None:
        engine.call_at(engine.now + 1 * MS, lambda: made.append("cancelled")).cancel()
        engine.call_at(engine.now + 2 * MS, lambda: made.append("made"))
        await engine.sleep(4 * MS)

    engine.run(main())
    assert made == ["made"]


def test_a_file_that_can_be_read_is_told_with_the_time_up_to_date() -> None:
    engine = RealTimeEngine(seed=1)
    reading, writing = os.pipe()
    got: list[bytes] = []
    arrived = engine.event()

    def readable() -> None:
        got.append(os.read(reading, 100))
        arrived.set()

    async def main() -> int:
        engine.add_reader(reading, readable)
        before = engine.now
        await engine.sleep(3 * MS)
        os.write(writing, b"hello")
        await arrived.wait()
        engine.remove_reader(reading)
        return engine.now - before

    assert engine.run(main()) >= 3 * MS
    assert got == [b"hello"]
    os.close(reading)
    os.close(writing)


def test_asyncio_waits_for_the_scheduler_and_may_cancel() -> None:
    engine = RealTimeEngine(seed=1)
    ended: list[str] = []

    async def answer() -> int:
        await engine.sleep(1 * MS)
        return 42

    async def broken() -> None:
        raise OSError(5, "broken")

    async def endless() -> None:
        try:
            await engine.event().wait()
        finally:
            ended.append("cancelled")

    async def main() -> None:
        assert await engine.future(answer()) == 42
        with pytest.raises(OSError, match="broken"):
            await engine.future(broken())
        future = engine.future(endless())
        future.cancel()
        await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await future

    engine.run_asyncio(main())
    assert ended == ["cancelled"]


def test_an_error_in_a_task_ends_the_run_after_cleaning_up() -> None:
    engine = RealTimeEngine(seed=1)
    cleaned: list[str] = []

    async def broken() -> None:
        await engine.sleep(1 * MS)
        raise RuntimeError("this one")

    async def spawn() -> None:
        engine.spawn(broken())

    async def clean() -> None:
        await engine.sleep(1 * MS)
        cleaned.append("up")

    async def main() -> None:
        await engine.future(spawn())
        try:
            await asyncio.Event().wait()
        finally:
            await engine.future(clean())

    with pytest.raises(RuntimeError, match="this one"):
        engine.run_asyncio(main())
    assert cleaned == ["up"]


def test_work_is_not_charged_in_real_time() -> None:
    engine = RealTimeEngine(seed=1)
    cpu = RealTimeCpu(engine)

    async def main() -> None:
        before = engine.now
        cpu.charge(Cause.COPY, size=1 << 40)
        cpu.spend(Cause.MMIO, 1 << 60)
        await cpu.settle()
        assert (cpu.now, engine.now) == (before, before)

    engine.run(main())
