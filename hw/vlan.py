"""VLAN tags as the NIC sees them (IEEE 802.1Q clause 9.3 to 9.6; manual chapter 9, 13.4.11 VET).

Pure Python: the golden functions of tag removal and insertion. A tag is the 4 bytes behind the source address: a type,
which VET holds, and the tag control information (priority 15:13, CFI 12, VLAN identifier 11:0). Of several tags the
outermost alone is looked at.
"""

__all__ = ["ADDRESS_BYTES", "TAG_BYTES", "insert", "strip", "tag_of"]

ADDRESS_BYTES = 12
"""Destination and source: what stands before a tag."""

TAG_BYTES = 4


def tag_of(frame: bytes, vet: int) -> int | None:
    """The tag control information of a frame, or ``None`` if it has no tag, or not the whole of one.

    ``vet`` is VET; 0, its value after reset, is no type, and so no frame has a tag.
    """
    end = ADDRESS_BYTES + TAG_BYTES
    if len(frame) < end or not vet or int.from_bytes(frame[ADDRESS_BYTES : end - 2], "big") != vet:
        return None
    return int.from_bytes(frame[end - 2 : end], "big")


def strip(frame: bytes, vet: int) -> bytes:
    """The frame without its tag, if it has one."""
    if tag_of(frame, vet) is None:
        return frame
    return frame[:ADDRESS_BYTES] + frame[ADDRESS_BYTES + TAG_BYTES :]


def insert(frame: bytes, vet: int, tag: int) -> bytes:
    """The frame with a tag. A frame that ends with its addresses, or before, stays as it is."""
    if len(frame) <= ADDRESS_BYTES:
        return frame
    return frame[:ADDRESS_BYTES] + vet.to_bytes(2, "big") + tag.to_bytes(2, "big") + frame[ADDRESS_BYTES:]
