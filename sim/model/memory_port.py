"""The NIC's way to host memory: the arbiter (``hw.dma``) and the bus behind it (``sim/rtl/bench.cpp``).

Reads: requests one every two cycles, answered in order after a latency, at the bus's width. Writes: a burst's words one
every two cycles at most, posted; what is written is seen in memory after a latency, in order.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from mypy_extensions import mypyc_attr

from hw.interfaces import MAX_BURST_BYTES
from sim.model.timing import Timing

__all__ = ["LAST_ADDRESS", "Memory", "MemoryPort"]

_WORD: Final = 8
LAST_ADDRESS: Final = (1 << 64) - 1
"""Addresses go on from there at 0."""

_READ: Final = 2
"""Cycles from a client's read request being taken to the bus having it: the arbiter's register."""
_WRITE: Final = 4
"""From a client's write request being taken to the bus having the first word: request, data, and their registers."""
_REMEMBERED: Final = 64
"""Requests that may be ahead of their time: more than any engine looks ahead."""
_REMEMBERED_BURSTS: Final = 160
"""Writes that may be: more than those of the longest frame."""


class Memory(Protocol):
    """Host memory by bus addresses: a ``memoryview``, or what looks like one."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice, /) -> bytes | memoryview: ...

    def __setitem__(self, key: slice, value: bytes, /) -> None: ...


@mypyc_attr(free_list_len=1)  # as often made as forgotten
class _Landing:
    """A write on its way: the cycle in which the bus took it, that from which memory shows it, address and bytes."""

    __slots__ = ("address", "data", "due", "taken")

    def __init__(self, taken: int, due: int, address: int, data: bytes) -> None:
        self.taken = taken
        self.due = due
        self.address = address
        self.data = data


_Burst = tuple[int, int, int, int]
"""A burst that is written: the cycle in which it is asked for, that in which its client has handed the last word over,
and what it adds to the counts of bytes and of words outside of memory."""


class MemoryPort:
    """Reads and writes ``view``, as the bus takes them.

    Latencies are in cycles, ``width`` in bytes per cycle.
    """

    def __init__(self, view: Memory, timing: Timing, *, read_latency: int, write_latency: int, width: int) -> None:
        self._view = view
        self._size = len(view)
        self._timing = timing
        self._read_latency = read_latency
        self._write_latency = write_latency
        self._width = width
        self._word_eighths = _WORD * _WORD // width
        self._pace = max(2 * _WORD, self._word_eighths)
        """Eighths of a cycle from a word of a write to the next."""
        self._request_free = 0
        self._read_free = 0  # in eighths of a cycle
        self._write_free = 0
        self._landings: list[_Landing] = []
        self._bursts: deque[_Burst] = deque(maxlen=_REMEMBERED_BURSTS)
        self._requests: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self.on_write: Callable[[int, int, int], None] | None = None
        """Called with the cycle from which memory is going to show a write, and the addresses from and up to which."""
        self.observers: list[Callable[[str, int, int, int], None]] = []
        """Called with "read" or "write", first cycle, cycles, and bytes of each access, when it is reckoned."""
        self.read_bytes = 0
        self.write_bytes = 0
        self.bad_reads = 0
        self.bad_writes = 0

    # Reads

    def request(self, cycle: int, address: int, length: int) -> tuple[int, int]:
        """Ask for ``length`` bytes in a cycle, at most ``MAX_BURST_BYTES``. Returns the cycles in which the first and
        the last word come; ``load`` has the bytes in the first."""
        taken = cycle if cycle > self._request_free else self._request_free
        self._request_free = taken + 2
        seen = taken + _READ
        self._requests.append((seen, length))
        self.read_bytes += length
        words = (address + length + _WORD - 1 >> 3) - (address >> 3)
        due = seen + self._read_latency
        free, step = self._read_free, self._word_eighths
        first = due if due * _WORD > free else -(-free // _WORD)
        start = free if free + _WORD > first * _WORD else first * _WORD
        self._read_free = start + words * step
        last = -(-(start + (words - 1) * step) // _WORD)
        for observer in self.observers:
            observer("read", cycle, last - cycle + 1, length)
        return first, last

    def read_bytes_until(self, cycle: int) -> int:
        """Bytes that have been asked for until a cycle near the present one."""
        return self.read_bytes - sum(length for seen, length in self._requests if seen > cycle)

    def load(self, cycle: int, address: int, length: int) -> bytes:
        """What is in memory in a cycle; all ones outside of it (a PCI master abort)."""
        if address + length > self._size:
            self.bad_reads += 1
            return b"\xff" * length
        if self._landings:
            self.land(cycle)
        return self._copy(address, address + length)

    def _copy(self, address: int, end: int) -> bytes:
        shown = self._view[address:end]
        return shown if isinstance(shown, bytes) else shown.tobytes()

    def peek(self, address: int, length: int) -> bytes | None:
        """What memory shows as long as nobody writes; None outside of it, or if a write there is on its way."""
        end = address + length
        if end > self._size:
            return None
        if self._landings and self.lands(address, length):
            return None
        return self._copy(address, end)

    def lands(self, address: int, length: int) -> bool:
        """Whether a write to some of these bytes is on its way."""
        end = address + length
        for landing in self._landings:
            if landing.address < end and address < landing.address + len(landing.data):
                return True
        return False

    # Writes

    def write(self, cycle: int, address: int, data: bytes, *, step: int = MAX_BURST_BYTES) -> int:
        """Offer data in a cycle, in as many bursts as it takes; returns when the last word has been handed over."""
        # Memory shows the data in steps of ``step`` bytes, which is a matter of looking closely.
        done, left = cycle, data
        address &= LAST_ADDRESS
        while True:
            piece = min(len(left), MAX_BURST_BYTES - address % MAX_BURST_BYTES)
            done = self._burst(done, address, left[:piece], step)
            if piece == len(left):
                break
            address, left = address + piece & LAST_ADDRESS, left[piece:]
            done += self._timing.receive_dma_burst
        for observer in self.observers:
            observer("write", cycle, done - cycle + 1, len(data))
        return done

    first_word = _WRITE

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return self._size

    @property
    def write_latency(self) -> int:
        return self._write_latency

    @property
    def full_width(self) -> bool:
        """The bus takes a word in every cycle."""
        return self._width == _WORD

    @property
    def write_free(self) -> int:
        """The cycle from which a burst is taken at once."""
        return self._write_free

    def place(self, taken: int, address: int, data: bytes, limit: int) -> None:
        """A burst whose last word the bus takes in a cycle, which the caller has reckoned as ``write`` would have. No
        observer is told.

        ``data`` lies within memory and within a burst; the bus is as wide as a word. Nobody looks up to
        and in ``limit``.
        """
        length = len(data)
        self.write_bytes += length
        self._write_free = taken - self._timing.arbiter_early
        due = taken + self._write_latency
        if self.on_write is not None:
            self.on_write(due, address, address + length)
        if due <= limit and not self._landings:
            self._view[address : address + length] = data
        else:
            self._landings.append(_Landing(taken, due, address, data))

    def _burst(self, cycle: int, address: int, data: bytes, step: int) -> int:
        taken = cycle if cycle > self._write_free else self._write_free
        self.write_bytes += len(data)
        words = (address + len(data) + _WORD - 1 >> 3) - (address >> 3)
        last = self._words(taken + _WRITE, 1)
        end = address + len(data)
        bad = 0
        if self.on_write is not None:
            self.on_write(last, address, end)
        if end <= self._size:
            for start in range(0, len(data), step):
                piece = data[start : start + step] if step < len(data) else data
                count = (address + start + len(piece) + _WORD - 1 >> 3) - (address + start >> 3)
                last = self._words(last if not start else last + 2, count)
                self._landings.append(_Landing(last, last + self._write_latency, address + start, piece))
        else:
            last = self._words(last, words)
            inside = max(0, self._size - (address & -_WORD)) // _WORD
            bad = words - inside
            self.bad_writes += bad
            if inside:
                kept = data[: self._size - address]
                self._landings.append(_Landing(last, last + self._write_latency, address, kept))
        self._write_free = done = last - self._timing.arbiter_early
        self._bursts.append((taken, done, len(data), bad))
        return done

    def flush(self, cycle: int) -> None:
        """CTRL.RST: the rest of a burst that has been asked for is void, and so is all that has not been."""
        while self._bursts and self._bursts[-1][0] > cycle:
            _, _, length, bad = self._bursts.pop()
            self.write_bytes -= length
            self.bad_writes -= bad
            self._write_free = self._bursts[-1][1] if self._bursts else cycle
        landings, self._landings = self._landings, []
        for landing in landings:
            taken, due, address, data = landing.taken, landing.due, landing.address, landing.data
            # The arbiter's register holds a word that the bus has not taken.
            behind = self._behind(taken, cycle + self._pace // _WORD + 1)
            kept = (address + len(data) + _WORD - 1 >> 3) - behind << 3
            if not behind:
                self._landings.append(landing)
            elif kept > address:
                self._landings.append(_Landing(taken, due, address, data[: kept - address]))

    def _behind(self, taken: int, cycle: int) -> int:
        """Words of a burst whose last one the bus takes in a cycle that it has not taken up to and in another."""
        return max(0, -((cycle - taken) * _WORD // self._pace))

    def _words(self, first: int, count: int) -> int:
        """When the last of some words is on the bus, if the first can be in a cycle."""
        if self._width == _WORD:
            return first + 2 * (count - 1)
        last = self._ready(first)
        for _ in range(count - 1):
            last = self._ready(last + 2)
        return last

    def _ready(self, cycle: int) -> int:
        """The first cycle from one on in which a bus of less than a word per cycle takes a word."""
        turn = -(-(cycle - 2) * _WORD // self._word_eighths)
        return 2 - (-self._word_eighths * turn // _WORD)

    def next_landing(self) -> int | None:
        """The cycle in which memory shows the next write."""
        return self._landings[0].due if self._landings else None

    def land(self, cycle: int) -> None:
        """Let memory show what is due."""
        landings, view = self._landings, self._view
        while landings and landings[0].due <= cycle:
            landing = landings.pop(0)
            view[landing.address : landing.address + len(landing.data)] = landing.data

    def flushed(self, cycle: int) -> int:
        """The cycle from which memory shows all words that the bus has taken before ``cycle``."""
        for landing in reversed(self._landings):
            words = (landing.address + len(landing.data) + _WORD - 1 >> 3) - (landing.address >> 3)
            behind = self._behind(landing.taken, cycle - 1)
            if behind < words:
                return landing.due - behind * self._pace // _WORD
        return cycle

    def busy_until(self) -> int:
        """The cycle in which nothing is on its way any more."""
        return max(-(-self._read_free // _WORD), self._write_free)
