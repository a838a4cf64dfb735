"""Flow control (``hw.mac.pause``, ``hw.mac.pause_request``): the pause asked of this station, and that it asks for."""

from collections.abc import Callable
from dataclasses import dataclass

from hw.mac.pause import QUANTUM_BYTES, pause_frame
from sim.model.events import Events
from sim.model.mac_transmit import MacTransmit, Outgoing

__all__ = ["FlowControl", "FlowControlSettings"]


@dataclass
class FlowControlSettings:
    """CTRL.RFCE and TFCE, FCRTL.XONE and RTL, FCRTH.RTH (words of 8 bytes), FCTTV, FCT; addresses of 6 bytes."""

    rfce: bool = False
    tfce: bool = False
    xone: bool = False
    rtl: int = 0
    rth: int = 0
    ttv: int = 0
    fct: int = 0
    destination: bytes = bytes(6)
    source: bytes = bytes(6)


class FlowControl:
    """Between the receive buffer's ``fill`` (words) and the MAC."""

    def __init__(self, events: Events, mac: MacTransmit, fill: Callable[[], int]) -> None:
        self._events = events
        self._mac = mac
        self._fill = fill
        self._epoch = 0
        self.reset()

    def reset(self) -> None:
        self._epoch += 1
        self.settings = FlowControlSettings()
        self.paused = False
        self._asked: int | None = None
        self._pause_epoch = 0
        self._wanted = False
        self._xon = False
        self._taken: Outgoing | None = None
        """A pause frame that the MAC has, and has not begun."""
        self.software_waits = False
        self._stopped = False
        self._above = False
        self._again_epoch = 0
        self._mac.control = self._take
        self._mac.on_control_sent = self.sent

    # The pause asked of this station

    def control_frame(self, quanta: int) -> None:
        """A pause frame has come."""
        if not self.settings.rfce:
            return
        self._pause_epoch += 1
        if quanta == 0:
            self._asked = None
            self._pause(False)
            return
        self._asked = quanta
        self._pause(True)
        if not self._mac.busy:
            self.frame_ended()

    def frame_ended(self) -> None:
        """Nothing is being sent: a pause begins to run."""
        if self._asked is not None:
            length, self._asked = QUANTUM_BYTES * self._asked, None
            self._events.at(self._events.now + length, self._over, self._epoch, self._pause_epoch)

    def _over(self, epoch: int, pause: int) -> None:
        if epoch == self._epoch and pause == self._pause_epoch and self._asked is None:
            self._pause(False)

    def _pause(self, on: bool) -> None:
        self.paused = on
        self._mac.pause(on)

    # The pause that this station asks for

    def look(self) -> None:
        """The fill, or a register, may have changed."""
        settings = self.settings
        if not settings.rfce and self.paused:
            self._asked = None
            self._pause_epoch += 1
            self._pause(False)
        fill = self._fill()
        above = settings.tfce and settings.rth != 0 and fill >= settings.rth
        reached, self._above = above and not self._above, above
        if reached:
            self._stopped = True
            self._want(xon=False)
        elif not above and (fill <= settings.rtl or not settings.tfce):
            if self._stopped and settings.tfce and settings.xone:
                self._want(xon=True)
            self._stopped = False

    def overflow(self) -> None:
        """The receive buffer has lost a frame."""
        if self._stopped:
            self._want(xon=False)

    def software(self) -> None:
        """TCTL.SWXOFF."""
        if self._wanted and self._mac.begins:
            # The same write has enabled the MAC, and it has taken the frame that waited for that.
            self._taken = self._take()
        self.software_waits = True
        self._want(xon=False)

    def _want(self, *, xon: bool) -> None:
        self._wanted = True
        self._xon = xon
        self._mac.control_waits()

    def _take(self) -> Outgoing | None:
        if self._taken is not None:
            taken, self._taken = self._taken, None
            return taken
        if not self._wanted:
            return None
        settings = self.settings
        quanta = 0 if self._xon else settings.ttv
        self._wanted = False
        self.software_waits = False
        frame = pause_frame(destination=settings.destination, source=settings.source, fct=settings.fct, quanta=quanta)
        return Outgoing(frame, True, False, 0, quanta)

    def sent(self) -> None:
        """The end of a pause frame: one that is not XON is sent again when half of its time is over."""
        self._again_epoch += 1
        if not self._xon and self.settings.ttv:
            half = QUANTUM_BYTES * self.settings.ttv // 2
            self._events.at(self._events.now + half, self._again, self._epoch, self._again_epoch)

    def _again(self, epoch: int, again: int) -> None:
        if epoch == self._epoch and again == self._again_epoch and self._stopped and self._above:
            self._want(xon=False)
