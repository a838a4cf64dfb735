"""The NIC: all engines, and the registers that they obey (``hw.nic``, ``hw.nic_registers``)."""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from hw.descriptors import DESCRIPTOR_BYTES, TRANSMIT_LEGACY
from hw.eeprom import CONTROL_1, SIGNATURE
from hw.eeprom_read import defaults
from hw.interrupt import InterruptThrottle, Semantics
from hw.mac.speed import Speed
from hw.receive.dma import WRITTEN_BACK
from hw.registers import BY_NAME
from hw.statistics import Counters
from sim.model.accesses import Accesses
from sim.model.events import Events
from sim.model.interrupts import CAUSE, DelayTimers, Interrupts
from sim.model.mac_transmit import MacTransmit
from sim.model.management import Management
from sim.model.memory_port import Memory, MemoryPort
from sim.model.nic_registers import NicRegisters
from sim.model.pause import FlowControl
from sim.model.receive import Receive
from sim.model.receive_batch import Batch
from sim.model.registers import RegisterWindow
from sim.model.ring import Prefetch, Ring
from sim.model.timing import Timing
from sim.model.transmit import Transmit
from sim.model.transmit_batch import TransmitBatch
from sim.model.wake import WakeUp
from sim.model.write_back import WriteBack

__all__ = ["MAC_ADDRESS", "Nic"]

MAC_ADDRESS: Final = bytes.fromhex("020000000001")

_MAC_LOOPBACK: Final = 0b01
_REMEMBERED: Final = 16
"""Changes of the way out that may come while a frame is sent: more than software gets through with."""
_DESCRIPTOR_SHIFT: Final = DESCRIPTOR_BYTES.bit_length() - 1
_DD_BYTE: Final = TRANSMIT_LEGACY.fields["dd"][0] // 8
_RECEIVE_MINIMUM: Final = "RXDMT0"
_CTRL, _RCTL, _TCTL = (BY_NAME[name] for name in ("CTRL", "RCTL", "TCTL"))


class _Outlet(Enum):
    """Where a frame goes: to the wire, back to the receiver, or, at a speed that the wire does not have, nowhere."""

    WIRE = auto()
    LOOP = auto()
    NONE = auto()


class Nic:
    """An 82540EM with its built-in PHY and a link.

    Time is in cycles of ``events``. ``view`` is host memory, ``read_latency`` and ``write_latency`` of DMA are in
    cycles, ``width`` in bytes per cycle. ``on_interrupt`` is called when the pin rises, ``on_frame`` with the begin
    and the bytes of each frame that was sent. ``notice`` is how many cycles pass at least before what the host does
    reaches the NIC's registers.
    """

    def __init__(
        self,
        events: Events,
        view: Memory,
        timing: Timing,
        *,
        read_latency: int,
        write_latency: int,
        width: int,
        on_interrupt: Callable[[], None],
        on_frame: Callable[[int, bytes], None],
        mac_address: bytes = MAC_ADDRESS,
        semantics: Semantics = Semantics.SINCE_LAST_INTERRUPT,
        notice: int = 0,
    ) -> None:
        self.events = events
        self.timing = timing
        self._on_frame = on_frame
        self.window = RegisterWindow()
        self.counters = Counters()
        self.port = MemoryPort(view, timing, read_latency=read_latency, write_latency=write_latency, width=width)
        self.interrupts = Interrupts(events, InterruptThrottle(semantics=semantics), on_interrupt)
        self.accesses = Accesses(events, timing, self.window)
        self.registers = NicRegisters(self)
        self._resets = 0
        """How many there were: a cause of before one is void."""
        self.link = False
        """STATUS.LU."""
        self._phy_link = False
        self._outlets: deque[tuple[int, _Outlet]] = deque([(0, _Outlet.WIRE)], maxlen=_REMEMBERED)
        """Where frames have gone to that began from a cycle on; frames of the wire reach the receiver from there alone.
        """
        self._build()
        batch = Batch(self)
        self.receive.batch = batch
        self.receive_lag = batch.lag
        self.mac.batch = TransmitBatch(self, notice)
        self.registers.connect()
        self.load_eeprom()
        self.accesses.held_until = 0

    def _build(self) -> None:
        events, timing, port = self.events, self.timing, self.port
        self.receive_ring, self.transmit_ring = Ring(), Ring()
        self.receive_delay = DelayTimers(events, lambda: self.receive_write_back.flush())
        self.transmit_delay = DelayTimers(events, lambda: self.transmit_write_back.flush())
        self._small_detected = False
        self.receive_prefetch = Prefetch(events, timing, port, self.receive_ring, lambda: self.receive.offered())
        self.transmit_prefetch = Prefetch(events, timing, port, self.transmit_ring, lambda: self.transmit.offered())
        self.receive_write_back = WriteBack(
            events,
            timing,
            port,
            self.receive_ring,
            status=range(WRITTEN_BACK, DESCRIPTOR_BYTES),
            timer_running=lambda: self.receive_delay.running,
            on_event=self._stored,
            on_prompt=lambda: None,
            on_flushed=self._receive_flushed,
            on_head=lambda: None,
            on_left=self._receive_left,
            on_ready=lambda: self.receive.write_back_ready(),
        )
        self.transmit_write_back = WriteBack(
            events,
            timing,
            port,
            self.transmit_ring,
            status=range(_DD_BYTE, _DD_BYTE + 1),
            timer_running=lambda: self.transmit_delay.running,
            on_event=self.transmit_delay.event,
            on_prompt=self.transmit_delay.expire,
            on_flushed=lambda: self.cause("TXDW"),
            on_head=self._transmit_head,
            on_left=self._transmit_left,
            on_ready=lambda: self.transmit.write_back_ready(),
        )
        self.mac = MacTransmit(events, timing, self._frame_sent, lambda: self.transmit.room())
        self.flow_control = FlowControl(events, self.mac, lambda: self.receive.fill)
        self.transmit = Transmit(
            events,
            timing,
            port,
            self.transmit_prefetch,
            self.transmit_write_back,
            self.mac,
            on_segmented=lambda: self.counters.add({"TSCTC": 1}),
            on_cut_short=lambda: self.counters.add({"TSCTFC": 1}),
        )
        self.receive = Receive(
            events,
            timing,
            port,
            self.receive_prefetch,
            self.receive_write_back,
            self.registers.filter_settings(),
            on_control=self.flow_control.control_frame,
            on_lost=self._lost,
            on_fill=self.flow_control.look,
            on_decided=lambda frame, crc_error, enabled: self.wake.frame(frame, crc_error=crc_error),
        )
        self.wake = WakeUp(
            self.window,
            settings=lambda: self.receive.filter.settings,
            station=self.registers.station,
            vet=lambda: self.window["VET"],
        )
        self.management = Management(
            events,
            timing,
            self.window,
            mac_address=self._mac_address,
            on_link=lambda: self.follow_link(),
            on_done=lambda: self.cause("MDAC"),
            on_pins=lambda rises: self.interrupts.set(rises * CAUSE["GPI0"]),
        )

    _mac_address = MAC_ADDRESS

    def visible(self) -> int | None:
        """The cycle before which nothing happens by itself that can be seen from outside but in memory."""
        due = self.events.due()
        if due is None or self.accesses.awaited or self.flow_control.settings.tfce:
            return due
        seen = self.interrupts.opens()
        if self.transmit_prefetch.active or self.transmit.active or self.mac.active or self.accesses.doorbells:
            ends = self.mac.ends
            if ends is None:
                return due
            if seen is None or ends < seen:
                seen = ends
        return None if seen is None else max(due, seen)

    def shows(self, address: int, cycle: int) -> bool:
        """Whether memory shows at an address, where 8 bytes are, what it does in a cycle to which events have not come:
        that of a transmit descriptor whose turn to be written back is not near, while nothing is received."""
        ring, receive = self.transmit_ring, self.receive
        index = address - ring.base >> _DESCRIPTOR_SHIFT
        if not 0 <= index < ring.size or self.accesses.awaited:
            return False
        turn = index - self.transmit_write_back.head
        if turn < 0:
            turn += ring.size
        return (
            turn > cycle - self.events.now
            and not receive.arrivals
            and receive.idle()
            and self.receive_write_back.idle()
            and not self.port.lands(address, 8)
        )

    # Link

    @property
    def speed(self) -> Speed:
        ctrl = self.window["CTRL"]
        if ctrl & _CTRL.mask("FRCSPD"):
            code = _CTRL["SPEED"].get(ctrl)
            return Speed.GIGABIT if code & Speed.GIGABIT else Speed(code)
        return Speed.GIGABIT if ctrl & _CTRL.mask("ASDE") else self.management.speed

    @property
    def loopback(self) -> bool:
        return _RCTL["LBM"].get(self.window["RCTL"]) == _MAC_LOOPBACK or self.management.loopback

    def _link_state(self) -> bool:
        window = self.window
        mac_loopback = _RCTL["LBM"].get(window["RCTL"]) == _MAC_LOOPBACK
        return (self.management.link or mac_loopback) and bool(window["CTRL"] & _CTRL.mask("SLU"))

    def follow_link(self) -> None:
        """A register, or the PHY, may have changed the link, its speed or the way out."""
        window = self.window
        phy = self.management.link
        if phy != self._phy_link:
            self._phy_link = phy
            self.wake.link_changed()
        outlet = _Outlet.LOOP if self.loopback else _Outlet.WIRE if self.speed is Speed.GIGABIT else _Outlet.NONE
        if outlet is not self._outlets[-1][1]:
            self._outlets.append((self.events.now, outlet))
        link = self._link_state()
        if link != self.link:
            self.link = link
            self.cause("LSC")
        self.receive.enable(link and bool(window["RCTL"] & _RCTL.mask("EN")))
        enabled = link and bool(window["TCTL"] & _TCTL.mask("EN"))
        if enabled != self.mac.enabled:
            self.mac.enable(enabled)

    # Reset

    def reset(self) -> None:
        """CTRL.RST."""
        self._resets += 1
        self.port.flush(self.events.now)
        self.window.reset()
        self.interrupts.reset()
        for part in (
            self.receive_ring,
            self.transmit_ring,
            self.receive_delay,
            self.transmit_delay,
            self.receive_prefetch,
            self.transmit_prefetch,
            self.receive_write_back,
            self.transmit_write_back,
            self.mac,
            self.flow_control,
            self.transmit,
            self.management,
        ):
            part.reset()
        self._small_detected = False
        self.window.values["RAH"] = [word & ~BY_NAME["RAH"].mask("AV") for word in self.window.values["RAH"]]
        self.receive.reset(self.registers.filter_settings())
        self.link = self._link_state()  # what changes in the reset is no cause
        self.counters = Counters()
        self.accesses.held_until = max(self.events.now + self.timing.register_reset, self.port.busy_until())
        self.load_eeprom()

    def load_eeprom(self) -> None:
        """The station's address, and defaults of CTRL and WUC (``hw.eeprom_read``)."""
        words, window = self.management.words, self.window
        given = defaults(words)
        bits = {name: given[name.lower()] for name in ("FD", "LRST", "FRCSPD", "ASDE")}
        window.values["CTRL"][0] = window["CTRL"] & ~_CTRL.mask(*bits) | _CTRL.value(**bits)
        self.wake.load(words)
        if words[CONTROL_1] >> 14 == SIGNATURE:
            window.values["RAL"][0] = words[0] | words[1] << 16
            window.values["RAH"][0] = words[2] | BY_NAME["RAH"].mask("AV")
        self.registers.set_types()
        self.follow_link()

    def receive_minimum_shift(self) -> int:
        """How many times the ring's size is halved for RXDMT0."""
        return int(_RCTL["RDMTS"].get(self.window["RCTL"])) + 1

    # What happens

    def cause(self, name: str) -> None:
        """A pulse of an interrupt cause."""
        self.events.at(self.events.now + 1, self._set_cause, self._resets, CAUSE[name])

    def _set_cause(self, resets: int, cause: int) -> None:
        if resets == self._resets:
            self.interrupts.set(cause)

    def arrive(self, begin: int, frame: bytes) -> None:
        """A frame with FCS comes from the wire; its preamble begins in a cycle."""
        if self._outlets[-1][1] is _Outlet.WIRE:
            self.receive.arrive(begin, frame)

    def _frame_sent(self, begin: int, frame: bytes) -> None:
        self.flow_control.frame_ended()
        since, outlet = self._outlets[-1]
        if since > begin:
            outlet = next((outlet for since, outlet in reversed(self._outlets) if since <= begin), _Outlet.NONE)
        if outlet is _Outlet.WIRE:
            self._on_frame(begin, frame)
        elif outlet is _Outlet.LOOP:
            self.receive.arrive(begin + self.timing.mac_loopback, frame)

    def _stored(self) -> None:
        limit = self.window["RSRPD"]
        if limit and self.receive.stored_bytes <= limit:
            self._small_detected = True
            self.receive_delay.expire()
        else:
            self.receive_delay.event()

    def _receive_flushed(self) -> None:
        self.cause("RXT0")
        if self._small_detected:
            self._small_detected = False
            self.cause("SRPD")

    def _receive_left(self, left: int) -> None:
        if left == self.receive_ring.size >> self.receive_minimum_shift():
            self.cause(_RECEIVE_MINIMUM)

    def _transmit_head(self) -> None:
        if self.transmit_write_back.head == self.transmit_ring.tail:
            self.cause("TXQE")

    def _transmit_left(self, left: int) -> None:
        if left == self.transmit_ring.low:
            self.cause("TXD_LOW")

    def _lost(self) -> None:
        self.flow_control.overflow()
        self.cause("RXO")
