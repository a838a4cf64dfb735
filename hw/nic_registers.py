"""What the registers of the NIC tell its engines, and what these tell in them: one function per group of registers.

``hw.nic`` makes the engines and joins their streams, and has the registers of the NIC as a whole.
"""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import connect

from hw.frame_records import TransmitWatch
from hw.mac.flow_control import FlowControl
from hw.mac.receive import MacReceive
from hw.mac.transmit import MacTransmit
from hw.moderation import InterruptDelayTimers
from hw.receive.path import ReceivePath
from hw.register_file import RegisterFile
from hw.ring import RingPrefetch
from hw.statistics import Statistics
from hw.transmit.path import TransmitPath

__all__ = [
    "connect_diagnostics",
    "connect_flow_control",
    "connect_moderation",
    "connect_receive",
    "connect_ring",
    "connect_statistics",
    "connect_transmit",
]


def connect_moderation(
    m: Module,
    file: RegisterFile,
    transmit: TransmitPath,
    transmit_delay: InterruptDelayTimers,
    receive: ReceivePath,
    receive_delay: InterruptDelayTimers,
) -> dict[str, Value]:
    """Delay timers, write-back thresholds and small packets (3.2.5, 3.2.7.1, 3.2.7.2, 3.4.2, 13.4.43); returns the
    causes.

    When a timer runs out, what waits is written back before the cause is set. A small packet does not wait, and
    sets RXT0 with SRPD.
    """
    small = Signal()
    detected = Signal()
    m.d.sync += small.eq((file.rsrpd.value.size != 0) & (receive.stored_bytes <= file.rsrpd.value.size))
    srpd = receive.flushed & (detected | (receive.stored & small))
    m.d.sync += detected.eq((detected | (receive.stored & small)) & ~receive.flushed)
    for path, delay, control in (
        (transmit, transmit_delay, file.txdctl.value),
        (receive, receive_delay, file.rxdctl.value),
    ):
        m.d.comb += [
            *(path.thresholds[name].eq(control[name]) for name in path.thresholds.shape().members),
            path.timer_running.eq(delay.running),
            path.flush.eq(delay.expired),
        ]
    m.d.comb += [
        transmit.low_threshold.eq(file.txdctl.value.lwthresh),
        transmit_delay.event.eq(transmit.written & transmit.delayed),
        transmit_delay.expire.eq(transmit.written & ~transmit.delayed),
        transmit_delay.packet_delay.eq(file.tidv.value.delay),
        transmit_delay.absolute_delay.eq(file.tadv.value.delay),
        receive_delay.event.eq(receive.stored & ~small),
        receive_delay.expire.eq((receive.stored & small) | file.rdtr.value.fpd),
        receive_delay.packet_delay.eq(file.rdtr.value.delay),
        receive_delay.absolute_delay.eq(file.radv.value.delay),
    ]
    return {"TXDW": transmit.flushed, "RXT0": receive.flushed, "SRPD": srpd}


def connect_ring(
    m: Module, file: RegisterFile, prefix: str, ring: RingPrefetch, path: TransmitPath | ReceivePath
) -> None:
    """A ring's registers (13.4.25 to 13.4.29, 13.4.36 to 13.4.40) to its prefetcher and to its path."""
    low, high, length, head, tail = (getattr(file, prefix + name) for name in ("bal", "bah", "len", "h", "t"))
    for part in (ring, path):
        m.d.comb += [
            part.base[4:32].eq(low.value.base),
            part.base[32:].eq(high.value.base),
            part.length[7:].eq(length.value.len),
            part.tail.eq(tail.value.tail),
            part.head_written.eq(head.written),
        ]
    m.d.comb += [
        ring.head.eq(head.write_data),
        path.head_value.eq(head.write_data),
        head.hardware.head.eq(path.head),
        ring.thresholds.eq(path.thresholds),
    ]


def connect_transmit(
    m: Module,
    file: RegisterFile,
    reset: Signal,
    ring: RingPrefetch,
    path: TransmitPath,
    mac: MacTransmit,
    flow_control: FlowControl,
) -> None:
    connect(m, ring.descriptors, path.descriptors)
    connect(m, path.info, flow_control.info)
    connect(m, path.packets, flow_control.packets)
    connect(m, flow_control.mac_info, mac.info)
    connect(m, flow_control.mac_packets, mac.packets)
    transmits = file.tctl.value.en & file.status.hardware.lu  # without a link frames wait (8.6.5.2)
    m.d.comb += [
        ring.enable.eq(file.tctl.value.en),
        flow_control.enable.eq(transmits),
        mac.reset.eq(reset),
        mac.enable.eq(transmits),
        mac.pad.eq(file.tctl.value.psp),
        mac.gap.eq(file.tipg.value.ipgt),
        mac.vme.eq(file.ctrl.value.vme),
        mac.vet.eq(file.vet.value.value),
    ]


def connect_flow_control(
    m: Module,
    file: RegisterFile,
    unit: FlowControl,
    receive: ReceivePath,
    mac: MacTransmit,
    watch: TransmitWatch,
) -> None:
    """Pause frames both ways (8.7.2 to 8.7.6)."""
    station = Signal(48)
    for port, part in ((receive.ral, station[:32]), (receive.rah, station[32:])):
        with m.If(port.write & (port.address == 0)):
            m.d.sync += part.eq(port.write_data)
    m.d.comb += [
        unit.idle.eq(mac.idle),
        unit.sent.eq(mac.sent),
        unit.destination.eq(Cat(file.fcal.value.value, file.fcah.value.value)),
        unit.source.eq(station),
        unit.fct.eq(file.fct.value.value),
        unit.rfce.eq(file.ctrl.value.rfce),
        unit.pause.eq(receive.pause),
        unit.quanta.eq(receive.quanta),
        unit.control.tfce.eq(file.ctrl.value.tfce),
        unit.control.xone.eq(file.fcrtl.value.xone),
        unit.control.rtl.eq(file.fcrtl.value.rtl),
        unit.control.rth.eq(file.fcrth.value.rth),
        unit.control.ttv.eq(file.fcttv.value.ttv),
        unit.fill.eq(receive.fill),
        unit.overflow.eq(receive.missed),
        unit.software.eq(file.tctl.value.swxoff),
        file.tctl.hardware.swxoff.eq(unit.software_waits),
        file.status.hardware.txoff.eq(unit.paused),
        watch.xon.eq(unit.xon),
        watch.xoff.eq(unit.xoff),
    ]


def connect_receive(m: Module, file: RegisterFile, ring: RingPrefetch, path: ReceivePath, mac: MacReceive) -> None:
    connect(m, ring.descriptors, path.descriptors)
    connect(m, mac.words, path.words)
    connect(m, file.mta, path.mta)
    connect(m, file.vfta, path.vfta)
    m.d.comb += [
        ring.enable.eq(file.rctl.value.en),
        path.link.eq(file.status.hardware.lu),
        path.types.vme.eq(file.ctrl.value.vme),
        path.types.rfce.eq(file.ctrl.value.rfce),
        path.types.vet.eq(file.vet.value.value),
        path.types.fct.eq(file.fct.value.value),
        path.types.fca.eq(Cat(file.fcal.value.value, file.fcah.value.value)),
        *(path.rctl[name].eq(file.rctl.value[name]) for name in path.rctl.shape().members),
        *(path.rxcsum[name].eq(file.rxcsum.value[name]) for name in path.rxcsum.shape().members),
    ]


def connect_statistics(
    m: Module,
    file: RegisterFile,
    statistics: Statistics,
    transmit: TransmitPath,
    watch: TransmitWatch,
    receive: ReceivePath,
) -> None:
    """Statistics counters (13.7)."""
    connect(m, file.statistics, statistics.port)
    connect(m, watch.records, statistics.transmitted)
    connect(m, receive.records, statistics.received)
    m.d.comb += [
        statistics.segmented.eq(transmit.segmented),
        statistics.cut_short.eq(transmit.cut_short),
    ]


def connect_diagnostics(m: Module, file: RegisterFile, transmit: TransmitPath, receive: ReceivePath) -> None:
    """Pointers of the packet buffers (13.8)."""
    for prefix, pointers in (("rdf", receive.pointers), ("tdf", transmit.pointers)):
        for name, value in (
            ("h", pointers.head),
            ("t", pointers.tail),
            ("hs", pointers.head_saved),
            ("ts", pointers.tail_saved),
            ("pc", pointers.packets),
        ):
            m.d.comb += getattr(file, prefix + name).hardware.value.eq(value)
