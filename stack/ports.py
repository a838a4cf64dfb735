"""Ports of one transport protocol: who has bound which, and who gets a packet (RFC 9293 section 3.10.7, RFC 768).

One table for both families: an IPv6 wildcard that takes IPv4 too stands for both.
"""

import errno
from collections.abc import Iterator
from typing import Final, Generic, NamedTuple, TypeVar

from stack.address import IN6ADDR_ANY, INADDR_ANY, any_of
from stack.environment import Random

__all__ = ["EPHEMERAL", "Binding", "FourTuple", "PortTable", "ephemeral_ports"]

C = TypeVar("C")
L = TypeVar("L")

EPHEMERAL: Final = range(32768, 61000)
"""Linux's ``ip_local_port_range``."""


class FourTuple(NamedTuple):
    """What names a connection."""

    local: int
    local_port: int
    remote: int
    remote_port: int


class Binding(NamedTuple):
    """What a socket has taken. ``dual``: with the IPv6 wildcard also IPv4's."""

    address: int
    port: int
    reuse: bool = False
    dual: bool = False
    reuse_port: bool = False

    def names(self) -> tuple[tuple[int, int], ...]:
        """The (address, port) pairs that it stands for."""
        if self.address == IN6ADDR_ANY and self.dual:
            return (IN6ADDR_ANY, self.port), (INADDR_ANY, self.port)
        return ((self.address, self.port),)

    def overlaps(self, other: "Binding") -> bool:
        """Whether one packet might be for both."""
        for address, _ in self.names():
            for another, _ in other.names():
                wildcard = any_of(address) in (address, another)
                if address == another or (wildcard and any_of(address) == any_of(another)):
                    return True
        return False


def ephemeral_ports(random: Random) -> Iterator[int]:
    """Each port of the range once, from a random one on (RFC 6056 section 3.3.1, algorithm 1)."""
    start = random.randrange(len(EPHEMERAL))
    for offset in range(len(EPHEMERAL)):
        yield EPHEMERAL[(start + offset) % len(EPHEMERAL)]


class PortTable(Generic[C, L]):
    """``exact`` holds who speaks with one peer by four-tuple, ``wild`` who takes packets from all by (local address or
    wildcard, port). A packet costs one look-up for a connection, at most three."""

    __slots__ = ("_random", "bound", "exact", "used", "wild")

    def __init__(self, random: Random) -> None:
        self._random = random
        self.exact: dict[tuple[int, int, int, int], C] = {}
        self.wild: dict[tuple[int, int], list[L]] = {}
        self.bound: dict[int, list[Binding]] = {}
        self.used: dict[int, dict[int, int]] = {}
        """Connections by local port and address: how many."""

    # Packets

    def lookup(self, key: tuple[int, int, int, int]) -> C | L | None:
        """Who gets a packet: a connection, else the most particular of those that take any."""
        return self.exact.get(key) or self.listening(key)

    def listening(self, key: tuple[int, int, int, int]) -> L | None:
        """Who takes packets from any peer to this address and port. Of several with SO_REUSEPORT the peer's address
        and port choose."""
        local, port, remote, remote_port = key
        found = self.wild.get((local, port)) or self.wild.get((any_of(local), port))
        if not found:
            return None
        return found[(remote + remote_port) % len(found)] if len(found) > 1 else found[0]

    def connect(self, key: tuple[int, int, int, int], owner: C) -> None:
        """``owner`` gets what comes from one peer."""
        self.exact[key] = owner
        ports = self.used.setdefault(key[1], {})
        ports[key[0]] = ports.get(key[0], 0) + 1

    def disconnect(self, key: tuple[int, int, int, int], owner: C) -> None:
        """It gets that no more."""
        if self.exact.get(key) is not owner:
            return
        del self.exact[key]
        ports = self.used[key[1]]
        ports[key[0]] -= 1
        if not ports[key[0]]:
            del ports[key[0]]
            if not ports:
                del self.used[key[1]]

    def listen(self, binding: Binding, owner: L) -> None:
        """``owner`` gets what comes from any peer."""
        for name in binding.names():
            self.wild.setdefault(name, []).append(owner)

    def unlisten(self, binding: Binding, owner: L) -> None:
        """It gets that no more."""
        for name in binding.names():
            owners = self.wild.get(name, [])
            if owner in owners:
                owners.remove(owner)
                if not owners:
                    del self.wild[name]

    # Bindings

    def bind(self, wanted: Binding) -> Binding | int:
        """Take a port (0: any free one). Returns what was taken, or an errno."""
        if wanted.port:
            return errno.EADDRINUSE if self.conflict(wanted) else self._take(wanted)
        for port in ephemeral_ports(self._random):
            candidate = wanted._replace(port=port, reuse=False, reuse_port=False)
            if not self.conflict(candidate):
                return self._take(candidate._replace(reuse=wanted.reuse, reuse_port=wanted.reuse_port))
        return errno.EADDRINUSE

    def _take(self, binding: Binding) -> Binding:
        self.bound.setdefault(binding.port, []).append(binding)
        return binding

    def unbind(self, binding: Binding) -> None:
        """Give back what ``bind`` took."""
        holders = self.bound[binding.port]
        holders.remove(binding)
        if not holders:
            del self.bound[binding.port]

    def conflict(self, wanted: Binding) -> bool:
        """SO_REUSEADDR as in Linux: all who share a port must have set it, and none may listen unless all have set
        SO_REUSEPORT. Connections left from an earlier socket (TIME-WAIT) count only without it."""
        for other in self.bound.get(wanted.port, ()):
            shared = wanted.reuse and other.reuse
            if wanted.overlaps(other) and not shared and not (wanted.reuse_port and other.reuse_port):
                return True
        if self.listened(wanted):
            return True
        if wanted.reuse or wanted.reuse_port:
            return False
        used = self.used.get(wanted.port)
        if not used:
            return False
        return any(wanted.overlaps(Binding(address, wanted.port)) for address in used)

    def listened(self, wanted: Binding) -> bool:
        """Whether somebody who does not share listens where ``wanted`` would."""
        return not wanted.reuse_port and any(self._listens(name) for name in wanted.names())

    def _listens(self, name: tuple[int, int]) -> bool:
        address, port = name
        if name in self.wild or (any_of(address), port) in self.wild:
            return True
        if address != any_of(address):
            return False
        # The wildcard overlaps every address of its family.
        return any(
            other.port == port and any(one in self.wild and any_of(one[0]) == address for one in other.names())
            for other in self.bound.get(port, ())
        )
