"""What may be at the far end of the wire, in real time: nothing, a TAP device. Frames cross with their FCS."""

import errno
import fcntl
import os
import struct
from collections.abc import Sequence

from sim.errors import UserError
from sim.wire import Link, fcs, fcs_is_good

__all__ = ["FarEnd", "Silence", "TapFarEnd"]

_MINIMUM_BYTES = 60
_BACKLOG = 1_000_000
"""Nanoseconds of simulated time that frames may wait for the wire; more is left where it is."""


class FarEnd:
    """Implements ``sim.vfio_user.outside.Outside`` for something that sends and takes whole frames without FCS."""

    def __init__(self, link: Link) -> None:
        self.descriptors: Sequence[int] = ()
        self.bad_fcs = 0
        self._link = link
        self._free_at = 0
        link.a_to_b.deliver = self._arrive

    def deadline(self) -> float | None:
        return None

    def run(self) -> None: ...

    @property
    def checksum_errors(self) -> int:
        """Packets whose checksums of TCP, UDP or ICMP were wrong, as far as the far end looks at them."""
        return 0

    def receiver_on(self) -> None:
        """The guest has switched its receiver on."""

    def take(self, frame: bytes) -> None:
        """A frame from the NIC."""

    def send(self, frame: bytes) -> None:
        """Send the NIC a frame."""
        frame += bytes(max(_MINIMUM_BYTES - len(frame), 0))
        self._free_at = self._link.b_to_a.send(frame + fcs(frame))

    @property
    def has_room(self) -> bool:
        """Whether the wire keeps up."""
        return self._free_at - self._link.b_to_a.env.now < _BACKLOG

    def _arrive(self, start: int, frame: bytes) -> None:
        if fcs_is_good(frame):
            self.take(frame[:-4])
        else:
            self.bad_fcs += 1


class Silence(FarEnd):
    """A partner that makes a link and never says anything."""


_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_FRAME_ROOM = 65536


class TapFarEnd(FarEnd):
    """A TAP device of this machine (Linux's Documentation/networking/tuntap), which is made if it is not there.

    Raises ``UserError`` if that is not possible.
    """

    def __init__(self, link: Link, name: str) -> None:
        super().__init__(link)
        if not 0 < len(name.encode()) < 16:
            raise UserError(f"{name!r} is no name of a network interface: 1 to 15 bytes")
        try:
            self._descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self._descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
        except OSError as error:
            raise UserError(f"the TAP device {name} cannot be had (root can): {error.strerror}") from None
        self.descriptors = (self._descriptor,)

    def run(self) -> None:
        while self.has_room:
            try:
                self.send(os.read(self._descriptor, _FRAME_ROOM))
            except BlockingIOError:
                return

    def take(self, frame: bytes) -> None:
        try:
            os.write(self._descriptor, frame)
        except OSError as error:
            # The interface is down, or its queue is full: so are cables.
            if error.errno not in (errno.EIO, errno.ENOBUFS, errno.EAGAIN):
                raise
