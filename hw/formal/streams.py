"""The rule of streams, for every component that has one of its own: an offer stands until it is taken.

That is ``valid`` stays high and ``payload`` what it is until the cycle of ``ready`` (``amaranth.lib.stream``). Inputs
are assumed to keep to the rule, and are else as wild as they can be: packets that make no sense, registers that change
in any cycle, memory that answers what was not asked.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType

from amaranth.lib.wiring import Component, In, Out

from hw.formal.bench import Bench, streams
from hw.formal.particulars import (
    Particulars,
    axi_lite,
    axi_manager,
    gather,
    host_memory,
    io_window,
    link_receiver,
    link_transmitter,
    pause_inserter,
    receive_dma,
    requester,
    ring,
    segmenter,
    transmit_buffer,
)
from hw.formal.proof import Mutant, Proof

__all__ = ["COMPOSED", "PROOFS"]

COMPOSED = {
    "hw.axi_nic.AxiNic": "AxiManager's, AxiLiteSubordinate's",
    "hw.bridge.bridge.SerialBridge": "RequestExecutor's",
    "hw.mac.flow_control.FlowControl": "PauseInserter's",
    "hw.nic.Nic": "DmaArbiter's, IoWindow's",
    "hw.receive.path.ReceivePath": "ReceiveDma's",
    "hw.transmit.path.TransmitPath": "those of its parts",
    "hw.transmit.writeback.TransmitWriteBack": "DescriptorWriteBack's",
}
"""Components whose streams all come from parts of theirs, and which."""


def _stands(
    module: ModuleType,
    *,
    component: str,
    arguments: Mapping[str, object],
    particulars: Callable[[Bench, Component], Particulars],
) -> Bench:
    device = getattr(module, component)(**arguments)
    bench = Bench(device)
    for stream in streams(device, flow=In):
        bench.assume(bench.stands(stream), "inputs keep to the rule of streams")
    special = particulars(bench, device)
    for stream in streams(device, flow=Out):
        stands = bench.stands(stream, payload=special.payloads.get(stream.name))
        text = f"{stream.name} stands until taken"
        if stream.name in special.withdrawn:
            condition, when = special.withdrawn[stream.name]
            stands |= condition
            text += f", or {when}"
        bench.promise(stands, text)
    return bench


def _proof(
    module: str,
    component: str,
    *,
    depth: int,
    mutant: Mutant,
    induction: bool = True,
    arguments: Mapping[str, object] | None = None,
    particulars: Callable[[Bench, Component], Particulars] = lambda bench, device: Particulars(),
) -> Proof:
    arguments = arguments or {}
    return Proof(
        name=f"streams.{component}",
        module=module,
        build=partial(_stands, component=component, arguments=arguments, particulars=particulars),
        parameters=", ".join(f"{name}={value}" for name, value in arguments.items()) or "none",
        depth=depth,
        induction=induction,
        mutant=mutant,
    )


PROOFS = (
    _proof(
        "hw.ring",
        "RingPrefetch",
        arguments={"depth": 4},
        particulars=ring,
        depth=2,
        mutant=Mutant(
            old="m.d.comb += offered.valid.eq(1)",
            new="m.d.comb += offered.valid.eq(self.enable)",
            meaning="an offer falls with the ring's enable",
            depth=16,
        ),
    ),
    _proof(
        "hw.dma",
        "DmaArbiter",
        arguments={"clients": 4},
        depth=2,
        mutant=Mutant(
            old="with m.If(words.ready):",
            new="with m.If(offer.ready):",
            meaning="a written word falls when its request is taken",
            depth=8,
        ),
    ),
    _proof(
        "hw.register_file",
        "RegisterFile",
        depth=2,
        mutant=Mutant(
            old="m.d.comb += port.response.valid.eq(1)",
            new="m.d.comb += port.response.valid.eq(~self.reset)",
            meaning="a response falls with the NIC's reset",
            depth=10,
        ),
    ),
    _proof(
        "hw.mac.receive",
        "MacReceive",
        depth=2,
        mutant=Mutant(
            old="fifo.r_en.eq(self.words.ready | ~wanted)",
            new="fifo.r_en.eq(self.words.ready | ~in_frame)",
            meaning="a frame's first word does not wait",
            depth=16,
        ),
    ),
    _proof(
        "hw.receive.buffer",
        "ReceiveBuffer",
        arguments={"words": 16, "bank_words": 8},
        depth=2,
        mutant=Mutant(
            old="Mux(offered.is_info, self.frames.ready, self.packets.ready)",
            new="self.frames.ready | self.packets.ready",
            meaning="an offer falls when the other stream's is taken",
            depth=12,
        ),
    ),
    _proof(
        "hw.receive.dma",
        "ReceiveDma",
        particulars=receive_dma,
        depth=2,
        mutant=Mutant(
            old="m.d.comb += self.write_request.valid.eq(1)",
            new="m.d.comb += self.write_request.valid.eq(~self.used.ready)",
            meaning="a request falls while a used descriptor could be taken",
            depth=10,
        ),
    ),
    _proof(
        "hw.receive.align",
        "WriteAligner",
        depth=2,
        mutant=Mutant(
            old="free.eq(~self.output.valid | self.output.ready)",
            new="free.eq(~self.output.valid | self.output.ready | final)",
            meaning="the last word overwrites the one before",
            depth=8,
        ),
    ),
    _proof(
        "hw.transmit.request",
        "TransmitRequester",
        arguments={"data_words": 128, "items": 2},
        particulars=requester,
        depth=2,
        mutant=Mutant(
            old="m.d.comb += self.read_request.valid.eq(1)",
            new="m.d.comb += self.read_request.valid.eq(~self.words.valid)",
            meaning="a request falls when data has come",
            depth=12,
        ),
    ),
    _proof(
        "hw.transmit.gather",
        "TransmitGather",
        particulars=gather,
        depth=2,
        mutant=Mutant(
            old="with m.Elif(~self.plans.valid):",
            new="with m.Else():",
            meaning="a packet's plan overwrites the one before",
            depth=10,
        ),
    ),
    _proof(
        "hw.transmit.segment",
        "TransmitSegmenter",
        particulars=segmenter,
        depth=2,
        mutant=Mutant(
            old='with m.State("DRAIN"), m.If(packer.idle):',
            new='with m.State("DRAIN"):',
            meaning="a frame's control changes before its last word is taken",
            depth=12,
        ),
    ),
    _proof(
        "hw.transmit.pack",
        "TransmitPacker",
        depth=2,
        mutant=Mutant(
            old="advance.eq(~self.words.valid | self.words.ready)",
            new="advance.eq(~self.words.valid | self.words.ready | ending)",
            meaning="a frame's last word overwrites the one before",
            depth=8,
        ),
    ),
    _proof(
        "hw.transmit.checksum",
        "TransmitChecksum",
        depth=2,
        mutant=Mutant(
            old="with m.If(self.info.ready):",
            new="with m.If(self.info.ready | self.segments.valid):",
            meaning="a frame's information falls when the next frame comes",
            depth=12,
        ),
    ),
    _proof(
        "hw.transmit.buffer",
        "TransmitBuffer",
        arguments={"words": 8, "packets": 2},
        particulars=transmit_buffer,
        depth=2,
        mutant=Mutant(
            old="with m.If(committed.r_rdy & ~self.info.valid):",
            new="with m.If(committed.r_rdy):",
            meaning="a packet's information overwrites the one before",
            depth=16,
        ),
    ),
    _proof(
        "hw.write_back",
        "DescriptorWriteBack",
        arguments={"status_byte": 12, "status_bytes": 1},
        depth=2,
        mutant=Mutant(
            old="m.d.comb += self.write_request.valid.eq(1)",
            new="m.d.comb += self.write_request.valid.eq(~self.head_written)",
            meaning="a request falls when software writes the head",
            depth=10,
        ),
    ),
    _proof(
        "hw.mac.pause",
        "PauseInserter",
        particulars=pause_inserter,
        depth=2,
        mutant=Mutant(
            old="with m.If(self.mac_packets.ready):",
            new="with m.If(self.mac_packets.valid):",
            meaning="a pause frame's words do not wait",
            depth=8,
        ),
    ),
    _proof(
        "hw.io_window",
        "IoWindow",
        particulars=io_window,
        depth=2,
        mutant=Mutant(
            old="io_turn.eq(waiting & ~locked)",
            new="io_turn.eq(waiting)",
            meaning="an access of the I/O window takes the place of one that is on offer",
            depth=10,
        ),
    ),
    _proof(
        "hw.axi",
        "AxiManager",
        particulars=axi_manager,
        depth=2,
        mutant=Mutant(
            old="with m.If(axi.awvalid & axi.awready):",
            new="with m.If(axi.awvalid & axi.wready):",
            meaning="a write's address falls when its data is taken",
            depth=8,
        ),
    ),
    _proof(
        "hw.axi_lite",
        "AxiLiteSubordinate",
        particulars=axi_lite,
        depth=2,
        mutant=Mutant(
            old="can_read.eq(~axi.arready & ~axi.rvalid)",
            new="can_read.eq(~axi.arready)",
            meaning="a read's answer overwrites the one before",
            depth=16,
        ),
    ),
    _proof(
        "hw.bridge.framing",
        "Enframer",
        depth=2,
        mutant=Mutant(
            old="Mux(special, ESCAPE, octet ^",
            new="Mux(special & ~self.i.valid, ESCAPE, octet ^",
            meaning="an escape becomes the octet itself when the next octet comes",
            depth=10,
        ),
    ),
    _proof(
        "hw.bridge.host_memory",
        "HostMemory",
        arguments={"size": 64},
        particulars=host_memory,
        depth=2,
        mutant=Mutant(
            old="(~written | ~inside | self.messages.ready)",
            new="(~written | ~inside | self.messages.ready | self.write)",
            meaning="an octet that the NIC wrote is passed over when the host writes",
            depth=24,
        ),
    ),
    _proof(
        "hw.bridge.journal",
        "Journal",
        depth=2,
        mutant=Mutant(
            old="[self.o.valid.eq(1), self.o.payload.last.eq(left == 1)]",
            new="[self.o.valid.eq(~self.writes.valid), self.o.payload.last.eq(left == 1)]",
            meaning="a message falls when a write comes",
            depth=8,
        ),
    ),
    _proof(
        "hw.bridge.link_receive",
        "LinkReceiver",
        arguments={"depth": 8},
        particulars=link_receiver,
        depth=2,
        mutant=Mutant(
            old="m.d.sync += self.o.valid.eq(~self.o.ready)",
            new="m.d.sync += self.o.valid.eq(~self.o.ready & ~self.end)",
            meaning="an octet falls at the end of another frame",
            depth=18,
        ),
    ),
    _proof(
        "hw.bridge.link_transmit",
        "LinkTransmitter",
        arguments={"build_id": bytes(8), "memory_kib": 64, "t1_cycles": 8, "depth": 16},
        particulars=link_transmitter,
        depth=2,
        mutant=Mutant(
            old="self.o.payload.last.eq(~information)",
            new="self.o.payload.last.eq(~information & ~self.owe_rr)",
            meaning="a frame's end moves when an acknowledgment is owed",
            depth=10,
        ),
    ),
    _proof(
        "hw.bridge.records",
        "RecordBuffer",
        arguments={"depth": 16},
        depth=2,
        mutant=Mutant(
            old="self.o.payload.data.eq(octet)",
            new="self.o.payload.data.eq(octet_read.data)",
            meaning="an octet that is offered is that of a record which has taken its place",
            depth=12,
        ),
    ),
    _proof(
        "hw.bridge.requests",
        "RequestExecutor",
        depth=2,
        mutant=Mutant(
            old="m.d.comb += request.valid.eq(1)",
            new="m.d.comb += request.valid.eq(~self.i.valid)",
            meaning="a register access falls when the next request comes",
            depth=10,
        ),
    ),
)
