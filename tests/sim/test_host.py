"""The host: whose work is done when, and that all time is accounted for."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.costs import IDEAL, HostCosts
from sim.engine import EventEngine
from sim.host import HostCpu, InterruptLine
from sim.processor import SchedulerParameters
from stack.environment import Cause, Context

FREE = HostCosts(**{**vars(IDEAL), "mmio_read_latency": 0})
"""Nothing costs anything but what a test spends."""

Body = Callable[[], Coroutine[Any, Any, None]]


def host(env: EventEngine, **settings: Any) -> HostCpu:
    costs = HostCosts(**{**vars(IDEAL), **{name: value for name, value in settings.items() if name in vars(IDEAL)}})
    return HostCpu(env, costs, **{name: value for name, value in settings.items() if name not in vars(IDEAL)})


def test_work_is_done_in_the_order_in_which_it_is_charged() -> None:
    env = EventEngine(seed=1)
    cpu = host(env, interrupt=1000, copy_per_byte=0.5)

    async def main() -> None:
        cpu.charge(Cause.INTERRUPT)
        assert (env.now, cpu.now) == (0, 1000)
        cpu.charge(Cause.COPY, size=100)
        assert cpu.now == 1050
        await cpu.settle()
        assert env.now == cpu.now == 1050
        await env.sleep(10)
        await cpu.settle()
        answer = env.event()
        env.call_at(1077, answer.set)
        await cpu.stall(Cause.MMIO, answer)
        assert env.now == 1077
        await cpu.stall(Cause.MMIO, answer)
        assert env.now == 1077, "the answer is there"

    env.run(main())
    spent = cpu.spent()
    assert (spent[Cause.INTERRUPT], spent[Cause.COPY], spent[Cause.MMIO]) == (1000, 50, 17)
    assert env.now - sum(spent.values()) == 10  # what is left was idle


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.PROGRAM])
def test_every_cause_has_a_price_and_the_ideal_host_pays_none(cause: Cause) -> None:
    assert (HostCosts().per_operation() | HostCosts().per_byte())[cause] > 0
    assert (IDEAL.per_operation() | IDEAL.per_byte())[cause] == 0


def test_an_interrupt_cuts_into_a_software_interrupt_and_that_into_a_process() -> None:
    env = EventEngine(seed=1)
    cpu = host(env)
    log: list[tuple[str, int]] = []

    def work(name: str, context: Context, start: int, duration: int) -> None:
        async def body() -> None:
            cpu.enter(context)
            await env.sleep(start)
            await cpu.settle()
            cpu.spend(Cause.PROGRAM, duration)
            await cpu.settle()
            log.append((name, env.now))

        env.spawn(body())

    work("process", Context.PROCESS, 0, 1000)
    work("softirq", Context.SOFTIRQ, 100, 500)
    work("interrupt", Context.INTERRUPT, 200, 50)
    work("late softirq", Context.SOFTIRQ, 300, 10)
    env.run_until(10_000)
    assert log == [("interrupt", 250), ("softirq", 650), ("late softirq", 660), ("process", 1560)]
    assert cpu.spent()[Cause.PROGRAM] == 1560


def test_nothing_cuts_into_a_register_read_nor_into_work_that_ends_with_a_register_write() -> None:
    for stalled in (True, False):
        env = EventEngine(seed=1)
        cpu = host(env)
        entered: list[int] = []

        async def process(env: EventEngine = env, cpu: HostCpu = cpu, stalled: bool = stalled) -> None:
            await cpu.settle()
            if stalled:
                answer = env.event()
                env.call_at(900, answer.set)
                await cpu.stall(Cause.MMIO, answer)
            else:
                cpu.spend(Cause.DRIVER_TX, 900)
                assert cpu.post(0x3818) == 900
            cpu.spend(Cause.PROGRAM, 500)
            await cpu.settle()
            cpu.spend(Cause.PROGRAM, 500)
            await cpu.settle()

        async def interrupt(
            start: int, env: EventEngine = env, cpu: HostCpu = cpu, entered: list[int] = entered
        ) -> None:
            cpu.enter(Context.INTERRUPT)
            await env.sleep(start)
            await cpu.settle()
            entered.append(env.now)
            cpu.spend(Cause.INTERRUPT, 10)
            await cpu.settle()

        env.spawn(process())
        env.spawn(interrupt(100))
        env.spawn(interrupt(1450))
        env.run_until(10_000)
        # Behind the write, 500 ns more were charged in one piece with it.
        assert entered == ([900, 1450] if stalled else [1400, 1450])


def test_writes_to_a_register_leave_in_the_order_in_which_they_are_made() -> None:
    env = EventEngine(seed=1)
    cpu = host(env)
    times: list[int] = []

    async def process() -> None:
        cpu.spend(Cause.DRIVER_TX, 5000)
        times.append(cpu.post(8))

    async def interrupt() -> None:
        cpu.enter(Context.INTERRUPT)
        await env.sleep(100)
        await cpu.settle()
        times.extend((cpu.post(8), cpu.post(12)))

    env.spawn(process())
    env.spawn(interrupt())
    env.run_until(10_000)
    assert times == [5000, 5000, 100]


def test_a_timed_call_is_a_software_interrupt() -> None:
    env = EventEngine(seed=1)
    cpu = host(env)
    done: list[int] = []

    async def process() -> None:
        cpu.spend(Cause.PROGRAM, 1000)
        await cpu.settle()
        done.append(env.now)

    env.spawn(process())
    env.call_at(500, lambda: cpu.spend(Cause.PROTOCOL_TX, 100))
    env.run_until(5000)
    assert done == [1100]


def test_processes_share_fairly_and_each_switch_costs() -> None:
    env = EventEngine(seed=1)
    scheduler = SchedulerParameters(latency=100_000, minimum_granularity=20_000)
    cpu = HostCpu(env, HostCosts(**{**vars(IDEAL), "scheduler": 1000}), scheduler=scheduler)
    had = [0, 0, 0]

    def busy(number: int, piece: int) -> Body:
        async def body() -> None:
            while True:
                cpu.spend(Cause.PROGRAM, piece)
                await cpu.settle()
                had[number] += piece

        return body

    for number, piece in enumerate((700, 5_000, 1_000_000)):
        cpu.spawn(busy(number, piece)())
    env.run_until(30_000_000)
    spent = cpu.spent()
    assert sum(spent.values()) == env.now
    # 100 us for three: slices of 33.3 us, after which one that has still had the least goes on for another.
    switches = cpu.processors[0].switches
    assert spent[Cause.SCHEDULER] == 1000 * switches
    assert 30_000_000 / 66_667 <= switches <= 30_000_000 / 33_333
    assert had[0] == pytest.approx(had[1], rel=0.02)
    assert had[2] == pytest.approx(had[1], abs=1_100_000)


def test_a_process_that_wakes_cuts_into_one_that_has_had_more() -> None:
    env = EventEngine(seed=1)
    cpu = host(env)
    waits: list[int] = []

    async def hog() -> None:
        while True:
            cpu.spend(Cause.PROGRAM, 10_000_000)
            await cpu.settle()

    async def interactive() -> None:
        for _ in range(5):
            await env.sleep(10_000_000)
            woken = env.now
            await cpu.settle()
            waits.append(env.now - woken)
            cpu.spend(Cause.PROGRAM, 100_000)
            await cpu.settle()

    cpu.spawn(hog())
    env.run(interactive())
    assert waits == [0] * 5


def test_a_process_that_sleeps_has_done_its_work_and_gives_the_processor_back() -> None:
    """Whether time can pass by itself, since nothing else is due, or not."""
    ends = []
    for other in (False, True):
        env = EventEngine(seed=1)
        cpu = host(env, scheduler=1000)

        async def sleeper(cpu: HostCpu = cpu, env: EventEngine = env) -> tuple[int, int]:
            await cpu.settle()
            cpu.spend(Cause.PROGRAM, 500)
            await env.sleep(10_000)
            assert cpu.spent()[Cause.PROGRAM] == 500
            await cpu.settle()
            return env.now, cpu.processors[0].switches

        if other:
            for time in range(0, 20_000, 100):
                env.call_at(time, lambda: None)
        ends.append(env.run(sleeper()))
    assert ends == [(12_000, 2)] * 2


def test_pinned_processes_work_at_the_same_time() -> None:
    env = EventEngine(seed=1)
    cpu = HostCpu(env, FREE, processors=2, irq_affinity=1)
    done: list[tuple[str, int]] = []

    def work(name: str) -> Body:
        async def body() -> None:
            cpu.spend(Cause.PROGRAM, 1000)
            await cpu.settle()
            done.append((name, env.now))

        return body

    async def interrupt() -> None:
        cpu.spend(Cause.INTERRUPT, 400)
        await cpu.settle()

    level = False
    line = InterruptLine(env, cpu, lambda: level)

    async def handler() -> None:
        nonlocal level
        level = False
        await interrupt()

    line.request(handler)
    cpu.spawn(work("first")(), processor=0)
    cpu.spawn(work("second")(), processor=1)
    env.run_until(100)
    level = True
    line.changed()
    env.run_until(5000)
    assert done == [("first", 1000), ("second", 1400)], "the interrupt is on the other processor"
    assert sum(cpu.spent().values()) == 2400
    for wrong in ({"processors": 1, "irq_affinity": 1}, {"processors": 2, "irq_affinity": -1}):
        with pytest.raises(ValueError, match="irq_affinity is one of"):
            HostCpu(env, FREE, **wrong)
    coroutine = work("third")()
    with pytest.raises(ValueError, match="processor is below 2"):
        cpu.spawn(coroutine, processor=2)
    coroutine.close()


def test_the_line_calls_while_it_is_up_and_after_its_latency() -> None:
    env = EventEngine(seed=1)
    cpu = host(env, interrupt=100, interrupt_latency=30)
    calls: list[int] = []
    left = 0
    line = InterruptLine(env, cpu, lambda: left > 0)

    async def handler() -> None:
        nonlocal left
        calls.append(env.now)
        left -= 1

    line.request(handler)
    with pytest.raises(ValueError, match="has a handler already"):
        line.request(handler)
    left = 3
    env.call_at(1000, line.changed)
    env.run_until(5000)
    assert calls == [1130, 1230, 1330]
    line.free()
    left = 1
    line.changed()
    env.run_until(9000)
    assert len(calls) == 3
    line.request(handler)
    env.run_until(12_000)
    assert len(calls) == 4, "a line that is up when it is asked for"


PIECES = st.lists(st.tuples(st.sampled_from(list(Cause)), st.integers(0, 5000), st.integers(0, 3000)), max_size=8)
FLOWS = st.lists(st.tuples(st.sampled_from(list(Context)), st.integers(0, 1), PIECES), min_size=1, max_size=6)


@given(flows=FLOWS, looks=st.lists(st.integers(0, 60_000), max_size=5))
@settings(max_examples=150, deadline=None)
def test_time_adds_up(flows: list[tuple[Context, int, list[tuple[Cause, int, int]]]], looks: list[int]) -> None:
    """At every moment, what was spent and what was idle make up all processors' time; in the end all work is done, and
    each cause has what was charged to it."""
    env = EventEngine(seed=1)
    cpu = HostCpu(env, HostCosts(**{**vars(IDEAL), "scheduler": 700}), processors=2)
    charged = dict.fromkeys(Cause, 0)
    finished = 0

    def flow(context: Context, pieces: list[tuple[Cause, int, int]]) -> Body:
        async def body() -> None:
            nonlocal finished
            if context is not Context.PROCESS:
                cpu.enter(context)
            for number, (cause, duration, pause) in enumerate(pieces):
                charged[cause] += duration
                cpu.spend(cause, duration)
                if number % 3 == 0:
                    cpu.post(number)
                if number % 3 != 2:
                    await cpu.settle()
                    if number % 2:
                        answer = env.event()
                        env.call_at(env.now + pause, answer.set)
                        charged[Cause.MMIO] += pause
                        await cpu.stall(Cause.MMIO, answer)
                await env.sleep(pause)
            finished += 1

        return body

    for context, processor, pieces in flows:
        cpu.spawn(flow(context, pieces)(), processor=processor if context is Context.PROCESS else 0)
    before = dict.fromkeys(Cause, 0)
    for look in sorted(looks):
        env.run_until(look)
        spent = cpu.spent()
        assert all(spent[cause] >= before[cause] for cause in Cause)
        assert sum(spent.values()) <= 2 * env.now
        assert all(sum(processor.busy) <= env.now for processor in cpu.processors)
        before = spent
    while env.next_call() is not None:
        env.run_until(env.next_call() or 0)
    assert finished == len(flows)
    switches = sum(processor.switches for processor in cpu.processors)
    charged[Cause.SCHEDULER] += 700 * switches
    assert cpu.spent() == charged
