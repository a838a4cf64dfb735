"""Fragments become datagrams again, for both families (RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5).

Memory is bounded over all datagrams; what does not fit is dropped. Fragments that overlap condemn their datagram, with
whatever still comes of it (RFC 5722; Linux does so for IPv4 too); an exact duplicate does no harm.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from stack.counters import Counters, DropReason
from stack.environment import Cpu, Environment, Timer
from stack.ip.family import Family
from stack.ip.parameters import IpParameters

__all__ = ["Fragments", "Reassembly"]

_LARGEST: Final = 0xFFFF
_OVERHEAD: Final = 128
"""Bytes of memory for one fragment beside its data."""
_CE: Final = 3
_ECN: Final = 3


class Fragments:
    """What has come of one datagram."""

    __slots__ = ("broken", "congestion", "count", "first", "key", "pieces", "size", "starts", "timer", "total")

    def __init__(self, key: tuple[object, ...]) -> None:
        self.key = key
        self.starts: list[int] = []
        self.pieces: list[bytes] = []
        self.total: int | None = None
        """Length, known once the last fragment has come."""
        self.first = b""
        """The header of the fragment with offset 0."""
        self.congestion: set[int] = set()
        """ECN codepoints seen (RFC 3168 section 5.3)."""
        self.size = 0
        self.count = 0
        self.broken = False
        self.timer: Timer | None = None


class Reassembly:
    """One host's. ``expired(family, header, data)`` is called for a datagram of which the first fragment came, but
    not all in time."""

    def __init__(
        self,
        env: Environment,
        cpu: Cpu,
        counters: Counters,
        parameters: IpParameters,
        expired: Callable[[Family, bytes, bytes], None],
    ) -> None:
        self._env = env
        self._cpu = cpu
        self._counters = counters
        self._parameters = parameters
        self._expired = expired
        self._datagrams: dict[tuple[object, ...], Fragments] = {}
        self.memory = 0
        """Bytes that fragments take."""

    def add(
        self,
        family: Family,
        key: tuple[object, ...],
        offset: int,
        more: bool,
        header: "memoryview | bytes",
        data: "memoryview | bytes",
        dsfield: int,
    ) -> tuple[bytes, bytes, int] | None:
        """One fragment of the datagram that ``key`` names, ``offset`` in bytes. Returns (header of the first fragment,
        data, ECN codepoint) once all are there."""
        family.count(self._counters, "ReasmReqds")
        datagram = self._datagrams.get(key)
        if datagram is None:
            datagram = self._create(family, key)
            if datagram is None:
                return None
        reason = self._insert(family, datagram, offset, more, data)
        if reason is not None:
            self._counters.drop(reason)
            return None
        if offset == 0:
            datagram.first = bytes(header)
        datagram.congestion.add(dsfield & _ECN)
        if datagram.total is None or datagram.count < datagram.total:
            return None
        self._remove(datagram)
        if _CE in datagram.congestion and 0 in datagram.congestion:
            # One said that congestion may not be signalled, another that it was: somebody is not honest.
            family.count(self._counters, "ReasmFails")
            self._counters.drop(DropReason.IP_INHDR)
            return None
        family.count(self._counters, "ReasmOKs")
        codepoint = _CE if _CE in datagram.congestion else dsfield & _ECN
        return datagram.first, b"".join(datagram.pieces), codepoint

    def _create(self, family: Family, key: tuple[object, ...]) -> Fragments | None:
        if self.memory >= self._parameters.reassembly_memory:
            family.count(self._counters, "ReasmFails")
            self._counters.drop(DropReason.NOMEM)
            return None
        datagram = self._datagrams[key] = Fragments(key)
        duration = (
            self._parameters.reassembly_time_ipv4 if family.version == 4 else self._parameters.reassembly_time_ipv6
        )
        datagram.timer = self._env.call_at(self._cpu.now + duration, lambda: self._timeout(family, datagram))
        self._account(datagram, _OVERHEAD)
        return datagram

    def _insert(
        self, family: Family, datagram: Fragments, offset: int, more: bool, data: "memoryview | bytes"
    ) -> DropReason | None:
        """Put a fragment in its place, or say why not."""
        end = offset + len(data)
        if datagram.broken:
            return DropReason.DUP_FRAG
        if end > _LARGEST or (not more and datagram.total not in (None, end)):
            return self._break(family, datagram)
        if datagram.total is not None and end > datagram.total:
            return self._break(family, datagram)
        starts, pieces = datagram.starts, datagram.pieces
        at = bisect_left(starts, offset)
        if at < len(starts) and starts[at] == offset and len(pieces[at]) == len(data):
            return DropReason.DUP_FRAG
        if not more:
            if starts and starts[-1] + len(pieces[-1]) > end:
                return self._break(family, datagram)
            datagram.total = end
        if not data:
            return None
        if (at and starts[at - 1] + len(pieces[at - 1]) > offset) or (at < len(starts) and starts[at] < end):
            self._counters.mib["Ip.ReasmOverlaps" if family.version == 4 else "Ip6.ReasmOverlaps"] += 1
            return self._break(family, datagram)
        if self.memory + len(data) > self._parameters.reassembly_memory:
            return DropReason.NOMEM
        starts.insert(at, offset)
        pieces.insert(at, bytes(data))
        datagram.count += len(data)
        self._account(datagram, _OVERHEAD + len(data))
        return None

    def _break(self, family: Family, datagram: Fragments) -> DropReason:
        """Nothing will come of this datagram; its name stays taken until its time is over."""
        family.count(self._counters, "ReasmFails")
        datagram.broken = True
        datagram.starts.clear()
        datagram.pieces.clear()
        self._account(datagram, _OVERHEAD - datagram.size)
        return DropReason.IP_INHDR

    def _account(self, datagram: Fragments, size: int) -> None:
        datagram.size += size
        self.memory += size

    def _remove(self, datagram: Fragments) -> None:
        if datagram.timer is not None:
            datagram.timer.cancel()
        del self._datagrams[datagram.key]
        self.memory -= datagram.size

    def _timeout(self, family: Family, datagram: Fragments) -> None:
        self._remove(datagram)
        if datagram.broken:
            return
        family.count(self._counters, "ReasmTimeout")
        family.count(self._counters, "ReasmFails")
        self._counters.drop(DropReason.FRAG_REASM_TIMEOUT)
        if datagram.first:
            self._expired(family, datagram.first, datagram.pieces[0])

    def close(self) -> None:
        """Forget all."""
        for datagram in list(self._datagrams.values()):
            self._remove(datagram)
