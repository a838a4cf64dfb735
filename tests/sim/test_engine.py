"""The scheduler: order, time, events, cancelling, failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine import EventEngine
from sim.errors import DeadlockError
from stack.environment import CancelledError


def test_calls_come_in_order_of_time_then_of_arming() -> None:
    env = EventEngine(seed=1)
    seen: list[tuple[int, str]] = []

    async def main() -> None:
        for when, name in ((30, "late"), (10, "first"), (10, "second"), (20, "middle")):
            env.call_at(when, lambda name=name: seen.append((env.now, name)))  # type: ignore[misc]
        env.call_at(15, lambda: seen.append((env.now, "cancelled"))).cancel()
        await env.sleep(40)

    env.run(main())
    assert seen == [(10, "first"), (10, "second"), (20, "middle"), (30, "late")]
    assert env.now == 40


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=30))
def test_sleepers_wake_at_their_time(sleeps: list[tuple[int, int]]) -> None:
    env = EventEngine(seed=1)
    woken: list[tuple[int, int]] = []

    async def sleeper(duration: int, repeat: int) -> None:
        start = env.now
        for count in range(repeat):
            await env.sleep(duration)
            woken.append((start + duration * (count + 1), env.now))

    async def main() -> None:
        for task in [env.spawn(sleeper(*item)) for item in sleeps]:
            await task

    env.run(main())
    assert len(woken) == sum(repeat for _, repeat in sleeps)
    assert all(expected == actual for expected, actual in woken)
    assert [actual for _, actual in woken] == sorted(actual for _, actual in woken)


def test_an_event_wakes_its_waiters_in_order_and_stays_up() -> None:
    env = EventEngine(seed=1)
    order: list[str] = []
    event = env.event()

    async def waiter(name: str) -> None:
        await event.wait()
        order.append(name)

    async def main() -> None:
        tasks = [env.spawn(waiter(name)) for name in "abc"]
        await env.sleep(5)
        event.set()
        for task in tasks:
            await task
        await event.wait()
        assert env.now == 5

    env.run(main())
    assert order == ["a", "b", "c"]


def test_a_task_gives_its_result_or_raises_what_it_raised() -> None:
    env = EventEngine(seed=1)

    async def child(value: int) -> int:
        await env.sleep(1)
        if value < 0:
            raise ValueError("negative")
        return value

    async def main() -> int:
        good = env.spawn(child(7))
        bad = env.spawn(child(-1))
        with pytest.raises(ValueError, match="negative"):
            await bad
        return await good

    assert env.run(main()) == 7


def test_an_exception_that_nobody_awaits_ends_the_run() -> None:
    env = EventEngine(seed=1)

    async def child() -> None:
        raise KeyError("lost")

    async def main() -> None:
        env.spawn(child())
        await env.sleep(100)

    with pytest.raises(KeyError, match="lost"):
        env.run(main())


def test_cancelling_raises_where_the_task_waits_and_disarms_the_wait() -> None:
    env = EventEngine(seed=1)
    seen: list[object] = []
    event = env.event()

    async def child() -> None:
        try:
            await event.wait()
        except CancelledError:
            seen.append(env.now)
            raise

    async def main() -> None:
        task = env.spawn(child())
        await env.sleep(3)
        task.cancel()
        with pytest.raises(CancelledError):
            await task
        event.set()
        await env.sleep(1)
        assert task.done()

    env.run(main())
    assert seen == [3]


def test_a_main_coroutine_that_nothing_can_wake_is_named() -> None:
    env = EventEngine(seed=1)

    async def main() -> None:
        await env.event().wait()

    with pytest.raises(DeadlockError):
        env.run(main())


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, second, other = (EventEngine(seed=seed).random.getrandbits(64) for seed in (5, 5, 6))
    assert first == second != other


def test_cancelling_a_task_that_is_about_to_wake_ends_it_once() -> None:
    env = EventEngine(seed=1)
    event = env.event()

    async def waiter() -> None:
        await event.wait()

    async def main() -> None:
        task = env.spawn(waiter())
        await env.sleep(1)
        event.set()
        task.cancel()
        await env.sleep(1)
        assert task.done()
        with pytest.raises(CancelledError):
            task.result()

    env.run(main())


def test_time_does_not_come_beyond_what_it_is_run_to() -> None:
    env = EventEngine(seed=1)
    woken: list[int] = []

    async def sleeper() -> None:
        await env.sleep(500)
        woken.append(env.now)

    env.spawn(sleeper())
    env.run_until(100)
    assert (env.now, woken) == (100, [])
    env.run_until(1000)
    assert woken == [500]


def test_a_run_ends_with_its_main_coroutine_whoever_else_goes_on() -> None:
    env = EventEngine(seed=1)

    async def for_ever() -> None:
        while True:
            await env.sleep(100)

    async def main() -> int:
        env.spawn(for_ever())
        await env.sleep(1000)
        return env.now

    assert env.run(main()) == 1000
    assert env.now <= 1100
