"""TCP Fast Open (RFC 7413): cookies of a server, and what a client knows of servers. Bits as in tcp_fastopen."""

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from stack.address import is_ipv4, strip_scope
from stack.environment import Random
from stack.ports import FourTuple
from stack.siphash import KEY_BYTES, siphash
from stack.tcp.options import FastOpenOption
from stack.tcp.parameters import SocketOptions, TcpParameters

__all__ = ["FastOpen", "FastOpenMode"]

_MOST_SERVERS: Final = 1024
"""Then the one that was heard of longest ago is forgotten."""
_MOST_DOUBLINGS: Final = 6
"""Of the pause after a black hole."""


class FastOpenMode(IntFlag):
    """The bits of net.ipv4.tcp_fastopen that mean something."""

    CLIENT_ENABLE = 0x1
    SERVER_ENABLE = 0x2
    CLIENT_NO_COOKIE = 0x4
    """Send data in each SYN, with or without a cookie."""
    SERVER_COOKIE_NOT_REQD = 0x200
    """Take data in each SYN, with or without a cookie."""
    SERVER_WO_SOCKOPT1 = 0x400
    """All listeners do, not only those with TCP_FASTOPEN."""


@dataclass(slots=True)
class _Server:
    """What a client knows of one server (tcp_metrics.c)."""

    mss: int = 0
    """That it has offered last."""
    cookie: FastOpenOption | None = None
    tried: int = 0
    """1: it has not answered a request by the standard's option; 2: nor one by the experimental."""


class FastOpen:
    """One host's secrets and memory. Randomness is drawn only once a key is needed."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._keys: tuple[bytes, ...] = ()
        self._servers: dict[tuple[int, int], _Server] = {}
        self._pauses = 0
        """Black holes in a row."""
        self._paused_at = 0

    # Server

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The key of new cookies, and one that may still be answered with, if set."""
        if not self._keys:
            self._keys = (self._random.getrandbits(8 * KEY_BYTES).to_bytes(KEY_BYTES, "big"),)
        return self._keys

    @keys.setter
    def keys(self, keys: tuple[bytes, ...]) -> None:
        self._keys = keys

    def cookie(self, key: FourTuple, secret: bytes) -> bytes:
        """Of a client's and the server's address, as Linux computes it: so the hosts of a farm may share a key (RFC
        7413 section 4.1.2)."""
        size = 4 if is_ipv4(key.remote) else 16
        packed = (strip_scope(address).to_bytes(16, "big")[-size:] for address in (key.remote, key.local))
        return siphash(secret, b"".join(packed))

    def check(self, key: FourTuple, cookie: bytes, options: SocketOptions) -> int:
        """By which of the keys a cookie is valid, from 1 on; 0: by none."""
        secrets = options.fast_open_keys or self.keys
        return next((number for number, one in enumerate(secrets, 1) if self.cookie(key, one) == cookie), 0)

    def fresh(self, key: FourTuple, options: SocketOptions) -> bytes:
        """A new cookie."""
        return self.cookie(key, (options.fast_open_keys or self.keys)[0])

    # Client

    def forget(self) -> None:
        """All that is known of servers (``ip tcp_metrics flush``)."""
        self._servers.clear()

    def request(
        self, key: FourTuple, parameters: TcpParameters, options: SocketOptions, now: int
    ) -> tuple[FastOpenOption | None, bool]:
        """The option for a SYN, and whether it may carry data (tcp_fastopen_cookie_check)."""
        if self._paused(parameters, now):
            return None, False
        if parameters.fast_open & FastOpenMode.CLIENT_NO_COOKIE or options.fast_open_no_cookie:
            return None, True
        server = self._servers.get((key.local, key.remote))
        if server is None:
            return FastOpenOption(), False
        if server.cookie is not None:
            return server.cookie, True
        return FastOpenOption(experimental=server.tried == 1), False

    def mss(self, key: FourTuple) -> int | None:
        """What a server has offered last, if that is known."""
        server = self._servers.get((key.local, key.remote))
        return server.mss if server is not None else None

    def learn(self, key: FourTuple, mss: int, option: FastOpenOption | None, tried: int) -> None:
        """A SYN and ACK has come (tcp_fastopen_cache_set). ``tried``: a request for a cookie without answer, see
        ``_Server``, else 0."""
        name = (key.local, key.remote)
        server = self._servers.pop(name, None) or _Server()
        self._servers[name] = server
        if len(self._servers) > _MOST_SERVERS:
            del self._servers[next(iter(self._servers))]
        server.mss = mss
        if option is not None and option.cookie:
            server.cookie = option
        elif server.cookie is None:
            server.tried = max(server.tried, tried)

    # Black holes

    def pause(self, parameters: TcpParameters, now: int) -> None:
        """A path seems to swallow what belongs to fast opened connections: open none for a while (RFC 7413 section
        7.1; tcp_fastopen_active_disable)."""
        if parameters.fast_open_blackhole_timeout:
            self._pauses += 1
            self._paused_at = now

    def _paused(self, parameters: TcpParameters, now: int) -> bool:
        if not self._pauses:
            return False
        doublings = min(self._pauses - 1, _MOST_DOUBLINGS)
        return now < self._paused_at + (parameters.fast_open_blackhole_timeout << doublings)

    def succeeded(self) -> None:
        """Data of a SYN was taken: the next black hole counts as the first again."""
        self._pauses = 0
