"""What registers tell the engines, and engines the registers (``hw.nic_registers``)."""

from functools import partial
from typing import TYPE_CHECKING, Final

from hw.descriptors import DESCRIPTOR_BYTES
from hw.mac.speed import Speed
from hw.receive.dma import buffer_bytes
from hw.receive.filter import FilterSettings
from hw.receive.layouts import ReceiveControl
from hw.registers import BY_NAME, STATISTICS
from sim.model.interrupts import CAUSE
from sim.model.mac_transmit import MacSettings, MacTransmit
from sim.model.pause import FlowControlSettings
from sim.model.receive import Receive
from sim.model.receive_settings import ReceiveSettings
from sim.model.ring import Prefetch
from sim.model.write_back import WriteBack

if TYPE_CHECKING:
    from sim.model.nic import Nic

__all__ = ["NicRegisters"]

_BUFFER_KIB: Final = 64
_TAIL: Final = BY_NAME["TDT"].mask("TAIL")
"""RDT has it in the same place."""
_RECEIVE_FIELDS: Final = tuple(name.upper() for name in ReceiveControl.members)
_CTRL, _CTRL_EXT, _STATUS, _RCTL, _TCTL = (BY_NAME[name] for name in ("CTRL", "CTRL_EXT", "STATUS", "RCTL", "TCTL"))


class NicRegisters:
    """Of one NIC, whose engines ``connect`` joins to its registers."""

    def __init__(self, nic: "Nic") -> None:
        self._nic = nic
        self._window = nic.window
        self._receive_kib = BY_NAME["PBA"]["RXA"].reset

    def connect(self) -> None:
        """Join the engines to the registers, when there are all."""
        window, interrupts = self._window, self._nic.interrupts
        for name in (register.name for register in STATISTICS):
            window.on_read[name] = partial(self._read_counter, name)
        window.on_read |= {
            "CTRL": lambda number: self._nic.management.shown_pins("CTRL"),
            "CTRL_EXT": lambda number: self._nic.management.shown_pins("CTRL_EXT"),
            "STATUS": self._read_status,
            "ICR": lambda number: interrupts.read_causes(),
            "IMS": lambda number: interrupts.mask,
            "PBA": lambda number: BY_NAME["PBA"].value(
                RXA=self._receive_kib, TXA=(_BUFFER_KIB - self._receive_kib) % 0x10000
            ),
            "TCTL": lambda number: _TCTL.value(SWXOFF=int(self._nic.flow_control.software_waits)),
            "RDH": lambda number: self._nic.receive_write_back.head,
            "TDH": lambda number: self._nic.transmit_write_back.head,
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
            "VET": lambda number, value: self.set_types(),
            "RXCSUM": lambda number, value: self.set_receive(),
            "RDH": lambda number, value: self._write_head(
                self._nic.receive_prefetch, self._nic.receive_write_back, BY_NAME["RDH"]["HEAD"].get(value)
            ),
            "TDH": lambda number, value: self._write_head(
                self._nic.transmit_prefetch, self._nic.transmit_write_back, BY_NAME["TDH"]["HEAD"].get(value)
            ),
            "RDT": self._write_rdt,
            "TDT": self._write_tdt,
            "RDTR": self._write_rdtr,
            "RADV": lambda number, value: setattr(self._nic.receive_delay, "absolute_delay", window["RADV"]),
            "TIDV": lambda number, value: setattr(self._nic.transmit_delay, "packet_delay", window["TIDV"]),
            "TADV": lambda number, value: setattr(self._nic.transmit_delay, "absolute_delay", window["TADV"]),
        }
        for name in ("MTA", "VFTA", "RAL", "RAH", "FCT", "FCAL", "FCAH"):
            window.on_write[name] = lambda number, value: self.set_types()
        for name in ("FCTTV", "FCRTL", "FCRTH"):
            window.on_write[name] = lambda number, value: self._set_flow_control()
        for prefix in ("RD", "TD"):
            for name in ("BAL", "BAH", "LEN"):
                window.on_write[prefix + name] = partial(self._set_ring, prefix)
        for prefix in ("RX", "TX"):
            window.on_write[f"{prefix}DCTL"] = partial(self._set_thresholds, prefix)
        for place, suffix in enumerate(("H", "T", "HS", "TS", "PC")):
            window.on_read[f"RDF{suffix}"] = partial(self._read_pointer, self._nic.receive, place)
            window.on_read[f"TDF{suffix}"] = partial(self._read_pointer, self._nic.mac, place)

    def _read_counter(self, name: str, number: int) -> int:
        for tally in (self._nic.receive.tally, self._nic.mac.tally):
            self._nic.counters.add(tally.increments())
        value: int = self._nic.counters.read(name)
        return value

    @staticmethod
    def _read_pointer(buffer: Receive | MacTransmit, place: int, number: int) -> int:
        return buffer.pointers()[place]

    def _write_ctrl(self, number: int, value: int) -> None:
        self._nic.management.write_pins("CTRL", value)
        self._nic.management.reset_phy(bool(value & _CTRL.mask("PHY_RST")))
        if value & _CTRL.mask("RST"):
            self._nic.reset()
            if value & _CTRL.mask("PHY_RST"):
                self._nic.management.reset_phy(False)  # the bit is reset, too
        self.set_types()
        self._nic.follow_link()

    def _write_ctrl_ext(self, number: int, value: int) -> None:
        self._nic.management.write_pins("CTRL_EXT", value)
        if value & _CTRL_EXT.mask("EE_RST"):
            self._nic.management.forget_word()
            self._nic.load_eeprom()

    def _write_pba(self, number: int, value: int) -> None:
        self._receive_kib = BY_NAME["PBA"]["RXA"].get(value)

    def _read_status(self, number: int) -> int:
        return _STATUS.value(
            FD=1,
            LU=int(self._nic.link),
            TXOFF=int(self._nic.flow_control.paused),
            SPEED=int(self._nic.speed),
            ASDV=int(Speed.GIGABIT),
        )

    def _write_rctl(self, number: int, value: int) -> None:
        self.set_types()
        self._nic.follow_link()
        self._nic.receive_prefetch.enable(bool(value & _RCTL.mask("EN")))

    def _write_tctl(self, number: int, value: int) -> None:
        self._set_mac()
        self._nic.follow_link()
        if value & _TCTL.mask("SWXOFF"):
            self._nic.flow_control.software()
        self._nic.transmit_prefetch.enable(bool(value & _TCTL.mask("EN")))

    def _write_rdtr(self, number: int, value: int) -> None:
        self._nic.receive_delay.packet_delay = BY_NAME["RDTR"]["DELAY"].get(value)
        if value & BY_NAME["RDTR"].mask("FPD"):
            self._nic.receive_delay.expire()

    @staticmethod
    def _write_head(prefetch: Prefetch, write_back: WriteBack, head: int) -> None:
        write_back.head_written(head)
        prefetch.head_written(head)

    def _write_rdt(self, number: int, value: int) -> None:
        self._nic.receive_ring.tail = value & _TAIL
        self._nic.receive_prefetch.consider()
        self._nic.receive_write_back.look()

    def _write_tdt(self, number: int, value: int) -> None:
        self._nic.transmit_ring.tail = value & _TAIL
        self._nic.transmit_prefetch.consider()
        self._nic.transmit_write_back.look()

    def _set_ring(self, prefix: str, number: int, value: int) -> None:
        receive = prefix == "RD"
        ring, window = self._nic.receive_ring if receive else self._nic.transmit_ring, self._window
        ring.base = window[f"{prefix}BAH"] << 32 | window[f"{prefix}BAL"]
        ring.size = window[f"{prefix}LEN"] // DESCRIPTOR_BYTES
        (self._nic.receive_prefetch if receive else self._nic.transmit_prefetch).consider()
        (self._nic.receive_write_back if receive else self._nic.transmit_write_back).look()

    def _set_thresholds(self, prefix: str, number: int, value: int) -> None:
        receive = prefix == "RX"
        register = BY_NAME[f"{prefix}DCTL"]
        value = self._window[f"{prefix}DCTL"]  # without reserved bits
        (self._nic.receive_ring if receive else self._nic.transmit_ring).set_thresholds(
            pthresh=register["PTHRESH"].get(value),
            hthresh=register["HTHRESH"].get(value),
            wthresh=register["WTHRESH"].get(value),
            gran=register["GRAN"].get(value),
        )
        if not receive:
            self._nic.transmit_ring.low = 8 * register["LWTHRESH"].get(value)
        (self._nic.receive_prefetch if receive else self._nic.transmit_prefetch).consider()
        (self._nic.receive_write_back if receive else self._nic.transmit_write_back).look()

    def set_receive(self) -> None:
        """What the receive path has to do with a frame."""
        receive, window = self._nic.receive, self._window
        rctl, rxcsum = window["RCTL"], window["RXCSUM"]
        receive.buffer_size = buffer_bytes(bsize=_RCTL["BSIZE"].get(rctl), bsex=_RCTL["BSEX"].get(rctl))
        receive.set(
            ReceiveSettings(
                self.filter_settings(),
                strip_tag=bool(window["CTRL"] & _CTRL.mask("VME")),
                strip_crc=bool(rctl & _RCTL.mask("SECRC")),
                pcss=BY_NAME["RXCSUM"]["PCSS"].get(rxcsum),
                ip_offload=bool(rxcsum & BY_NAME["RXCSUM"].mask("IPOFL")),
                tcp_offload=bool(rxcsum & BY_NAME["RXCSUM"].mask("TUOFL")),
            )
        )

    def set_types(self) -> None:
        """What the receive path, the MAC and flow control have to do with addresses and types."""
        self.set_receive()
        self._set_mac()
        self._set_flow_control()

    def filter_settings(self) -> FilterSettings:
        """Of the registers as they are."""
        window = self._window
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
            multicast=tuple(window.values["MTA"]),
            vlan=tuple(window.values["VFTA"]),
            vet=window["VET"],
            rfce=bool(window["CTRL"] & _CTRL.mask("RFCE")),
            fct=window["FCT"],
            fca=self._control_address(),
        )

    def _control_address(self) -> bytes:
        return self._window["FCAL"].to_bytes(4, "little") + self._window["FCAH"].to_bytes(2, "little")

    def station(self) -> bytes:
        """Receive address 0."""
        low, high = self._window.values["RAL"][0], self._window.values["RAH"][0]
        return low.to_bytes(4, "little") + BY_NAME["RAH"]["ADDRESS"].get(high).to_bytes(2, "little")

    def _set_mac(self) -> None:
        window = self._window
        self._nic.mac.settings = MacSettings(
            pad=bool(window["TCTL"] & _TCTL.mask("PSP")),
            gap=BY_NAME["TIPG"]["IPGT"].get(window["TIPG"]),
            vme=bool(window["CTRL"] & _CTRL.mask("VME")),
            vet=window["VET"],
        )

    def _set_flow_control(self) -> None:
        window = self._window
        low, high = BY_NAME["FCRTL"], BY_NAME["FCRTH"]
        self._nic.flow_control.settings = FlowControlSettings(
            rfce=bool(window["CTRL"] & _CTRL.mask("RFCE")),
            tfce=bool(window["CTRL"] & _CTRL.mask("TFCE")),
            xone=bool(window["FCRTL"] & low.mask("XONE")),
            rtl=low["RTL"].get(window["FCRTL"]),
            rth=high["RTH"].get(window["FCRTH"]),
            ttv=window["FCTTV"],
            fct=window["FCT"],
            destination=self._control_address(),
            source=self.station(),
        )
        settings = self._nic.flow_control.settings
        self._nic.receive.watched_fill = settings.rth if settings.tfce else 0
        self._nic.flow_control.look()
