"""Flow control, both ways (manual 8.7.2 to 8.7.6; IEEE 802.3 annex 31B): the pause asked of this station, and the one
that it asks for, between the transmit path and ``MacTransmit``.
"""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.interfaces import PacketWord, TransmitInfo
from hw.mac.pause import PauseInserter, PauseTimer
from hw.mac.pause_request import PauseRequestControl, PauseRequester

__all__ = ["FlowControl"]


class FlowControl(wiring.Component):
    """``PauseTimer``, ``PauseRequester`` and ``PauseInserter``, joined.

    Members
    -------
    info, packets, mac_info, mac_packets, idle, sent, enable, destination, source, fct, xon, xoff
        As in ``PauseInserter``.
    rfce : ``In(1)``, pause, quanta : ``In``
        CTRL.RFCE; pause frames received, as in ``PauseTimer``.
    paused : ``Out(1)``
        STATUS.TXOFF.
    control, fill, overflow, software, software_waits
        As in ``PauseRequester``.
    tick : ``In(1)``
        High for one cycle per byte time.
    """

    info: In(stream.Signature(TransmitInfo))
    packets: In(stream.Signature(PacketWord))
    mac_info: Out(stream.Signature(TransmitInfo))
    mac_packets: Out(stream.Signature(PacketWord))
    idle: In(1)
    sent: In(1)
    enable: In(1)
    destination: In(48)
    source: In(48)
    fct: In(16)
    xon: Out(1)
    xoff: Out(1)
    rfce: In(1)
    pause: In(1)
    quanta: In(16)
    paused: Out(1)
    control: In(PauseRequestControl)
    fill: In(13)
    overflow: In(1)
    software: In(1)
    software_waits: Out(1)
    tick: In(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.timer = timer = PauseTimer()
        m.submodules.requester = requester = PauseRequester()
        m.submodules.inserter = inserter = PauseInserter()
        for name in ("info", "packets", "mac_info", "mac_packets"):
            connect(m, flipped(getattr(self, name)), getattr(inserter, name))
        for part, names in (
            (inserter, ("idle", "sent", "enable", "destination", "source", "fct")),
            (timer, ("pause", "quanta", "tick")),
            (requester, ("control", "fill", "overflow", "software", "tick")),
        ):
            m.d.comb += [getattr(part, name).eq(getattr(self, name)) for name in names]
        m.d.comb += [
            timer.enable.eq(self.rfce),
            timer.busy.eq(inserter.busy),
            self.paused.eq(timer.paused),
            inserter.paused.eq(timer.paused),
            inserter.wanted.eq(requester.wanted),
            inserter.quanta.eq(requester.quanta),
            requester.taken.eq(inserter.taken),
            requester.sent.eq(self.sent & (inserter.xon | inserter.xoff)),
            self.software_waits.eq(requester.software_waits),
            self.xon.eq(inserter.xon),
            self.xoff.eq(inserter.xoff),
        ]
        return m
