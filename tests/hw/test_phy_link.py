"""The link of the built-in PHY: gateware against the golden model for several partners, and the model by hand."""

from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.mac.speed import Speed
from hw.phy_link import PARTNER, LinkModel, LinkPartner, PhyLink

PARTNERS = {
    "able of all": PARTNER,
    "without gigabit": LinkPartner(gigabit_status=0),
    "10 Mb/s only": LinkPartner(base_page=0x4061, gigabit_status=0),
    "half duplex only": LinkPartner(base_page=0x40A1, gigabit_status=0x3400),
    "gigabit only": LinkPartner(base_page=0x4001, gigabit_status=0x0800),
}

SETTLED = 34
"""Cycles after which a link is there."""

CONTROLS = (0x1140, 0x9140, 0x1340, 0x1940, 0x0940, 0x4140, 0x5140, 0x0340, 0x0140, 0x2100, 0x2300, 0x0100, 0x6100)
NO_LINK = (0x2140, 0x2000, 0x0000)

events = st.one_of(
    st.tuples(st.just(0), st.sampled_from(CONTROLS + NO_LINK)),
    st.tuples(st.just(4), st.sampled_from((0x0DE1, 0x0141, 0x0101, 0x0041, 0x00A1, 0x0001))),
    st.tuples(st.just(9), st.sampled_from((0x0E00, 0x0200, 0x0100, 0))),
    st.tuples(st.just("cable"), st.integers(0, 1)),
    st.tuples(st.just("reset"), st.just(0)),
)


@pytest.mark.parametrize("name", PARTNERS)
@settings(max_examples=40)
@given(history=st.lists(events, min_size=1, max_size=12))
@example(history=[(0, 0x0140), (0, 0x0340)])
@example(history=[(0, 0x4140), (0, 0x0140), (0, 0x0140)])
def test_against_golden(name: str, history: list[tuple[int | str, int]]) -> None:
    """After every event the link is as in the model; when it is made anew it is down first, and else it does not
    falter; the speed does not change while it is up."""
    dut = PhyLink(partner=PARTNERS[name])

    async def process(context: Any) -> None:
        golden = LinkModel(partner=PARTNERS[name])
        await context.tick().repeat(SETTLED)
        for what, value in [("cable", 1), *history]:
            before = golden.link
            if what == "cable":
                context.set(dut.cable, value)
                golden.cable(bool(value))
                await context.tick()
            elif what == "reset":
                context.set(dut.reset, 1)
                assert not context.get(dut.link)
                await context.tick()
                context.set(dut.reset, 0)
                golden.reset()
            else:
                context.set(dut.number, what)
                context.set(dut.value, value)
                context.set(dut.written, 1)
                await context.tick()
                context.set(dut.written, 0)
                golden.write(int(what), value)
            if golden.relinked:
                assert not context.get(dut.link), (what, hex(value))
            speed = context.get(dut.speed)
            steady = before and golden.link and not golden.relinked
            for _ in range(SETTLED):
                assert not steady or context.get(dut.link), (what, hex(value))
                if context.get(dut.link):
                    assert context.get(dut.speed) == golden.speed
                elif golden.link:
                    speed = context.get(dut.speed)
                await context.tick()
            assert context.get(dut.link) == golden.link, (what, hex(value))
            assert not golden.link or context.get(dut.speed) == golden.speed == speed
            assert context.get(dut.loopback) == golden.loopback
            assert context.get(dut.negotiates) == golden.negotiates

    simulator = Simulator(dut)
    simulator.add_clock(8e-9)
    simulator.add_testbench(process)
    simulator.run()


def after(writes: list[tuple[int, int]], name: str = "able of all", cable: bool = True) -> Speed | None:
    """The speed of the link that these writes give."""
    model = LinkModel(partner=PARTNERS[name])
    model.cable(cable)
    for number, value in writes:
        model.write(number, value)
    return model.speed if model.link else None


def test_negotiation_by_hand() -> None:
    """Priorities of annex 28B.3, of full duplex."""
    restart = (0, 0x1340)
    assert after([]) == Speed.GIGABIT
    assert after([(9, 0)]) == Speed.GIGABIT, "what is advertised counts from the next negotiation on"
    assert after([(9, 0), restart]) == Speed.MEGABIT_100
    assert after([(9, 0), (4, 0x0041), restart]) == Speed.MEGABIT_10
    assert after([(9, 0), (4, 0x00A1), restart]) is None, "half duplex only"
    assert after([(9, 0), (0, 0x1940), (0, 0x1140)]) == Speed.MEGABIT_100, "power-up negotiates"
    assert after([(9, 0), (0, 0x9140)]) == Speed.GIGABIT, "a reset forgets"
    assert after([], "without gigabit") == Speed.MEGABIT_100
    assert after([], "10 Mb/s only") == Speed.MEGABIT_10
    assert after([], "gigabit only") == Speed.GIGABIT
    assert after([], "half duplex only") is None
    assert after([], cable=False) is None
    assert after([(0, 0x1940)]) is None


def test_force_and_loopback_by_hand() -> None:
    assert after([(0, 0x2100)]) == Speed.MEGABIT_100
    assert after([(0, 0x0100)]) == Speed.MEGABIT_10
    assert after([(0, 0x0140)]) == Speed.GIGABIT
    assert after([(0, 0x2140)]) is None, "reserved"
    assert after([(0, 0x2000)]) is None, "half duplex"
    assert after([(0, 0x2100)], "10 Mb/s only") is None
    assert after([(0, 0x2100)], cable=False) is None
    assert after([(0, 0x4140)], cable=False) == Speed.GIGABIT
    assert after([(0, 0x6100)], cable=False) == Speed.MEGABIT_100
    assert after([(0, 0x4940)], cable=False) is None, "power-down"


@pytest.mark.parametrize("field", ["base_page", "gigabit_status"])
def test_partner_is_checked(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} takes 16 bits, not 65536"):
        LinkPartner(**{field: 0x1_0000})
