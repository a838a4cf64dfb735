"""Test peer: the registers, rings and interrupt of an e1000 in plain Python, for tests of the driver without RTL.

It executes what it finds in its rings at once, one frame per wire time, and knows nothing of the driver. Manual
chapters 3 (descriptors, checksums, segmentation, delay timers) and 13 (registers). No filters, no statistics.
"""

from collections.abc import Awaitable, Callable

from hw.descriptors import (
    DESCRIPTOR_BYTES,
    RECEIVE,
    TRANSMIT_CONTEXT,
    TRANSMIT_DATA,
    TRANSMIT_LEGACY,
    DescriptorFormat,
)
from hw.eeprom import image
from hw.registers import BY_NAME, Access, Status, at_offset
from sim.engine import Scheduler
from sim.host import HostCpu, InterruptLine
from sim.memory import HostMemory
from sim.wire import fcs
from stack.environment import Cause, Context
from tests.driver.delay_timers import DelayTimers

BUFFER_SIZES = {(0, 0): 2048, (1, 0): 1024, (2, 0): 512, (3, 0): 256, (1, 1): 16384, (2, 1): 8192, (3, 1): 4096}

EEPROM_TIME = 7_000
"""ns that EERD takes to read a word."""


MDIO_TIME = 26_000
"""ns that MDIC takes to access a register."""


def ones_complement_sum(data: bytes) -> int:
    """Sum of the 16-bit words, the last one padded with zero (RFC 1071), not inverted."""
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def insert_checksum(frame: bytearray, start: int, end: int, offset: int, extra: int = 0) -> None:
    """Sum ``start`` to ``end`` inclusive (0: to the end), what stands in the field included; store the complement."""
    total = ones_complement_sum(bytes(frame[start : end + 1 if end else len(frame)])) + extra
    frame[offset : offset + 2] = (~ones_complement_sum(total.to_bytes(4, "big")) & 0xFFFF).to_bytes(2, "big")


def segment(context: dict[str, int], packet: bytes) -> list[bytes]:
    """Cut a TSO packet (TCP over IPv4, both checksums inserted) into frames without FCS (manual 3.5)."""
    header, payload = packet[: context["hdrlen"]], packet[context["hdrlen"] :]
    assert len(payload) == context["paylen"], "the packet ends where PAYLEN says"
    ip, tcp = context["ipcss"], context["tucss"]
    pieces = [payload[i : i + context["mss"]] for i in range(0, len(payload), context["mss"])]
    frames = []
    for number, piece in enumerate(pieces):
        frame = bytearray(header + piece)
        identification = int.from_bytes(header[ip + 4 : ip + 6], "big") + number
        sequence = int.from_bytes(header[tcp + 4 : tcp + 8], "big") + number * context["mss"]
        frame[ip + 2 : ip + 4] = (len(frame) - ip).to_bytes(2, "big")
        frame[ip + 4 : ip + 6] = (identification & 0xFFFF).to_bytes(2, "big")
        frame[tcp + 4 : tcp + 8] = (sequence & 0xFFFFFFFF).to_bytes(4, "big")
        if number + 1 < len(pieces):
            frame[tcp + 13] &= ~0x09 & 0xFF
        insert_checksum(frame, context["ipcss"], context["ipcse"], context["ipcso"])
        insert_checksum(frame, tcp, context["tucse"], context["tucso"], extra=len(frame) - tcp)
        frames.append(bytes(frame))
    return frames


class BehaviouralE1000:
    """The device. Frames without FCS go to ``sent``; ``receive`` takes frames without FCS."""

    def __init__(self, env: Scheduler, memory: HostMemory, *, mac_address: bytes) -> None:
        self.env = env
        self.memory = memory
        self.mac_address = mac_address
        self.sent: list[bytes] = []
        self.descriptors: list[tuple[str, dict[str, int]]] = []
        """Every transmit descriptor executed, decoded: format and fields."""
        self.missed = 0
        self.phy = {1: 0x796D, 4: 0x0DE1, 5: 0xC1E1, 0: 0x1140, 16: 0x0360, 17: 0xAC00}
        """Registers of the PHY that were written, or are read."""
        self.masked_causes_interrupt = False
        self.link = True
        self.paused = False
        """STATUS tells that a pause frame holds the transmitter."""
        self.eeprom = image(mac_address)
        self.eeprom_answers = True
        self.reset_works = True
        self.present = True
        self.credit: int | None = None
        """Transmit descriptors that it may still execute; None is any number."""
        self.line = False
        self.line_changed: Callable[[], None] = lambda: None
        self.interrupt_times: list[int] = []
        self._transmitting = False
        self._transmit_delay = DelayTimers(env, lambda: self.cause("TXDW"))
        self._receive_delay = DelayTimers(env, lambda: self.cause("RXT0"))
        self.reset()

    def reset(self) -> None:
        self.registers = {offset: register.reset for register in BY_NAME.values() for offset in register.offsets()}
        self.registers[BY_NAME["RAL"].offset] = int.from_bytes(self.mac_address[:4], "little")
        self.registers[BY_NAME["RAH"].offset] = int.from_bytes(self.mac_address[4:], "little") | BY_NAME["RAH"].mask(
            "AV"
        )
        self._icr = 0
        self._ims = 0
        self._last_interrupt: int | None = None
        self._packet = b""
        self._first: dict[str, int] | None = None
        self._contexts: dict[int, dict[str, int]] = {}
        self._transmit_delay.stop()
        self._receive_delay.stop()
        self._update_line()

    def get(self, name: str) -> int:
        """A register's value, without the side effects of a read."""
        return self.registers[BY_NAME[name].offset]

    def has(self, register: str, field: str) -> bool:
        return bool(self.get(register) & BY_NAME[register].mask(field))

    def read(self, offset: int) -> int:
        if not self.present:
            return 0xFFFFFFFF
        register = at_offset(offset)
        assert register is not None, f"read of a hole at {offset:#x}"
        match register.name:
            case "STATUS":
                if not self.link or not self.has("CTRL", "SLU"):
                    return 0
                return register.value(FD=1, LU=1, SPEED=2, TXOFF=int(self.paused))
            case "ICR":
                value, self._icr = self._icr, 0
                self._update_line()
                return value
            case "IMS":
                return self._ims
            case "GORCH" | "GOTCH" | "TORH" | "TOTH":
                self.registers[offset - 4] = 0
        value = self.registers[offset]
        if register.block and register.name not in ("GORCL", "GOTCL", "TORL", "TOTL"):
            self.registers[offset] = 0
        return value

    def write(self, offset: int, value: int) -> None:
        register = at_offset(offset)
        assert register is not None, f"write of a hole at {offset:#x}"
        if register.status is Status.NOT_BUILT:
            return
        match register.name:
            case "CTRL" if value & register.mask("RST"):
                if self.reset_works:
                    self.reset()
                else:
                    self.registers[offset] |= register.mask("RST")
                return
            case "MDIC":
                number = register["REG"].get(value)
                if register["OP"].get(value) == 1:
                    self.phy[number] = register["DATA"].get(value)
                answer = (value & ~register["DATA"].mask) | self.phy.get(number, 0) | register.mask("READY")
                self.registers[offset] = value & ~register.mask("READY")
                self.env.call_at(self.env.now + MDIO_TIME, lambda: self.registers.update({offset: answer}))
            case "EERD":
                address = register["ADDR"].get(value)
                self.registers[offset] = register.value(ADDR=address)
                if value & register.mask("START") and self.eeprom_answers:
                    answer = register.value(ADDR=address, DONE=1, DATA=self.eeprom[address % len(self.eeprom)])
                    self.env.call_at(self.env.now + EEPROM_TIME, lambda: self.registers.update({offset: answer}))
            case "ICS":
                self.cause_bits(value)
            case "IMS":
                self._ims |= value & sum(field.mask for field in register.fields)
                self._update_line()
            case "IMC":
                self._ims &= ~value
                self._update_line()
            case _:
                mask = sum(field.mask for field in register.fields if field.access is Access.RW)
                self.registers[offset] = value & mask
        if register.name in ("TDT", "TCTL"):
            self.transmit()

    def set_link(self, up: bool) -> None:
        self.link = up
        self.cause("LSC")

    def cause(self, *names: str) -> None:
        self.cause_bits(BY_NAME["ICR"].mask(*names))

    def cause_bits(self, bits: int) -> None:
        self._icr |= bits
        self._update_line()

    def _update_line(self) -> None:
        """Level of the pin, at most one rise per ITR x 256 ns (manual 13.4.18)."""
        wanted = bool(self._icr & (self._ims or (0x7FFF if self.masked_causes_interrupt else 0)))
        if wanted and not self.line:
            earliest = 0 if self._last_interrupt is None else self._last_interrupt + self.get("ITR") * 256
            if self.env.now < earliest:
                self.env.call_at(earliest, self._update_line)
                return
            self._last_interrupt = self.env.now
            self.interrupt_times.append(self.env.now)
        if wanted != self.line:
            self.line = wanted
            self.line_changed()

    def allow(self, descriptors: int | None) -> None:
        """Execute this many transmit descriptors from now on (None: any number)."""
        self.credit = descriptors
        self.transmit()

    def transmit(self) -> None:
        """Work on the ring, if it is not worked on already."""
        if not self._transmitting:
            self._transmitting = True
            self.env.spawn(self._transmit(), name="transmitter")

    async def _transmit(self) -> None:
        tdh = BY_NAME["TDH"].offset
        while self.has("TCTL", "EN") and self.get("TDH") != self.get("TDT") and self.credit != 0:
            index = self.get("TDH")
            raw = self.memory.read(self._descriptor("TD", index), DESCRIPTOR_BYTES)
            report, frames = self._execute(raw)
            for frame in frames:
                await self.env.sleep((max(len(frame), 60) + 4 + 20) * 8)
                self.sent.append(frame)
            if not self.has("TCTL", "EN"):
                break
            if self.credit is not None:
                self.credit -= 1
            if report:
                self.memory.write(self._descriptor("TD", index) + 12, bytes([raw[12] | 1]))
            self.registers[tdh] = (index + 1) % (self.get("TDLEN") // DESCRIPTOR_BYTES)
            if report and TRANSMIT_LEGACY.unpack(raw)["ide"]:
                self._transmit_delay.event(packet=self.get("TIDV"), absolute=self.get("TADV"))
            elif report:
                self._transmit_delay.expire()
        self._transmitting = False

    def _execute(self, raw: bytes) -> tuple[bool, list[bytes]]:
        """One descriptor: whether to report it, and the frames it completes."""
        legacy = TRANSMIT_LEGACY.unpack(raw)
        assert not legacy["dd"], "given to the device with DD set"
        if legacy["dext"] and not TRANSMIT_DATA.unpack(raw)["dtyp"]:
            context = self._note(TRANSMIT_CONTEXT, raw)
            self._contexts[context["tse"]] = context
            return bool(context["rs"]), []
        fields = self._note(TRANSMIT_DATA if legacy["dext"] else TRANSMIT_LEGACY, raw)
        length = fields["dtalen" if legacy["dext"] else "length"]
        self._packet += self.memory.read(fields["address"], length)
        self._first = self._first or fields
        if not fields["eop"]:
            return bool(fields["rs"]), []
        packet, first = self._packet, self._first
        self._packet, self._first = b"", None
        assert fields["ifcs"], "the driver leaves the FCS to the device"
        if first.get("tse"):
            assert first["ixsm"], "total length and header checksum go together"
            assert first["txsm"], "each segment needs its checksum"
            return bool(fields["rs"]), segment(self._contexts[1], packet)
        frame = bytearray(packet)
        if first.get("txsm"):
            context = self._contexts[0]
            insert_checksum(frame, context["tucss"], context["tucse"], context["tucso"])
        return bool(fields["rs"]), [bytes(frame)]

    def _note(self, format: DescriptorFormat, raw: bytes) -> dict[str, int]:
        fields = format.unpack(raw)
        self.descriptors.append((format.name, fields))
        return fields

    def receive(self, frame: bytes, **override: int) -> bool:
        """Store a frame (padded, FCS added). ``override`` replaces fields of the last descriptor. False if missed."""
        frame += bytes(max(60 - len(frame), 0))
        data = frame + fcs(frame)
        rctl = BY_NAME["RCTL"]
        size = BUFFER_SIZES[rctl["BSIZE"].get(self.get("RCTL")), rctl["BSEX"].get(self.get("RCTL"))]
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        count = self.get("RDLEN") // DESCRIPTOR_BYTES
        if not self.has("RCTL", "EN") or (self.get("RDT") - self.get("RDH")) % count < len(pieces):
            self.missed += 1
            self.cause("RXO")
            return False
        for number, piece in enumerate(pieces):
            address = self._descriptor("RD", self.get("RDH"))
            fields = RECEIVE.unpack(self.memory.read(address, DESCRIPTOR_BYTES))
            assert not fields["dd"], "given to the device with DD set"
            self.memory.write(fields["address"], piece)
            done = {"address": fields["address"], "length": len(piece), "dd": 1}
            if number + 1 == len(pieces):
                done |= {"eop": 1} | self._checked(frame) | override
            self.memory.write(address, RECEIVE.pack(**done))
            self.registers[BY_NAME["RDH"].offset] = (self.get("RDH") + 1) % count
        self._receive_delay.event(packet=self.get("RDTR"), absolute=self.get("RADV"))
        return True

    def _checked(self, frame: bytes) -> dict[str, int]:
        """Checksum status of TCP and UDP over IPv4 (manual 3.2.9); other frames were not looked at."""
        if not self.has("RXCSUM", "TUOFL") or frame[12:14] != b"\x08\x00" or frame[23] not in (6, 17):
            return {"ixsm": 1}
        end = 14 + int.from_bytes(frame[16:18], "big")
        transport = frame[14 + (frame[14] & 0xF) * 4 : end]
        pseudo = frame[26:34] + bytes([0, frame[23]]) + len(transport).to_bytes(2, "big")
        return {"tcpcs": 1, "tcpe": int(ones_complement_sum(pseudo + transport) != 0xFFFF)}

    def _descriptor(self, prefix: str, index: int) -> int:
        base = self.get(f"{prefix}BAH") << 32 | self.get(f"{prefix}BAL")
        return base + index * DESCRIPTOR_BYTES


class BehaviouralBus:
    """Implements ``driver.bus.Bus`` for the device above, with the host's latencies, and notes every access."""

    def __init__(self, env: Scheduler, cpu: HostCpu, memory: HostMemory, device: BehaviouralE1000) -> None:
        self.env = env
        self.cpu = cpu
        self.memory = memory
        self.device = device
        self.accesses: list[tuple[str, str, int]] = []
        """``read`` or ``write``, register, value, in the order of arrival."""
        self._handler: Callable[[], Awaitable[None]] | None = None
        self._line = InterruptLine(env, cpu, lambda: device.line)
        device.line_changed = self._line.changed

    async def read32(self, offset: int) -> int:
        await self.cpu.settle()
        answered = self.env.event()
        self.env.call_at(self.env.now + self.cpu.costs.mmio_read_latency, answered.set)
        await self.cpu.stall(Cause.MMIO, answered)
        value = self.device.read(offset)
        self._note("read", offset, value)
        return value

    def write32(self, offset: int, value: int) -> None:
        assert 0 <= value < 1 << 32
        self.cpu.charge(Cause.MMIO)

        def arrive() -> None:
            self._note("write", offset, value)
            self.device.write(offset, value)

        self.env.call_at(self.cpu.post(offset) + self.cpu.costs.mmio_write_latency, arrive)

    def request_irq(self, handler: Callable[[], Awaitable[None]]) -> None:
        self._line.request(handler)
        self._handler = handler

    def free_irq(self) -> None:
        self._line.free()
        self._handler = None

    async def call_handler(self) -> None:
        """As if another device on a shared line had interrupted."""
        handler = self._handler
        assert handler is not None

        async def interrupted() -> None:
            self.cpu.enter(Context.INTERRUPT)
            await handler()

        await self.env.spawn(interrupted())

    def writes(self, name: str) -> list[int]:
        """Values written to a register so far."""
        return [value for kind, register, value in self.accesses if (kind, register) == ("write", name)]

    def _note(self, kind: str, offset: int, value: int) -> None:
        register = at_offset(offset)
        assert register is not None
        self.accesses.append((kind, register.name, value))
