"""The model's heap of events."""

from sim.model.events import Events


def test_order() -> None:
    events, made = Events(), []
    events.at_end(5, made.append, "read")
    events.at(5, made.append, "a")
    events.at(3, made.append, "first")
    events.at(5, made.append, "b")
    events.advance(4)
    assert made == ["first"]
    assert events.now == 4
    events.advance(5)
    assert made == ["first", "a", "b", "read"]


def test_never_in_the_past() -> None:
    events, made = Events(), []
    events.advance(10)
    events.at(2, lambda: made.append(events.now))
    assert events.due() == 10
    events.advance(10)
    assert made == [10]


def test_no_advance_from_within() -> None:
    events, made = Events(), []
    events.at(1, lambda: events.advance(9))
    events.at(2, made.append, "later")
    events.advance(1)
    assert made == []
    assert not events.nothing_until(2)
    assert events.nothing_until(1)
