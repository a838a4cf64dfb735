"""Register accesses on their way to the model's registers."""

from hw.registers import BY_NAME
from sim.model.accesses import Accesses
from sim.model.events import Events
from sim.model.registers import RegisterWindow
from sim.model.timing import Calibration

_TDT, _TIDV, _RDT = (BY_NAME[name].offset for name in ("TDT", "TIDV", "RDT"))


def test_performed_in_the_order_of_arrival_and_said_which_may_be_next() -> None:
    events, window = Events(), RegisterWindow()
    performed: list[tuple[str, int]] = []
    for name in ("TDT", "TIDV", "RDT"):
        window.on_write[name] = lambda number, value, name=name: performed.append((name, value))
    accesses = Accesses(events, Calibration.load().timing, window)
    assert accesses.write(100, _TDT, 1)
    assert not accesses.write(200, _TDT, 2)
    assert accesses.write(150, _TIDV, 3)
    assert not accesses.write(170, _RDT, 4)
    assert (accesses.awaited, accesses.doorbells) == (1, 2)
    # From another flow of control, ahead of them all.
    assert accesses.write(50, _TIDV, 5)
    events.advance(1000)
    assert performed == [("TIDV", 5), ("TDT", 1), ("TIDV", 3), ("RDT", 4), ("TDT", 2)]
    assert not accesses.awaited
    assert not accesses.doorbells


def test_the_first_one_to_be_awaited_may_be_next_behind_others_too() -> None:
    accesses = Accesses(Events(), Calibration.load().timing, RegisterWindow())
    assert accesses.write(100, _RDT, 1)
    assert accesses.write(200, _TDT, 2)
    assert not accesses.write(300, _TDT, 3)
    assert accesses.write(400, _TIDV, 4)
    assert not accesses.write(500, _TDT, 5)
    assert not accesses.write(600, _TIDV, 6)
