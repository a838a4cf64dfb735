"""The NIC: all engines, and the registers that they obey (``hw.nic``, ``hw.nic_registers``)."""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Final

from hw.descriptors import DESCRIPTOR_BYTES, TRANSMIT_LEGACY
from hw.eeprom import CONTROL_1, SIGNATURE
from hw.eeprom_read import defaults
from hw.interrupt import InterruptThrottle, Semantics
from hw.mac.speed import Speed
from hw.receive.dma import WRITTEN_BACK, buffer_bytes
from hw.receive.filter import FilterSettings
from hw.receive.layouts import ReceiveControl
from hw.registers import BY_NAME, STATISTICS
from hw.statistics import Counters
from sim.model.events import Events
from sim.model.interrupts import CAUSE, DelayTimers, Interrupts
from sim.model.mac_transmit import MacSettings, MacTransmit
from sim.model.management import Management
from sim.model.memory_port import Memory, MemoryPort
from sim.model.pause import FlowControl, FlowControlSettings
from sim.model.receive import Receive
from sim.model.receive_batch import Batch
from sim.model.registers import RegisterWindow
from sim.model.ring import Prefetch, Ring
from sim.model.timing import Timing
from sim.model.transmit import Transmit
from sim.model.wake import WakeUp
from sim.model.write_back import WriteBack

__all__ = ["MAC_ADDRESS", "Nic"]

MAC_ADDRESS: Final = bytes.fromhex("020000000001")

_BUFFER_KIB: Final = 64
_MAC_LOOPBACK: Final = 0b01
_REMEMBERED: Final = 16
"""Changes of the way out that may come while a frame is sent: more than software gets through with."""
_DD_BYTE: Final = TRANSMIT_LEGACY.fields["dd"][0] // 8
_RECEIVE_MINIMUM: Final = "RXDMT0"
_RECEIVE_FIELDS: Final = tuple(name.upper() for name in ReceiveControl.members)
_CTRL, _CTRL_EXT, _STATUS, _RCTL, _TCTL = (BY_NAME[name] for name in ("CTRL", "CTRL_EXT", "STATUS", "RCTL", "TCTL"))
_RDT: Final = BY_NAME["RDT"].offset
_BLOCK: Final = range(min(item.offset for item in STATISTICS), max(item.offset for item in STATISTICS) + 4)

_Access = tuple[int, int, int, Callable[[int, int], None] | None]
"""Arrival, register offset, value to be written, and who is to have the one that is read."""


class _Outlet(Enum):
    """Where a frame goes: to the wire, back to the receiver, or, at a speed that the wire does not have, nowhere."""

    WIRE = auto()
    LOOP = auto()
    NONE = auto()


class Nic:
    """An 82540EM with its built-in PHY and a link.

    Time is in cycles of ``events``. ``view`` is host memory, ``read_latency`` and ``write_latency`` of DMA are in
    cycles, ``width`` in bytes per cycle. ``on_interrupt`` is called when the pin rises, ``on_frame`` with the begin
    and the bytes of each frame that was sent.
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
    ) -> None:
        self.events = events
        self.timing = timing
        self._on_frame = on_frame
        self.window = RegisterWindow()
        self.counters = Counters()
        self.port = MemoryPort(view, timing, read_latency=read_latency, write_latency=write_latency, width=width)
        self.interrupts = Interrupts(events, InterruptThrottle(semantics=semantics), on_interrupt)
        self._receive_kib = BY_NAME["PBA"]["RXA"].reset
        self._accesses: deque[_Access] = deque()
        self._served: _Access | None = None
        self._turn = 0
        """Which access that is, since an event of one that another has come before is void."""
        self._awaited = 0
        """Accesses on their way of which something may be seen from outside: all but new tails of the receive ring."""
        self._register_free = 0
        self._held_until = 0
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
        self._handlers()
        self._load_eeprom()
        self._held_until = 0

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
            self._filter_settings(),
            on_control=self.flow_control.control_frame,
            on_lost=self._lost,
            on_fill=self.flow_control.look,
            on_decided=lambda frame, crc_error, enabled: self.wake.frame(frame, crc_error=crc_error),
        )
        self.wake = WakeUp(
            self.window,
            settings=lambda: self.receive.filter.settings,
            station=self._station,
            vet=lambda: self.window["VET"],
        )
        self.management = Management(
            events,
            timing,
            self.window,
            mac_address=self._mac_address,
            on_link=lambda: self._follow_link(),
            on_done=lambda: self.cause("MDAC"),
            on_pins=lambda rises: self.interrupts.set(rises * CAUSE["GPI0"]),
        )

    _mac_address = MAC_ADDRESS

    # Accesses

    def write(self, arrival: int, offset: int, value: int) -> None:
        """A register write reaches the NIC in a cycle."""
        self._awaited += offset != _RDT
        self._queue((arrival, offset, value, None))

    def read(self, arrival: int, offset: int, answer: Callable[[int, int], None]) -> None:
        """A register read does. ``answer`` gets the value and the cycle in which it is on the bus."""
        self._awaited += 1
        self._queue((arrival, offset, 0, answer))

    def _queue(self, access: _Access) -> None:
        """Accesses are performed in the order in which they arrive. Two flows of control of the processor may ask in
        another one."""
        accesses = self._accesses
        if self._served is not None and self._served[0] > access[0]:
            # That one has not come yet.
            accesses.appendleft(self._served)
            self._served = None
            self._turn += 1
        place = len(accesses)
        while place and accesses[place - 1][0] > access[0]:
            place -= 1
        accesses.insert(place, access)
        self._serve()

    def _serve(self) -> None:
        """Begin the next access, if none is being performed."""
        if self._served is not None or not self._accesses:
            return
        self._served = self._accesses.popleft()
        arrival, _, _, answer = self._served
        start = max(arrival, self._register_free)
        self._turn = turn = self._turn + 1
        if answer is None:
            self.events.at(start + self.timing.register_access + 1, self._write, turn, start)
        else:
            # What comes in the cycle of a read is read.
            self.events.at_end(start + self.timing.register_access, self._read, turn, start)

    def _write(self, turn: int, start: int) -> None:
        if turn != self._turn:
            return  # another came first
        assert self._served is not None
        _, offset, value, _ = self._served
        held = self._held_until - self.events.now
        if held > 0:
            self.events.at(self._held_until, self._write, turn, start + held)
            return
        self.window.write(offset, value)
        self._awaited -= offset != _RDT
        self._register_free = start + self.timing.register_write_busy
        self._served = None
        self._serve()

    def _read(self, turn: int, start: int) -> None:
        if turn != self._turn:
            return
        assert self._served is not None
        _, offset, _, answer = self._served
        assert answer is not None
        held = self._held_until - self.events.now
        if held > 0:
            self.events.at_end(self._held_until, self._read, turn, start + held)
            return
        extra = self.timing.register_block if offset in _BLOCK else 0
        value = self.window.read(offset)
        # What memory is to show before the answer is known when that is on the bus.
        self.events.at_end(self.events.now + self.timing.register_answer + extra, self._answer, answer, value)
        self._register_free = start + self.timing.register_read_busy + extra
        self._served = None
        self._serve()

    def visible(self) -> int | None:
        """The cycle before which nothing happens by itself that can be seen from outside but in memory."""
        due = self.events.due()
        if (
            due is None
            or self._awaited
            or self.transmit_prefetch.active
            or self.transmit.active
            or self.mac.active
            or self.flow_control.settings.tfce
        ):
            return due
        opens = self.interrupts.opens()
        return None if opens is None else max(due, opens)

    def _answer(self, answer: Callable[[int, int], None], value: int) -> None:
        self._awaited -= 1
        answer(value, self.events.now)

    # Registers

    def _handlers(self) -> None:
        window, interrupts = self.window, self.interrupts
        for name in (register.name for register in STATISTICS):
            window.on_read[name] = partial(self._read_counter, name)
        window.on_read |= {
            "CTRL": lambda number: self.management.shown_pins("CTRL"),
            "CTRL_EXT": lambda number: self.management.shown_pins("CTRL_EXT"),
            "STATUS": self._read_status,
            "ICR": lambda number: interrupts.read_causes(),
            "IMS": lambda number: interrupts.mask,
            "PBA": lambda number: BY_NAME["PBA"].value(
                RXA=self._receive_kib, TXA=(_BUFFER_KIB - self._receive_kib) % 0x10000
            ),
            "TCTL": lambda number: _TCTL.value(SWXOFF=int(self.flow_control.software_waits)),
            "RDH": lambda number: self.receive_write_back.head,
            "TDH": lambda number: self.transmit_write_back.head,
        }
        window.on_write |= {
            "CTRL": self._write_ctrl,
            "CTRL_EXT": self._write_ctrl_ext,
            "PBA": self._write_pba,
            "ICR": lambda number, value: interrupts.clear_causes(value),
            "ICS": lambda number, value: interrupts.set(value & sum(CAUSE.values())),
            "IMS": lambda number, value: interrupts.change_mask(set=value),
            "IMC": lambda number, value: interrupts.change_mask(clear=value),
            "ITR": lambda number, value: interrupts.change_interval(window["ITR"]),
            "RCTL": self._write_rctl,
            "TCTL": self._write_tctl,
            "TIPG": lambda number, value: self._set_mac(),
            "VET": lambda number, value: self._set_types(),
            "RXCSUM": lambda number, value: self._set_receive(),
            "RDH": lambda number, value: self._write_head(
                self.receive_prefetch, self.receive_write_back, BY_NAME["RDH"]["HEAD"].get(value)
            ),
            "TDH": lambda number, value: self._write_head(
                self.transmit_prefetch, self.transmit_write_back, BY_NAME["TDH"]["HEAD"].get(value)
            ),
            "RDT": lambda number, value: self._tail_written(
                self.receive_ring, self.receive_prefetch, self.receive_write_back, window["RDT"]
            ),
            "TDT": lambda number, value: self._tail_written(
                self.transmit_ring, self.transmit_prefetch, self.transmit_write_back, window["TDT"]
            ),
            "RDTR": self._write_rdtr,
            "RADV": lambda number, value: setattr(self.receive_delay, "absolute_delay", window["RADV"]),
            "TIDV": lambda number, value: setattr(self.transmit_delay, "packet_delay", window["TIDV"]),
            "TADV": lambda number, value: setattr(self.transmit_delay, "absolute_delay", window["TADV"]),
        }
        for name in ("MTA", "VFTA", "RAL", "RAH", "FCT", "FCAL", "FCAH"):
            window.on_write[name] = lambda number, value: self._set_types()
        for name in ("FCTTV", "FCRTL", "FCRTH"):
            window.on_write[name] = lambda number, value: self._set_flow_control()
        for prefix in ("RD", "TD"):
            for name in ("BAL", "BAH", "LEN"):
                window.on_write[prefix + name] = partial(self._set_ring, prefix)
        for prefix in ("RX", "TX"):
            window.on_write[f"{prefix}DCTL"] = partial(self._set_thresholds, prefix)
        for place, suffix in enumerate(("H", "T", "HS", "TS", "PC")):
            window.on_read[f"RDF{suffix}"] = partial(self._read_pointer, self.receive, place)
            window.on_read[f"TDF{suffix}"] = partial(self._read_pointer, self.mac, place)

    def _read_counter(self, name: str, number: int) -> int:
        for tally in (self.receive.tally, self.mac.tally):
            self.counters.add(tally.increments())
        value: int = self.counters.read(name)
        return value

    @staticmethod
    def _read_pointer(buffer: Receive | MacTransmit, place: int, number: int) -> int:
        return buffer.pointers()[place]

    def _write_ctrl(self, number: int, value: int) -> None:
        self.management.write_pins("CTRL", value)
        self.management.reset_phy(bool(value & _CTRL.mask("PHY_RST")))
        if value & _CTRL.mask("RST"):
            self._reset()
            if value & _CTRL.mask("PHY_RST"):
                self.management.reset_phy(False)  # the bit is reset, too
        self._set_types()
        self._follow_link()

    def _write_ctrl_ext(self, number: int, value: int) -> None:
        self.management.write_pins("CTRL_EXT", value)
        if value & _CTRL_EXT.mask("EE_RST"):
            self._load_eeprom()

    def _write_pba(self, number: int, value: int) -> None:
        self._receive_kib = BY_NAME["PBA"]["RXA"].get(value)

    def _read_status(self, number: int) -> int:
        return _STATUS.value(
            FD=1,
            LU=int(self.link),
            TXOFF=int(self.flow_control.paused),
            SPEED=int(self.speed),
            ASDV=int(Speed.GIGABIT),
        )

    def _write_rctl(self, number: int, value: int) -> None:
        self._set_receive()
        self._set_types()
        self._follow_link()
        self.receive_prefetch.enable(bool(value & _RCTL.mask("EN")))

    def _write_tctl(self, number: int, value: int) -> None:
        if value & _TCTL.mask("SWXOFF"):
            self.flow_control.software()
        self._set_mac()
        self._follow_link()
        self.transmit_prefetch.enable(bool(value & _TCTL.mask("EN")))

    def _write_rdtr(self, number: int, value: int) -> None:
        self.receive_delay.packet_delay = BY_NAME["RDTR"]["DELAY"].get(value)
        if value & BY_NAME["RDTR"].mask("FPD"):
            self.receive_delay.expire()

    @staticmethod
    def _write_head(prefetch: Prefetch, write_back: WriteBack, head: int) -> None:
        write_back.head_written(head)
        prefetch.head_written(head)

    @staticmethod
    def _tail_written(ring: Ring, prefetch: Prefetch, write_back: WriteBack, tail: int) -> None:
        ring.tail = tail
        prefetch.consider()
        write_back.look()

    def _set_ring(self, prefix: str, number: int, value: int) -> None:
        receive = prefix == "RD"
        ring, window = self.receive_ring if receive else self.transmit_ring, self.window
        ring.base = window[f"{prefix}BAH"] << 32 | window[f"{prefix}BAL"]
        ring.size = window[f"{prefix}LEN"] // DESCRIPTOR_BYTES
        (self.receive_prefetch if receive else self.transmit_prefetch).consider()
        (self.receive_write_back if receive else self.transmit_write_back).look()

    def _set_thresholds(self, prefix: str, number: int, value: int) -> None:
        receive = prefix == "RX"
        register = BY_NAME[f"{prefix}DCTL"]
        value = self.window[f"{prefix}DCTL"]  # without reserved bits
        (self.receive_ring if receive else self.transmit_ring).set_thresholds(
            pthresh=register["PTHRESH"].get(value),
            hthresh=register["HTHRESH"].get(value),
            wthresh=register["WTHRESH"].get(value),
            gran=register["GRAN"].get(value),
        )
        if not receive:
            self.transmit_ring.low = 8 * register["LWTHRESH"].get(value)
        (self.receive_prefetch if receive else self.transmit_prefetch).consider()
        (self.receive_write_back if receive else self.transmit_write_back).look()

    def _set_receive(self) -> None:
        receive, window = self.receive, self.window
        rctl, rxcsum = window["RCTL"], window["RXCSUM"]
        receive.strip_crc = bool(rctl & _RCTL.mask("SECRC"))
        receive.buffer_size = buffer_bytes(bsize=_RCTL["BSIZE"].get(rctl), bsex=_RCTL["BSEX"].get(rctl))
        receive.pcss = BY_NAME["RXCSUM"]["PCSS"].get(rxcsum)
        receive.ip_offload = bool(rxcsum & BY_NAME["RXCSUM"].mask("IPOFL"))
        receive.tcp_offload = bool(rxcsum & BY_NAME["RXCSUM"].mask("TUOFL"))

    def _set_types(self) -> None:
        """What the filter, the MAC and flow control have to do with addresses and types."""
        self.receive.strip_tag = bool(self.window["CTRL"] & _CTRL.mask("VME"))
        self.receive.filter.set(self._filter_settings())
        self._set_mac()
        self._set_flow_control()

    def _filter_settings(self) -> FilterSettings:
        window = self.window
        rctl = window["RCTL"]
        high = BY_NAME["RAH"]
        return FilterSettings(
            rctl={name.lower(): _RCTL[name].get(rctl) for name in _RECEIVE_FIELDS},
            table=[
                (
                    low.to_bytes(4, "little") + high["ADDRESS"].get(word).to_bytes(2, "little"),
                    high["AS"].get(word),
                    bool(word & high.mask("AV")),
                )
                for low, word in zip(window.values["RAL"], window.values["RAH"], strict=True)
            ],
            multicast=window.values["MTA"],
            vlan=window.values["VFTA"],
            vet=window["VET"],
            rfce=bool(window["CTRL"] & _CTRL.mask("RFCE")),
            fct=window["FCT"],
            fca=self._control_address(),
        )

    def _control_address(self) -> bytes:
        return self.window["FCAL"].to_bytes(4, "little") + self.window["FCAH"].to_bytes(2, "little")

    def _station(self) -> bytes:
        low, high = self.window.values["RAL"][0], self.window.values["RAH"][0]
        return low.to_bytes(4, "little") + BY_NAME["RAH"]["ADDRESS"].get(high).to_bytes(2, "little")

    def _set_mac(self) -> None:
        window = self.window
        self.mac.settings = MacSettings(
            pad=bool(window["TCTL"] & _TCTL.mask("PSP")),
            gap=BY_NAME["TIPG"]["IPGT"].get(window["TIPG"]),
            vme=bool(window["CTRL"] & _CTRL.mask("VME")),
            vet=window["VET"],
        )

    def _set_flow_control(self) -> None:
        window = self.window
        low, high = BY_NAME["FCRTL"], BY_NAME["FCRTH"]
        self.flow_control.settings = FlowControlSettings(
            rfce=bool(window["CTRL"] & _CTRL.mask("RFCE")),
            tfce=bool(window["CTRL"] & _CTRL.mask("TFCE")),
            xone=bool(window["FCRTL"] & low.mask("XONE")),
            rtl=low["RTL"].get(window["FCRTL"]),
            rth=high["RTH"].get(window["FCRTH"]),
            ttv=window["FCTTV"],
            fct=window["FCT"],
            destination=self._control_address(),
            source=self._station(),
        )
        settings = self.flow_control.settings
        self.receive.watched_fill = settings.rth if settings.tfce else 0
        self.flow_control.look()

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

    def _follow_link(self) -> None:
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

    def _reset(self) -> None:
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
        self.receive.reset(self._filter_settings())
        self.link = self._link_state()  # what changes in the reset is no cause
        self.counters = Counters()
        self._held_until = max(self.events.now + self.timing.register_reset, self.port.busy_until())
        self._load_eeprom()

    def _load_eeprom(self) -> None:
        """The station's address, and defaults of CTRL and WUC (``hw.eeprom_read``)."""
        words, window = self.management.words, self.window
        given = defaults(words)
        bits = {name: given[name.lower()] for name in ("FD", "LRST", "FRCSPD", "ASDE")}
        window.values["CTRL"][0] = window["CTRL"] & ~_CTRL.mask(*bits) | _CTRL.value(**bits)
        self.wake.load(words)
        if words[CONTROL_1] >> 14 == SIGNATURE:
            window.values["RAL"][0] = words[0] | words[1] << 16
            window.values["RAH"][0] = words[2] | BY_NAME["RAH"].mask("AV")
        self._set_types()
        self._set_receive()
        self._follow_link()

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
