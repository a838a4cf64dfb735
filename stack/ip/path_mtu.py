"""What routers have said about the size of packets (RFC 1191, RFC 8201)."""

from stack.environment import Cpu
from stack.ip.family import family_of
from stack.ip.parameters import IpParameters

__all__ = ["PathMtu"]


class PathMtu:
    """Path MTUs smaller than the first link's, by destination. Bounded, and forgotten in time."""

    def __init__(self, cpu: Cpu, parameters: IpParameters) -> None:
        self._cpu = cpu
        self._parameters = parameters
        self._known: dict[int, tuple[int, int]] = {}
        """(MTU, when it expires), oldest first."""

    def get(self, destination: int, link_mtu: int) -> int:
        """Bytes of the largest packet to ``destination``."""
        if not self._known:
            return link_mtu
        known = self._known.get(destination)
        if known is None:
            return link_mtu
        mtu, expires = known
        if expires <= self._cpu.now:
            del self._known[destination]
            return link_mtu
        return min(mtu, link_mtu)

    def reduce(self, destination: int, mtu: int, current: int) -> bool:
        """A router says that no more than ``mtu`` bytes pass. True if that is news: nobody may make it larger than it
        is (RFC 8201 section 4), or smaller than every link is."""
        family = family_of(destination)
        least = self._parameters.minimum_path_mtu if family.version == 4 else family.minimum_mtu
        mtu = max(mtu, least)
        if mtu >= current:
            return False
        self._known.pop(destination, None)
        if len(self._known) >= self._parameters.path_mtu_table:
            del self._known[next(iter(self._known))]
        self._known[destination] = (mtu, self._cpu.now + self._parameters.path_mtu_expires)
        return True
