"""Frames that come from the wire in random programs."""

import random

from hypothesis import strategies as st

from hw.mac.fcs import append_fcs
from hw.mac.pause import pause_frame
from sim.model.nic import MAC_ADDRESS
from tests.hw.frames import make_packet, spoil
from tests.system.program_steps import REST, Arrive

__all__ = ["PAUSE_TYPE", "arrivals", "floods", "frames"]

_MULTICAST, _OTHER = bytes.fromhex("01005e000001"), bytes.fromhex("020000000003")
_PAUSE_ADDRESS = bytes.fromhex("0180c2000001")
PAUSE_TYPE, _VET = 0x8808, 0x8100


def _frame(kind: str, length: int, seed: int, good: bool) -> bytes:
    """A frame with FCS of about that length."""
    rng = random.Random(seed)
    filling = rng.randbytes(length)
    if kind == "packet":
        frame = bytes(make_packet(rng))
    elif kind == "spoilt":
        frame = spoil(rng, bytes(make_packet(rng)))
    elif kind == "tagged":
        packet = bytes(make_packet(rng))
        frame = packet[:12] + _VET.to_bytes(2, "big") + rng.randbytes(2) + packet[12:]
    elif kind == "pause":
        frame = pause_frame(
            destination=rng.choice((_PAUSE_ADDRESS, MAC_ADDRESS)),
            source=_OTHER,
            fct=PAUSE_TYPE,
            quanta=rng.choice((0, 1, 3, 20)),
        )
        if rng.randrange(4) == 0:
            frame = frame[:14] + rng.randbytes(2) + frame[16:]
    elif kind == "anything":
        frame = filling
    else:
        destination = {"own": MAC_ADDRESS, "broadcast": b"\xff" * 6, "multicast": _MULTICAST, "other": _OTHER}[kind]
        frame = destination + _OTHER + rng.choice((b"\x88\xb5", b"\x08\x00", b"\x86\xdd")) + filling
    if kind != "anything" and rng.randrange(4):
        frame = frame.ljust(60, b"\0")
    whole: bytes = append_fcs(frame)
    return whole if good else whole[:-1] + bytes([whole[-1] ^ 0x10])


_KINDS = ("own", "own", "broadcast", "multicast", "other", "packet", "packet", "spoilt", "tagged", "pause", "anything")
frames = st.builds(
    _frame,
    st.sampled_from(_KINDS),
    st.one_of(st.sampled_from((0, 1, 40, 45, 46, 47, 50, 100, 1500, 1504, 1505, 4000)), st.integers(0, 300)),
    st.integers(0, 0xFFFF),
    st.sampled_from((True, True, True, True, False)),
)
arrivals = st.lists(frames, min_size=1, max_size=4).map(lambda several: [*map(Arrive, several), REST])


floods = st.builds(
    lambda kind, length, seed, count: [Arrive(_frame(kind, length, seed, True)), REST] * count,
    st.sampled_from(("own", "broadcast", "packet")),
    st.sampled_from((46, 300, 1500, 1500, 9000)),
    st.integers(0, 0xFFFF),
    st.integers(5, 60),
)
"""More than the buffer holds, if nobody takes it from there; which is lost would else be a matter of cycles."""
