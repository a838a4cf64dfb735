"""The processor: work is done one piece after the other, and all time is accounted for."""

import pytest

from sim.engine import EventEngine
from sim.host import IDEAL, HostCosts, HostCpu
from stack.environment import Cause


def test_work_is_done_in_the_order_in_which_it_is_charged() -> None:
    env = EventEngine(seed=1)
    cpu = HostCpu(env, HostCosts(interrupt=1000, copy_per_byte=0.5))

    async def main() -> None:
        cpu.charge(Cause.INTERRUPT)
        assert (env.now, cpu.now) == (0, 1000)
        cpu.charge(Cause.COPY, size=100)
        assert cpu.now == 1050
        await cpu.settle()
        assert env.now == 1050
        await env.sleep(10)
        cpu.stall(Cause.MMIO, 7)
        assert cpu.now == 1067
        cpu.stall_until(Cause.MMIO, 1060)
        cpu.stall_until(Cause.MMIO, 1070)
        await cpu.settle()

    env.run(main())
    spent = cpu.spent()
    assert spent[Cause.INTERRUPT] == 1000
    assert spent[Cause.COPY] == 50
    assert spent[Cause.MMIO] == 10
    assert env.now - sum(spent.values()) == 10  # what is left was idle


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_a_price_and_the_ideal_host_pays_none(cause: Cause) -> None:
    assert HostCosts().price(cause, 1, 1000) > 0
    assert IDEAL.price(cause, 1, 1000) == 0
