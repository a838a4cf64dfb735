"""A descriptor ring's registers, and its prefetch (``hw.ring``)."""

from collections.abc import Callable
from struct import Struct
from typing import Final

from hw.descriptors import DESCRIPTOR_BYTES
from hw.ring import bursts, fetch
from hw.thresholds import ON_CHIP, threshold
from sim.model.events import Events
from sim.model.memory_port import LAST_ADDRESS, MemoryPort
from sim.model.timing import Timing

__all__ = ["Descriptor", "Prefetch", "Ring"]


class Ring:
    """What software says of a ring: address, length, tail and thresholds, the last three in descriptors."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.base = 0
        self.size = 0
        self.tail = 0
        self.pthresh = self.hthresh = self.wthresh = 0
        self.wthresh_field = 0
        """WTHRESH as it was written: 0 means that status alone is written back."""
        self.low = 0
        """Descriptors left at which that is a cause: of TXDCTL.LWTHRESH."""

    def set_thresholds(self, *, pthresh: int, hthresh: int, wthresh: int, gran: int) -> None:
        self.pthresh = threshold(pthresh, gran=gran)
        self.hthresh = threshold(hthresh, gran=gran)
        self.wthresh = threshold(wthresh, gran=gran)
        self.wthresh_field = wthresh


_BYTES: Final[int] = DESCRIPTOR_BYTES
_PERIOD: Final = 4
"""Cycles from one descriptor to the next: states EMPTY, LOW_READ, HIGH_READ and OFFERING."""


_PREPARED: Final = 3
"""Of these, those before the last."""


class Descriptor:
    """One that has been fetched: its place in the ring, its 16 bytes, the address in their lower half, the upper half,
    and the cycle from which the engine could be offered it, were it the first."""

    __slots__ = ("address", "index", "raw", "ready", "upper")

    def __init__(self, index: int, raw: bytes, address: int, upper: int, ready: int) -> None:
        self.index = index
        self.raw = raw
        self.address = address
        self.upper = upper
        self.ready = ready


_HALVES: Final = Struct("<QQ")


class Prefetch:
    """Fetches descriptors ahead of the engine that works on them, which ``take`` s them in order.

    ``on_offer`` is called in a cycle from which on there is one to take.
    """

    def __init__(
        self, events: Events, timing: Timing, port: MemoryPort, ring: Ring, on_offer: Callable[[], None]
    ) -> None:
        self._events = events
        self._timing = timing
        self._port = port
        self._ring = ring
        self._on_offer = on_offer
        self.enabled = False
        self._epoch = 0
        self.reset()

    def reset(self) -> None:
        self.enabled = False
        self._restart(0)

    def _restart(self, head: int) -> None:
        """All that was fetched is dropped, and what is on its way too."""
        self._epoch += 1
        self._following = head
        self._on_chip = 0
        self._cache: list[Descriptor] = []
        self._free = 0
        self._deciding = False
        self._fetching = False
        self._polling = False
        self._base = 0
        self._prepared = False
        """The next descriptor is on offer, or about to be, though the engine has been disabled."""

    @property
    def active(self) -> bool:
        """There are descriptors on the chip, or on their way."""
        return self._on_chip > 0 or self._deciding or self._fetching

    def head_written(self, head: int) -> None:
        self._restart(head)
        self.consider()

    def enable(self, on: bool) -> None:
        if on == self.enabled:
            return
        now = self._events.now
        offer = self.next_offer()
        self._prepared = not on and offer is not None and offer - _PREPARED <= now
        self.enabled = on
        if on:
            if offer is None:
                self._free = max(self._free, now + _PREPARED)
            self._polling = False
            self._consider(self._timing.prefetch_enable)
            if self._cache:
                self._on_offer()

    def consider(self) -> None:
        """A register that decides about fetching has changed in the present cycle."""
        self._consider(self._timing.prefetch_decide)

    def _consider(self, delay: int) -> None:
        if not self.enabled or self._fetching:
            return
        if not self._available():
            self._polling = False
            return
        due = self._events.now + delay
        if self._polling:
            # While there is something that could be fetched it looks in every other cycle.
            due += (due - self._base) % 2
        else:
            self._polling, self._base = True, due
        if self._count() and not self._deciding:
            self._deciding = True
            self._events.at(due, self._decide, self._epoch)

    def _available(self) -> int:
        """Descriptors that could be fetched."""
        ring = self._ring
        following, end, size = self._following, ring.tail, ring.size
        if following == end or following >= size or end >= size:
            return 0
        return (end - following) % size

    def _count(self) -> int:
        """How many to fetch now."""
        ring = self._ring
        if self._on_chip and self._on_chip >= ring.pthresh:
            return 0  # as ``fetch`` says, which is interpreted, and asked for each new tail
        count: int = fetch(
            on_chip=self._on_chip,
            available=self._available(),
            prefetch=ring.pthresh,
            host=ring.hthresh,
            depth=ON_CHIP,
        )
        return count

    def _decide(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        self._deciding = False
        count = self._count()
        if not count or not self.enabled:
            return
        self._fetching = True
        self._polling = False
        self._request(epoch, [*bursts(self._following, count, base=self._ring.base, size=self._ring.size)])

    def _request(self, epoch: int, waiting: list[tuple[int, int]]) -> None:
        if epoch != self._epoch:
            return
        if not self.enabled:
            self._fetching = False
            return
        now, ring = self._events.now, self._ring
        address, length = waiting.pop(0)
        address &= LAST_ADDRESS
        count = length // DESCRIPTOR_BYTES
        first, last = self._port.request(now, address, length)
        self._events.at(first, self._answer, epoch, self._following, address, length, last)
        self._following = (self._following + count) % ring.size if ring.size else 0
        self._on_chip += count
        if waiting:
            self._events.at(now + self._timing.prefetch_burst, self._request, epoch, waiting)
        else:
            self._events.at(now + self._timing.prefetch_burst, self._end_fetch, epoch)

    def _end_fetch(self, epoch: int) -> None:
        if epoch == self._epoch:
            self._fetching = self._polling = False
            self._consider(0)

    def _answer(self, epoch: int, index: int, address: int, length: int, last: int) -> None:
        """A burst begins to come."""
        data = self._port.load(self._events.now, address, length)
        if epoch != self._epoch:
            return
        empty = not self._cache
        count = length // DESCRIPTOR_BYTES
        offer, step = self._timing.prefetch_offer, max(2 * (last - self._events.now), 1)
        words = max(2 * count - 1, 1)
        size = self._ring.size
        for number, (lower, upper) in enumerate(_HALVES.iter_unpack(data)):
            # The words come evenly; a descriptor has two.
            came = self._events.now + (2 * number + 1) * step // (2 * words)
            start = _BYTES * number
            raw = data[start : start + _BYTES]
            self._cache.append(Descriptor((index + number) % size, raw, lower, upper, came + offer))
        if empty and self.enabled:
            self._on_offer()

    def next_offer(self) -> int | None:
        """The cycle in which the next descriptor is offered, or None if there is none in the cache."""
        if not self._cache or not (self.enabled or self._prepared):
            return None
        ready = self._cache[0].ready
        return ready if ready > self._free else self._free

    @property
    def empty(self) -> bool:
        """There is nothing to take until more has come."""
        return not self._cache

    def at_hand(self, cycle: int) -> Descriptor | None:
        """The descriptor that can be taken in a cycle, if there is one, and nothing is on its way."""
        if not self._cache or not self.enabled or self._fetching:
            return None
        first = self._cache[0]
        return first if first.ready <= cycle and self._free <= cycle else None

    def suffices(self) -> bool:
        """One descriptor can be taken without another being fetched."""
        return self._on_chip > max(self._ring.pthresh, 1)

    def take(self, cycle: int) -> Descriptor:
        """The engine takes the next descriptor in a cycle."""
        taken = self._cache.pop(0)
        self._free = cycle + _PERIOD
        self._prepared = False
        self._on_chip -= 1
        if not self._on_chip or self._on_chip < self._ring.pthresh:
            self._consider(self._timing.prefetch_taken)
        return taken
