"""What becomes of a received frame: the golden functions of all stages put together."""

from dataclasses import dataclass

from hw.frame_records import Received, receive_increments
from hw.mac.fcs import FCS_BYTES, append_fcs
from hw.receive.checksum import receive_checksum
from hw.receive.filter import FilterSettings, control_frame, drop_reason, is_inexact
from hw.vlan import strip, tag_of

__all__ = ["Outcome", "has_good_fcs", "outcome"]

_ADDRESS_BYTES = 6


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``dropped`` is the field of ``Drops``, or ``None`` if the frame is stored; then ``info`` has the fields of
    ``ReceiveInfo`` but for the length, and ``data`` the bytes. ``counts`` is what the frame adds to which counter while
    there is room for it."""

    dropped: str | None
    info: dict[str, int]
    data: bytes
    counts: dict[str, int]


def has_good_fcs(whole: bytes) -> bool:
    """Whether a frame ends with its FCS."""
    return len(whole) >= FCS_BYTES and append_fcs(whole[:-FCS_BYTES]) == whole


def outcome(
    whole: bytes,
    *,
    crc_error: bool,
    rx_error: bool = False,
    settings: FilterSettings,
    rxcsum: dict[str, int],
    vme: bool,
) -> Outcome:
    """The outcome of a frame of at least one byte, FCS included. ``rxcsum`` has the fields of RXCSUM in lower case."""
    errors = {"crc_error": crc_error, "rx_error": rx_error}
    dropped = drop_reason(whole, **errors, overrun=False, settings=settings)
    strip_crc = bool(settings.rctl["secrc"])
    sums = receive_checksum(
        whole,
        pcss=rxcsum["pcss"],
        ip_offload=bool(rxcsum["ipofl"]),
        tcp_offload=bool(rxcsum["tuofl"]),
        strip_crc=strip_crc,
        strip_tag=vme,
        vet=settings.vet,
    )
    tag = tag_of(whole, settings.vet) if vme else None
    data = strip(whole, settings.vet) if vme else whole
    if strip_crc:
        data = data[: max(len(data) - FCS_BYTES, 0)]

    address = whole[:_ADDRESS_BYTES].ljust(_ADDRESS_BYTES, b"\0")
    broadcast = address == b"\xff" * _ADDRESS_BYTES
    control = control_frame(whole, **errors, settings=settings)
    record = Received(
        length=len(whole),
        **errors,
        long=dropped in ("oversize", "jabber"),
        kept=dropped is None,
        unwanted=dropped in ("vlan", "no_match"),
        broadcast=broadcast,
        multicast=bool(address[0] & 1) and not broadcast,
        **({control.kind: True} if control else {}),
    )
    return Outcome(
        dropped=dropped,
        info={name: int(value) for name, value in vars(sums).items()}
        | {
            "ce": crc_error,
            "rxe": rx_error,
            "pif": is_inexact(whole, **errors, settings=settings),
            "vp": tag is not None,
            "special": tag or 0,
        },
        data=data,
        counts=receive_increments(record),
    )
