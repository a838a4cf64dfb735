"""The driver's own test of the hardware (``ethtool -t``, Linux's e1000_diag_test): registers, EEPROM, interrupts,
loopback and link. Each part gives 0 if all is well, else a number that tells what is not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from driver.bus import Bus
from driver.hardware import EEPROM_SUM, EEPROM_WORDS, read_eeprom, reset
from driver.phy import CONTROL, STATUS, read_phy, write_phy
from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE, TRANSMIT_LEGACY
from hw.registers import BY_NAME

if TYPE_CHECKING:
    from driver.e1000 import E1000

__all__ = ["TESTS", "interrupt_test", "link_test", "loopback_test", "register_test", "self_test"]

TESTS = ("register", "eeprom", "interrupt", "loopback", "link")
"""The parts; all but the last need the device for themselves (offline)."""

_ALL = 0xFFFFFFFF
PATTERNS = (0x5A5A5A5A, 0xA5A5A5A5, 0, _ALL)

PATTERN_TEST = {
    "FCAL": (_ALL, _ALL),
    "FCAH": (0xFFFF, _ALL),
    "FCT": (0xFFFF, _ALL),
    "VET": (0xFFFF, _ALL),
    "RDTR": (0xFFFF, _ALL),
    "RDBAH": (_ALL, _ALL),
    "RDLEN": (0x000FFF80, 0x000FFFFF),
    "RDH": (0xFFFF, 0xFFFF),
    "RDT": (0xFFFF, 0xFFFF),
    "FCRTH": (0x0000FFF8, 0x0000FFF8),
    "FCTTV": (0xFFFF, 0xFFFF),
    "TIPG": (0x3FFFFFFF, 0x3FFFFFFF),
    "TDBAH": (_ALL, _ALL),
    "TDLEN": (0x000FFF80, 0x000FFFFF),
}
"""Registers, what of them must read as it was written, and which bits of the patterns are written."""

PATTERN_TEST_RECEIVER_ON = {
    "RDBAL": (0xFFFFFFF0, _ALL),
    "TXCW": (0x0000FFFF, 0x0000FFFF),
    "TDBAL": (0xFFFFFFF0, _ALL),
    "TIDV": (0xFFFF, 0xFFFF),
    "RAL": (_ALL, _ALL),
    "RAH": (0x8003FFFF, _ALL),
    "MTA": (_ALL, _ALL),
}
"""The same, behind the tests of RCTL, which leave the receiver on with a ring of nonsense."""

STATUS_MASK = 0xFFFFF833
RCTL_MASK = 0x06DFB3FE
RCTL_VALUES = (0x003FFFFB, _ALL)

_INTERRUPT_BITS = 10
_CAUSES = 0x7FFF

LOOPBACK_RING = 256
LOOPBACK_FRAMES = 64
LOOPBACK_ROUNDS = 10
LOOPBACK_BYTES = 1024
_BUFFER = 2048
_FCS = 4
_ROUND_LIMIT = 200_000_000
"""ns that a round of frames may take."""
_POLL_INTERVAL = 50_000

_PHY_SETUP = ((16, 0x0808), (CONTROL, 0x9140), (CONTROL, 0x8140), (CONTROL, 0x4140))
"""Cross-over by hand; reset; reset with 1000 Mb/s, no negotiation; loopback (registers of the M88 PHY)."""
_PHY_PAGES = ((29, 0x001F), (30, 0x8FFC), (29, 0x001A), (30, 0x8FF0))
_PHY_RESET = 0x9140
_LINK = 1 << 2

_CTRL = BY_NAME["CTRL"]
_STATUS = BY_NAME["STATUS"]
_RCTL = BY_NAME["RCTL"]
_TCTL = BY_NAME["TCTL"]
_ICR = BY_NAME["ICR"].offset
_ICS = BY_NAME["ICS"].offset
_IMS = BY_NAME["IMS"].offset
_IMC = BY_NAME["IMC"].offset


async def self_test(device: "E1000", *, offline: bool = True, wait: int = 10_000_000) -> dict[str, int]:
    """Test the device: result by name of the part. ``offline`` takes it down for the time; else only the link is
    tested.

    ``wait`` in ns is how long an interrupt is waited for where none may come, and the link after a reset.
    """
    if not offline:
        return {"link": await link_test(device, wait=0)}
    bus, name, parameters = device.bus, device.name, device.parameters
    link = await link_test(device, wait=wait)
    was_up = device.up
    await device.stop()
    results: dict[str, int] = {}
    try:
        for part in TESTS[:-1]:
            await reset(bus, parameters, name)
            match part:
                case "register":
                    results[part] = await register_test(bus)
                case "eeprom":
                    results[part] = await eeprom_test(bus, name)
                case "interrupt":
                    results[part] = await interrupt_test(bus, wait=wait)
                case "loopback":
                    results[part] = await loopback_test(bus, name)
    finally:
        await reset(bus, parameters, name)
        await bus.env.sleep(wait)
        if was_up:
            await device.open()
    return results | {"link": link}


async def register_test(bus: Bus) -> int:
    """What is written must be read. The offset of the register that fails."""
    before = await bus.read32(_STATUS.offset) & STATUS_MASK
    bus.write32(_STATUS.offset, STATUS_MASK)
    if await bus.read32(_STATUS.offset) & STATUS_MASK != before:
        return _STATUS.offset
    failed = await _patterns(bus, PATTERN_TEST)
    if failed:
        return failed
    bus.write32(_RCTL.offset, 0)
    if await bus.read32(_RCTL.offset):
        return _RCTL.offset
    bus.write32(_TCTL.offset, 0)
    if await bus.read32(_TCTL.offset):
        return _TCTL.offset
    for value in RCTL_VALUES:
        bus.write32(_RCTL.offset, value)
        if await bus.read32(_RCTL.offset) & RCTL_MASK != value & RCTL_MASK:
            return _RCTL.offset
    return await _patterns(bus, PATTERN_TEST_RECEIVER_ON)


async def _patterns(bus: Bus, registers: dict[str, tuple[int, int]]) -> int:
    for name, (mask, written) in registers.items():
        register = BY_NAME[name]
        # Linux leaves the last receive address alone.
        count = register.count - 1 if name in ("RAL", "RAH") else register.count
        for index in range(count):
            offset = register.offset + index * register.stride
            for pattern in PATTERNS:
                bus.write32(offset, pattern & written)
                if await bus.read32(offset) != pattern & written & mask:
                    return offset
    return 0


async def eeprom_test(bus: Bus, name: str) -> int:
    """1: it does not answer; 2: its words do not add up."""
    total = 0
    for word in range(EEPROM_WORDS):
        try:
            total += await read_eeprom(bus, word, name)
        except OSError:
            return 1
    return 0 if total & 0xFFFF == EEPROM_SUM else 2


async def interrupt_test(bus: Bus, *, wait: int) -> int:
    """1: the line is taken; 3: a cause that is masked interrupts; 4: one that is not masked does not; 5: others do."""
    seen = 0

    async def handler() -> None:
        nonlocal seen
        seen |= await bus.read32(_ICR)

    async def caused(*, mask: int, unmask: int, set_: int) -> int:
        """What the handler finds when these causes are set."""
        nonlocal seen
        seen = 0
        bus.write32(_IMC if mask else _IMS, mask or unmask)
        bus.write32(_ICS, set_)
        await bus.read32(_STATUS.offset)
        await bus.env.sleep(wait)
        return seen

    try:
        bus.request_irq(handler)
    except ValueError:
        return 1
    try:
        bus.write32(_IMC, _ALL)
        for bit in range(_INTERRUPT_BITS):
            cause = 1 << bit
            others = _CAUSES & ~cause
            if await caused(mask=cause, unmask=0, set_=cause) & cause:
                return 3
            if not await caused(mask=0, unmask=cause, set_=cause) & cause:
                return 4
            if await caused(mask=others, unmask=0, set_=others):
                return 5
            bus.write32(_IMC, _ALL)
            # What was set and masked is still there.
            await bus.read32(_ICR)
    finally:
        bus.write32(_IMC, _ALL)
        bus.free_irq()
    return 0


def loopback_frame() -> bytes:
    """What is sent and looked for: a broadcast, with marks in its second half."""
    half = LOOPBACK_BYTES // 2
    frame = bytearray(b"\xff" * half + b"\xaa" * half)
    frame[half + 10], frame[half + 12] = 0xBE, 0xAF
    return bytes(frame)


async def loopback_test(bus: Bus, name: str) -> int:
    """Ten rounds of 64 frames through the PHY and back. 13: a frame does not arrive as it was sent; 14: a round takes
    too long; 1: the PHY does not answer."""
    frame = loopback_frame()
    async with _loopback_rings(bus, frame) as (receive, buffers):
        try:
            await _phy_loopback(bus, name)
        except OSError:
            return 1
        tail = BY_NAME["TDT"].offset
        next_frame = 0
        for _ in range(LOOPBACK_ROUNDS):
            for index in range(next_frame, next_frame + LOOPBACK_FRAMES):
                slot = index % LOOPBACK_RING
                bus.memory.write(buffers + slot * _BUFFER, bytes(LOOPBACK_BYTES))
                bus.memory.write(receive + slot * DESCRIPTOR_BYTES + 8, bytes(8))
            last = (next_frame + LOOPBACK_FRAMES) % LOOPBACK_RING
            bus.write32(tail, last)
            if not await _arrived(bus, receive + (last - 1) % LOOPBACK_RING * DESCRIPTOR_BYTES):
                return 14
            for index in range(next_frame, next_frame + LOOPBACK_FRAMES):
                slot = index % LOOPBACK_RING
                fields = RECEIVE.unpack(bus.memory.read(receive + slot * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES))
                good = fields["dd"] and fields["eop"] and fields["length"] == LOOPBACK_BYTES + _FCS
                if not good or bus.memory.read(buffers + slot * _BUFFER, LOOPBACK_BYTES) != frame:
                    return 13
            next_frame = last
            bus.write32(BY_NAME["RDT"].offset, (last - 1) % LOOPBACK_RING)
    return 0


async def _arrived(bus: Bus, descriptor: int) -> bool:
    """Whether a descriptor is done in time."""
    for _ in range(_ROUND_LIMIT // _POLL_INTERVAL):
        await bus.env.sleep(_POLL_INTERVAL)
        if RECEIVE.unpack(bus.memory.read(descriptor, DESCRIPTOR_BYTES))["dd"]:
            return True
    return False


async def _phy_loopback(bus: Bus, name: str) -> None:
    for number, value in _PHY_SETUP:
        await write_phy(bus, number, value, name)
    ctrl = await bus.read32(_CTRL.offset) & ~_CTRL.mask("SPEED")
    bus.write32(_CTRL.offset, ctrl | _CTRL.value(SLU=1, FRCSPD=1, FRCDPX=1, SPEED=2, FD=1, ILOS=1))
    for number, value in _PHY_PAGES:
        await write_phy(bus, number, value, name)


@asynccontextmanager
async def _loopback_rings(bus: Bus, frame: bytes) -> AsyncIterator[tuple[int, int]]:
    """Rings of their own: each transmit descriptor has the frame, each receive descriptor a buffer. Yields the
    addresses of the receive ring and its buffers; afterwards the PHY and both engines are off again, and the memory is
    free."""
    memory = bus.memory
    size = LOOPBACK_RING * DESCRIPTOR_BYTES
    transmit, receive = memory.allocate(size, 4096), memory.allocate(size, 4096)
    data, buffers = memory.allocate(LOOPBACK_BYTES), memory.allocate(LOOPBACK_RING * _BUFFER, 4096)
    memory.write(data, frame)
    for index in range(LOOPBACK_RING):
        given = TRANSMIT_LEGACY.pack(address=data, length=LOOPBACK_BYTES, eop=1, ifcs=1, rps=1)
        memory.write(transmit + index * DESCRIPTOR_BYTES, given)
        memory.write(receive + index * DESCRIPTOR_BYTES, RECEIVE.pack(address=buffers + index * _BUFFER))
    for prefix, address in (("TD", transmit), ("RD", receive)):
        bus.write32(BY_NAME[f"{prefix}BAL"].offset, address & _ALL)
        bus.write32(BY_NAME[f"{prefix}BAH"].offset, address >> 32)
        bus.write32(BY_NAME[f"{prefix}LEN"].offset, size)
        bus.write32(BY_NAME[f"{prefix}H"].offset, 0)
        bus.write32(BY_NAME[f"{prefix}T"].offset, 0)
    bus.write32(_TCTL.offset, _TCTL.value(PSP=1, EN=1, CT=0x0F, COLD=0x40))
    bus.write32(_RCTL.offset, _RCTL.value(EN=1, BAM=1))
    bus.write32(BY_NAME["RDT"].offset, LOOPBACK_RING - 1)
    try:
        yield receive, buffers
    finally:
        await write_phy(bus, CONTROL, _PHY_RESET, "loopback")
        bus.write32(_TCTL.offset, 0)
        bus.write32(_RCTL.offset, 0)
        await bus.read32(_STATUS.offset)
        for address in (transmit, receive, data, buffers):
            memory.free(address)


async def link_test(device: "E1000", *, wait: int) -> int:
    """1: there is no link."""
    await read_phy(device.bus, STATUS, device.name)
    if not await read_phy(device.bus, STATUS, device.name) & _LINK:
        return 1
    await device.bus.env.sleep(wait)
    return 0 if await device.bus.read32(_STATUS.offset) & _STATUS.mask("LU") else 1
