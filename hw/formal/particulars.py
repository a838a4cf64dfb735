"""What the proofs of ``hw.formal.streams`` need to know of single components.

Exceptions to the rule that a component documents; what its environment must keep to; and how its registers hang
together, which induction cannot see for itself and is proven with the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib.wiring import Component

from hw.formal.bench import Bench
from hw.transmit.layouts import Piece

__all__ = [
    "Particulars",
    "axi_lite",
    "axi_manager",
    "gather",
    "host_memory",
    "io_window",
    "link_receiver",
    "link_transmitter",
    "pause_inserter",
    "receive_dma",
    "requester",
    "ring",
    "segmenter",
    "transmit_buffer",
]


@dataclass(frozen=True, kw_only=True)
class Particulars:
    """Exceptions, by the name of the stream.

    ``payloads``: what must stand of the payload, if not all. ``withdrawn``: when an offer may fall, and that in words.
    """

    payloads: Mapping[str, Value] = field(default_factory=dict)
    withdrawn: Mapping[str, tuple[Value, str]] = field(default_factory=dict)


def host_memory(bench: Bench, device: Component) -> Particulars:
    """A word is wanted when nothing is left of the one before."""
    lanes_left, wanted = bench.inside("lanes_left"), bench.inside("wanted")
    bench.invariant((lanes_left == 0) | (~wanted & bench.ongoing("DATA")))
    bench.invariant(~wanted | bench.ongoing("DATA"))
    return Particulars()


def link_receiver(bench: Bench, device: Component) -> Particulars:
    return Particulars(withdrawn={"o": (device.set_mode, "a link is set up")})


def link_transmitter(bench: Bench, device: Component) -> Particulars:
    return Particulars(withdrawn={"o": (bench.past(device.token) != device.token, "another link is set up")})


def ring(bench: Bench, device: Component) -> Particulars:
    return Particulars(withdrawn={"descriptors": (bench.past(device.head_written), "software writes the head")})


def receive_dma(bench: Bench, device: Component) -> Particulars:
    waiting = bench.inside("output__valid", of="aligner")
    bench.invariant(~waiting | bench.ongoing("BURST", "REQUEST", "DATA", "STATUS"))
    return Particulars()


def requester(bench: Bench, device: Component) -> Particulars:
    request = device.read_request
    words, room = bench.inside("burst_words"), bench.inside("room")
    awaited = Signal(len(room))
    answer = device.read_data.valid
    bench.m.d.sync += awaited.eq(awaited + Mux(request.valid & request.ready, words, 0) - answer)
    bench.assume(~answer | (awaited != 0), "memory answers no more words than it was asked for")
    stored = bench.inside("level", of="word_fifo")
    capacity = room.init
    bench.promise(~answer | bench.inside("w_rdy", of="word_fifo"), "there is room for every word that was asked for")
    counted = bench.inside("counted")  # a burst asked for, not yet taken from the room
    bench.invariant(~counted | (bench.ongoing("DESCRIPTOR", "BURST") & (room >= words)))
    bench.invariant(
        (room <= capacity) & (awaited <= capacity) & (room - Mux(counted, words, 0) + awaited + stored == capacity)
    )
    bench.invariant(~request.valid | (room >= words))
    return Particulars()


def axi_manager(bench: Bench, device: Component) -> Particulars:
    bench.assume(
        ~(device.axi.bvalid & device.axi.awvalid), "a write is answered after its address has been taken (A3.3.1)"
    )
    bench.invariant(~device.axi.awvalid | bench.ongoing("DATA", "RESPONSE"))
    return Particulars()


def axi_lite(bench: Bench, device: Component) -> Particulars:
    axi = device.axi
    bench.invariant(~bench.ongoing("WRITE") | ~(axi.bvalid | axi.awready | axi.wready))
    bench.invariant(~bench.ongoing("READ", "RESULT", "ORDER") | ~axi.rvalid)
    bench.invariant(~bench.ongoing("READ") | ~axi.arready)
    return Particulars()


def gather(bench: Bench, device: Component) -> Particulars:
    """``Chunk``: without bytes there is no data."""
    bench.invariant(bench.ongoing("DESCRIPTOR") | device.items.valid)
    chunk = device.chunks.payload
    others = Cat(chunk[name] for name in chunk.shape().members if name != "data")
    return Particulars(payloads={"chunks": Cat(others, Mux(chunk.count != 0, chunk.data, 0))})


def pause_inserter(bench: Bench, device: Component) -> Particulars:
    """What ``mac_info`` offers is decided anew in every cycle, and the MAC takes it whenever it is idle."""
    taken = device.mac_info.valid & device.mac_info.ready
    rules = Cat(device.idle, device.enable, device.paused, device.wanted)
    header = Cat(device.destination, device.source, device.fct)
    return Particulars(
        withdrawn={
            "mac_info": (bench.past(rules) != rules, "another frame's turn comes, or none's"),
            "mac_packets": (
                bench.past(taken) | (bench.past(header) != header),
                "the MAC takes a frame's information, or software changes the addresses",
            ),
        }
    )


def io_window(bench: Bench, device: Component) -> Particulars:
    request, response = device.registers.request, device.registers.response
    asked = Signal()
    with bench.m.If(request.valid & request.ready):
        bench.m.d.sync += asked.eq(~request.payload.write)
    with bench.m.Elif(response.valid & response.ready):
        bench.m.d.sync += asked.eq(0)
    bench.assume(~response.valid | asked, "registers respond to reads only")
    bench.assume(~(request.ready & asked), "registers take the next request after the response to the last")
    bench.invariant(~bench.inside("answered") | (asked & bench.ongoing("ANSWER")))
    bench.invariant(~bench.ongoing("ANSWER") | bench.inside("answered"))
    bench.invariant(bench.inside("waiting") == bench.ongoing("REGISTER"))
    waited = bench.past(device.memory.request.valid & ~device.memory.request.ready)
    bench.invariant(~bench.inside("locked") | waited)
    return Particulars()


def segmenter(bench: Bench, device: Component) -> Particulars:
    """``SegmentWord``: all of ``control`` holds with the last word only."""
    word = device.words.payload
    control = word.control
    always = Cat(*(part[name] for part in (control.ip, control.transport) for name in ("start", "end")), control.addend)
    whole = Mux(word.packet.last, control.as_value(), 0)

    bench.invariant(bench.ongoing("PACKET") | device.plans.valid)
    waiting, piece, spare_waiting, spare, ending, idle = (
        bench.inside(name, of="packer") for name in ("waiting", "piece", "spare_waiting", "spare", "ending", "idle")
    )
    piece, spare = Piece(piece), Piece(spare)
    bench.invariant(idle | bench.ongoing("PLAIN", "HEADER", "PAYLOAD", "DRAIN"))
    bench.invariant(~spare_waiting | waiting)
    last_inside = (
        (device.words.valid & word.packet.last) | ending | (waiting & piece.last) | (spare_waiting & spare.last)
    )
    bench.invariant(~last_inside | bench.ongoing("DRAIN"))
    return Particulars(payloads={"words": Cat(word.packet.as_value(), word.abort, always, whole)})


def transmit_buffer(bench: Bench, device: Component) -> Particulars:
    bench.invariant(device.packets.valid == bench.ongoing("SEND", fsm="read_state"))
    return Particulars()
