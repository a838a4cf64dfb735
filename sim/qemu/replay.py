"""A capture file at the far end of the wire: its frames are sent to the guest, at the intervals that it tells."""

import time
from collections import deque
from pathlib import Path
from typing import Any

from sim.errors import UserError
from sim.qemu.far_end import FarEnd
from sim.wire import Link

__all__ = ["ReplayFarEnd", "read_capture"]


class ReplayFarEnd(FarEnd):
    """Begins when the guest begins to receive. What the guest sends is taken and forgotten.

    Raises ``UserError`` if the file is no capture of Ethernet.
    """

    def __init__(self, link: Link, path: Path) -> None:
        super().__init__(link)
        self._frames = deque(read_capture(path))
        self._started: float | None = None

    def receiver_on(self) -> None:
        """The guest receives from now on."""
        if self._started is None:
            self._started = time.monotonic()

    def deadline(self) -> float | None:
        if self._started is None or not self._frames:
            return None
        return max(self._started + self._frames[0][0] - time.monotonic(), 0.0)

    def run(self) -> None:
        if self._started is None:
            return
        while self._frames and self.has_room and self._started + self._frames[0][0] <= time.monotonic():
            self.send(self._frames.popleft()[1])


def read_capture(path: Path) -> list[tuple[float, bytes]]:
    """Seconds since the first frame, and frame without FCS, of a pcap or pcapng file.

    Raises ``UserError`` if it cannot be read, or is no capture of whole Ethernet frames.
    """
    # Half a second, which only this needs to spend.
    from scapy.data import DLT_EN10MB
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapNgReader, RawPcapReader

    frames: list[tuple[float, bytes]] = []
    about: Any  # which kind of record depends on the file
    try:
        with RawPcapReader(str(path)) as reader:
            for frame, about in reader:
                if isinstance(reader, RawPcapNgReader):
                    link_type, stamp = about.linktype, (about.tshigh << 32 | about.tslow) / about.tsresol
                else:
                    link_type, stamp = reader.linktype, about.sec + about.usec / (1e9 if reader.nano else 1e6)
                if link_type != DLT_EN10MB or len(frame) < about.wirelen:
                    raise UserError(f"{path}: frame {len(frames) + 1} is cut short or not Ethernet")
                frames.append((stamp, frame))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (Scapy_Exception, EOFError, ValueError, TypeError) as error:
        raise UserError(f"{path} is no capture (pcap or pcapng): {error}") from None
    if not frames:
        raise UserError(f"{path} holds no frames")
    return [(stamp - frames[0][0], frame) for stamp, frame in frames]
