"""NET_RX_SOFTIRQ: its budgets, what is left to ksoftirqd, and the backlog of netif_rx."""

from typing import Any

import pytest

from sim.costs import IDEAL, HostCosts
from sim.engine import EventEngine
from sim.host import HostCpu
from stack.environment import Cause, Cpu, Environment
from stack.napi import Napi, SoftIrq
from stack.net_device import NetDevice, NetdevTx
from stack.skbuff import SkBuff

COSTS = HostCosts(**{**vars(IDEAL), "backlog": 100, "softirq": 300})


class Source(Napi):
    """Has ``left`` packets, each of which costs ``price`` ns."""

    def __init__(self, softirq: SoftIrq, left: int, price: int) -> None:
        super().__init__(softirq)
        self.enabled = True
        self.left = left
        self.price = price
        self.polled: list[tuple[int, int]] = []

    def start(self) -> None:
        assert self.schedule_prep()
        self.schedule()

    async def poll(self, budget: int) -> int:
        cpu = self.softirq.cpu
        work = min(self.left, budget)
        self.left -= work
        cpu.spend(Cause.DRIVER_RX, work * self.price)
        await cpu.settle()
        self.polled.append((cpu.now, work))
        if work < budget:
            self.complete()
        return work


class Device(NetDevice):
    def __init__(self, env: Environment, cpu: Cpu) -> None:
        super().__init__(env, cpu, name="dev0", address=bytes(6))

    async def open(self) -> None: ...

    async def stop(self) -> None: ...

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        return NetdevTx.OK


def softirq(**parameters: Any) -> tuple[EventEngine, SoftIrq]:
    env = EventEngine(seed=1)
    return env, SoftIrq(env, HostCpu(env, COSTS), **parameters)


def finish(env: EventEngine) -> None:
    while (time := env.next_call()) is not None:
        env.run_until(time)


def test_polls_are_round_robin_and_each_once_a_run() -> None:
    env, net_rx = softirq()
    first, second = Source(net_rx, 100, 10), Source(net_rx, 70, 10)
    first.start()
    second.start()
    finish(env)
    assert first.polled == [(940, 64), (2240, 36)]
    assert second.polled == [(1580, 64), (2300, 6)]
    assert (net_rx.polls, net_rx.time_squeeze, net_rx.ksoftirqd_runs) == (4, 1, 0)
    assert net_rx.cpu.now == env.now == 2300


def test_a_run_ends_when_its_packets_or_its_time_are_used_up() -> None:
    for parameters in ({"budget": 100}, {"budget_time": 1000}):
        env, net_rx = softirq(**parameters)
        sources = [Source(net_rx, 65, 10) for _ in range(3)]
        for source in sources:
            source.start()
        finish(env)
        # Two polls a run: the third source is in the second run.
        assert sources[2].polled[0] == (300 + 2 * 640 + 300 + 640, 64)
        assert net_rx.time_squeeze >= 2
        assert all(source.left == 0 for source in sources)


@pytest.mark.parametrize("parameters", [{"restarts": 3}, {"time_limit": 2000}])
def test_what_does_not_end_is_left_to_ksoftirqd_which_shares_with_programs(parameters: dict[str, int]) -> None:
    env, net_rx = softirq(**parameters)
    cpu = net_rx.cpu
    assert isinstance(cpu, HostCpu)
    source = Source(net_rx, 100_000_000, 10)
    had = 0

    async def program() -> None:
        nonlocal had
        while True:
            cpu.spend(Cause.PROGRAM, 1000)
            await cpu.settle()
            had += 1000

    cpu.spawn(program())
    source.start()
    env.run_until(1_000_000)
    assert net_rx.ksoftirqd_runs == 1
    started = had
    env.run_until(61_000_000)
    assert net_rx.ksoftirqd_runs == 1
    assert had - started == pytest.approx(30_000_000, rel=0.06)
    source.left = 0
    env.run_until(70_000_000)
    before = had
    env.run_until(80_000_000)
    assert had - before == pytest.approx(10_000_000, abs=1000), "nothing is left to do but the program"
    assert source.schedule_prep()
    source.left = 10
    source.schedule()
    env.run_until(80_001_000)
    assert source.left == 0, "a software interrupt again, that cuts into the program"


def test_the_backlog_takes_what_fits_and_counts_the_rest() -> None:
    env, net_rx = softirq(max_backlog=99)
    device = Device(env, net_rx.cpu)
    received: list[SkBuff] = []
    consumed: list[SkBuff] = []
    device.receive = received.append
    packets = [SkBuff(bytes([number]) * 60, destructor=consumed.append) for number in range(120)]

    def interrupt() -> None:
        for packet in packets:
            device.netif_rx(packet, net_rx.backlog)

    env.call_at(10, interrupt)
    finish(env)
    # Linux takes one more than the limit.
    assert received == packets[:100]
    assert consumed == packets[100:]
    assert (net_rx.backlog.processed, net_rx.backlog.dropped, device.stats.rx_dropped) == (100, 20, 20)
    assert device.stats.rx_packets == 100
    cpu = net_rx.cpu
    assert isinstance(cpu, HostCpu)
    assert cpu.spent()[Cause.BACKLOG] == 120 * COSTS.backlog
    device.netif_rx(SkBuff(bytes(60)), net_rx.backlog)
    finish(env)
    assert len(received) == 101
