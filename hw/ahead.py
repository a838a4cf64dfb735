"""A stream taken one item ahead of its use, so that its ``ready`` comes straight from a register."""

from amaranth import Module, Mux, Signal, Value

__all__ = ["take_ahead"]


def take_ahead(m: Module, offered: object, *, item: Signal, present: Signal, taken: Value) -> None:
    """Keep ``item`` filled from the stream ``offered``, at one item per cycle.

    Parameters
    ----------
    offered : ``In`` stream
    item : Signal
        The item at hand, of the shape of the stream's payload. It may be changed while it is there.
    present : Signal
        There is one.
    taken : Value
        It is not needed any more; only while it is there.
    """
    spare = Signal(item.shape(), name="spare")  # the one behind
    spare_waiting = Signal(name="spare_waiting")
    m.d.comb += offered.ready.eq(~spare_waiting)
    with m.If(~present | taken):
        m.d.sync += [
            present.eq(spare_waiting | offered.valid),
            item.eq(Mux(spare_waiting, spare, offered.payload)),
            spare_waiting.eq(0),
        ]
    with m.Elif(offered.ready):
        m.d.sync += [spare_waiting.eq(offered.valid), spare.eq(offered.payload)]
