"""Flow control with pause frames: what is offered, what comes of it, and the registers (IEEE 802.3 clause 31 and annex
28B; manual 3.7.5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from driver.phy import ADVERTISEMENT, CONTROL, PARTNER, STATUS, read_phy, write_phy
from hw.registers import BY_NAME

if TYPE_CHECKING:
    from driver.e1000 import E1000

__all__ = [
    "FlowControl",
    "advertisement",
    "configure_flow_control",
    "offer_flow_control",
    "resolve",
    "write_flow_control",
]

PAUSE: Final = 1 << 10
ASYMMETRIC: Final = 1 << 11
"""Bits of an advertisement (annex 28B.2): PAUSE and ASM_DIR."""

PAUSE_TIME: Final = 0xFFFF
"""Quanta of 512 bit times that a pause frame asks for, as Linux does; an XON frame ends it."""

_NEGOTIATED: Final = 1 << 5
_RESTART: Final = 1 << 9

_FCAL, _FCAH, _FCT, _FCTTV = (BY_NAME[name].offset for name in ("FCAL", "FCAH", "FCT", "FCTTV"))
_FCRTL: Final = BY_NAME["FCRTL"]
_FCRTH: Final = BY_NAME["FCRTH"]


@dataclass(frozen=True, kw_only=True)
class FlowControl:
    """Whether pause frames are heeded (``rx``) and sent (``tx``), and whether that is an offer to the link partner or
    by force (``ethtool -A``)."""

    autonegotiate: bool = False
    rx: bool = False
    tx: bool = False


def advertisement(*, rx: bool, tx: bool) -> int:
    """The bits of an advertisement that offers this. Heeding alone cannot be told from both (annex 28B.3)."""
    if rx:
        return PAUSE | ASYMMETRIC
    return ASYMMETRIC if tx else 0


def resolve(offered: int, partner: int, wanted: FlowControl) -> tuple[bool, bool]:
    """``(rx, tx)`` from what both ends advertise (annex 28B.3, table 28B-3), as Linux does it: to a partner that offers
    nothing, one that wants to heed pause frames still does."""
    ours, theirs = (offered & PAUSE, offered & ASYMMETRIC), (partner & PAUSE, partner & ASYMMETRIC)
    if ours[0] and theirs[0]:
        return True, wanted.rx and wanted.tx
    if not ours[0] and ours[1] and theirs[0] and theirs[1]:
        return False, True
    if ours[0] and ours[1] and not theirs[0] and theirs[1]:
        return True, False
    return wanted.rx, False


def write_flow_control(device: "E1000") -> None:
    """The registers that do not depend on the link: address, type and time of pause frames, and the thresholds."""
    bus = device.bus
    for offset, value in ((_FCAL, 0x00C28001), (_FCAH, 0x0100), (_FCT, 0x8808), (_FCTTV, PAUSE_TIME)):
        bus.write32(offset, value)
    low = high = 0
    if device.flow_control.tx:
        # XOFF while there is room for a frame, and at nine tenths at the latest; XON 8 bytes below (Linux's
        # e1000_reset).
        size = device.packet_buffer << 10
        high = min(size * 9 // 10, size - device.maximum_frame) & _FCRTH["RTH"].mask
        low = (high - 8) | _FCRTL.mask("XONE")
    bus.write32(_FCRTL.offset, low)
    bus.write32(_FCRTH.offset, high)


async def offer_flow_control(device: "E1000") -> None:
    """Put the wish into the PHY's advertisement, and negotiate anew if it is another one; or force it."""
    bus, name, wanted = device.bus, device.name, device.flow_control
    if not wanted.autonegotiate:
        device.set_pause(rx=wanted.rx, tx=wanted.tx)
        return
    old = await read_phy(bus, ADVERTISEMENT, name)
    new = (old & ~(PAUSE | ASYMMETRIC)) | advertisement(rx=wanted.rx, tx=wanted.tx)
    if new != old:
        await write_phy(bus, ADVERTISEMENT, new, name)
        control = await read_phy(bus, CONTROL, name)
        await write_phy(bus, CONTROL, control | _RESTART, name)


async def configure_flow_control(device: "E1000") -> None:
    """The link is up: do what the negotiation says (e1000_config_fc_after_link_up)."""
    bus, name = device.bus, device.name
    # A link that was lost is told by the first read alone.
    await read_phy(bus, STATUS, name)
    if not await read_phy(bus, STATUS, name) & _NEGOTIATED:
        return
    offered = await read_phy(bus, ADVERTISEMENT, name)
    partner = await read_phy(bus, PARTNER, name)
    rx, tx = resolve(offered, partner, device.flow_control)
    device.set_pause(rx=rx, tx=tx)
