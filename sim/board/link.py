"""The host's end of the link to a board (docs/bridge-protocol.md), without I/O: given octets and the time, it says what
to send and what has come.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from hw.bridge.framing import Unframer, enframe
from hw.bridge.protocol import (
    BUILD_ID_OCTETS,
    MAX_INFORMATION,
    MODULUS,
    REJ,
    RR,
    SABME,
    UA,
    between,
)
from stack.environment import Random

__all__ = ["Identity", "Link", "LinkCounters", "LinkError", "LinkParameters"]

_WINDOW = 7
"""Frames on their way to the board. It has room for eight."""

_AHEAD = 1_000_000
"""ns of octets that wait for the line at most: what has to be sent again shall not wait behind what is in vain."""


class LinkError(Exception):
    """The board does not answer, or not as it should."""


@dataclass(frozen=True, kw_only=True)
class LinkParameters:
    """Times in ns."""

    baud: int = 3_000_000
    """Of the line: an octet takes ten bits, and frames take their time to leave."""
    t1: int = 100_000_000
    """After so long without an acknowledgment of what has left, frames are sent again."""
    connect_t1: int = 150_000_000
    """The same for setting up the link."""
    attempts: int = 5
    """Sendings without an answer after which the board is given up."""

    def __post_init__(self) -> None:
        for name in ("baud", "t1", "connect_t1", "attempts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} takes a positive number, not {getattr(self, name)!r}")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a board says of itself when a link is set up. Of one with another version only that is known."""

    version: int
    build_id: bytes
    memory_kib: int


@dataclass(kw_only=True)
class LinkCounters:
    frames_sent: int = 0
    """Information frames, each sending counted."""
    frames_resent: int = 0
    """Those of them that had been sent before."""
    frames_received: int = 0
    """Information frames in sequence."""
    frames_repeated: int = 0
    """Information frames out of sequence: seen before, or after one that was lost."""
    frames_damaged: int = 0
    """Frames with a wrong FCS."""
    rejects_received: int = 0
    timeouts: int = 0


class Link:
    """``receive`` and ``transmit`` drive it; it wants ``transmit`` to be called after each ``receive``, ``send`` and
    ``connect``, and at ``deadline``.
    """

    def __init__(self, random: Random, *, parameters: LinkParameters | None = None) -> None:
        self.parameters = parameters or LinkParameters()
        self.counters = LinkCounters()
        self.identity: Identity | None = None
        """None until the link is set up."""
        self._timeout: int | None = None
        self._resume: int | None = None
        self._random = random
        self._octet_time = 10_000_000_000 // self.parameters.baud
        self._line_free_at = 0
        self._unframer = Unframer()
        self._token: int | None = None
        self._requests = bytearray()
        self._unacknowledged: deque[bytes] = deque()
        self._v_s = self._v_a = self._v_r = 0
        self._highest = 0  # V(S) as far as it has been
        self._owe_rr = self._owe_rej = False
        self._rejecting = False
        self._attempts = 0

    @property
    def deadline(self) -> int | None:
        """Time at which ``transmit`` has to be called, if nothing happens before."""
        return min((time for time in (self._timeout, self._resume) if time is not None), default=None)

    def connect(self, now: int) -> None:
        """Set the link up, anew if there is one: the board and its NIC are reset."""
        self.identity = None
        self._requests.clear()
        self._unacknowledged.clear()
        self._v_s = self._v_a = self._v_r = self._highest = 0
        self._owe_rr = self._owe_rej = self._rejecting = False
        self._attempts = 0
        self._timeout = now
        self._resume = None

    def send(self, request: bytes) -> None:
        """Queue a request of ``hw.bridge.requests``."""
        self._requests += request

    def idle(self) -> bool:
        """Whether the board has acknowledged all that was sent."""
        return not self._requests and not self._unacknowledged

    def receive(self, octets: bytes, now: int) -> Iterator[bytes]:
        """Takes what has come over the line; yields the information of each frame in sequence."""
        for frame in self._unframer.receive(octets):
            yield from self._frame(frame, now)
        if self._unframer.damaged != self.counters.frames_damaged:
            self.counters.frames_damaged = self._unframer.damaged
            self._owe_rej = self._rejecting = self.identity is not None

    def _frame(self, frame: bytes, now: int) -> Iterator[bytes]:
        if frame[0] == UA:
            self._unnumbered(frame)
        elif self.identity is not None and len(frame) > 1:
            number, n_r = frame[0] >> 1, frame[1] >> 1
            information = not frame[0] & 1
            if information or frame[0] in (RR, REJ):
                self._acknowledge(n_r, now, reject=frame[0] == REJ)
            if information and number == self._v_r:
                self._v_r = (self._v_r + 1) % MODULUS
                self._owe_rr = True
                self._rejecting = False
                self.counters.frames_received += 1
                yield frame[2:]
            elif information:
                self.counters.frames_repeated += 1
                if (self._v_r - number) % MODULUS < MODULUS // 2:
                    self._owe_rr = True
                elif not self._rejecting:
                    self._rejecting = self._owe_rej = True

    def _unnumbered(self, frame: bytes) -> None:
        if self.identity is not None or self._token is None or len(frame) < 3 or frame[1] != self._token:
            return
        rest = frame[3 + BUILD_ID_OCTETS :]
        self.identity = Identity(
            version=frame[2],
            build_id=frame[3 : 3 + BUILD_ID_OCTETS],
            memory_kib=int.from_bytes(rest[:2], "little"),
        )
        self._attempts = 0
        self._timeout = None

    def _acknowledge(self, n_r: int, now: int, *, reject: bool) -> None:
        if not between(self._v_a, n_r, self._highest):
            return
        if n_r != self._v_a:
            for _ in range((n_r - self._v_a) % MODULUS):
                self._unacknowledged.popleft()
            if not between(n_r, self._v_s, self._highest):
                self._v_s = n_r
            self._v_a = n_r
            self._attempts = 0
            self._timeout = max(now, self._line_free_at) + self.parameters.t1 if self._unacknowledged else None
        if reject:
            self.counters.rejects_received += 1
            self._v_s = n_r

    def transmit(self, now: int) -> bytes:
        """What to put on the line. Raises ``LinkError`` if the board has not answered for too long."""
        timed_out = self._timeout is not None and now >= self._timeout
        if timed_out:
            self._count_attempt()
            self._timeout = None
        self._resume = None
        self._line_free_at = max(now, self._line_free_at)
        if self.identity is None:
            return self._put(self._set_up(), self.parameters.connect_t1) if timed_out else b""
        if timed_out:
            self.counters.timeouts += 1
            self._v_s = self._v_a
        output = b""
        if self._owe_rej:
            output += self._put(bytes([REJ, self._v_r << 1]))
            self._owe_rr = self._owe_rej = False
        while self._has_information():
            if self._line_free_at - now >= _AHEAD:
                self._resume = self._line_free_at - _AHEAD // 2
                break
            output += self._put(self._information(), self.parameters.t1)
            self._owe_rr = False
        if self._owe_rr:
            output += self._put(bytes([RR, self._v_r << 1]))
            self._owe_rr = False
        return output

    def _put(self, frame: bytes, timeout: int | None = None) -> bytes:
        """What goes over the line for a frame, which is to be answered within this time after it has left."""
        line = bytes(enframe(frame))
        self._line_free_at += len(line) * self._octet_time
        if timeout is not None:
            self._timeout = self._timeout or self._line_free_at + timeout
        return line

    def _set_up(self) -> bytes:
        # Another one each time: the answer is to the last.
        self._token = (1 + self._random.randrange(255) + (self._token or 0)) % 256
        return bytes([SABME, self._token])

    def _count_attempt(self) -> None:
        if self._attempts == self.parameters.attempts:
            self._timeout = None
            raise LinkError(f"no answer to {self._attempts} attempts")
        self._attempts += 1

    def _has_information(self) -> bool:
        """Whether a frame may be sent: one that was before, or a new one."""
        place = (self._v_s - self._v_a) % MODULUS
        return place < len(self._unacknowledged) or (place < _WINDOW and bool(self._requests))

    def _information(self) -> bytes:
        place = (self._v_s - self._v_a) % MODULUS
        if place == len(self._unacknowledged):
            self._unacknowledged.append(bytes(self._requests[:MAX_INFORMATION]))
            del self._requests[:MAX_INFORMATION]
            self._highest = (self._v_s + 1) % MODULUS
        else:
            self.counters.frames_resent += 1
        self.counters.frames_sent += 1
        head = bytes([self._v_s << 1, self._v_r << 1])
        self._v_s = (self._v_s + 1) % MODULUS
        return head + self._unacknowledged[place]
