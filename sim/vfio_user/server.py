"""Serves a NIC on a Unix socket: one client after the other, in simulated time that stands still without work.

The loop waits for the outside (the socket, the wire's far end) only when the NIC is at rest; otherwise it lets the NIC
work, which returns as soon as the outside has something. Commands are carried out strictly in order.
"""

import contextlib
import select
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

from sim.errors import UserError
from sim.vfio_user.connection import Connection
from sim.vfio_user.function import Function
from sim.vfio_user.messages import BadMessageError
from sim.vfio_user.nic import Nic
from sim.vfio_user.outside import Outside
from sim.vfio_user.statistics import Statistics

__all__ = ["Server", "listen"]


def listen(path: Path) -> socket.socket:
    """A listening socket at ``path``. A socket there that nobody serves any more is replaced.

    Raises ``UserError`` if somebody does, if something else is there, or if no socket can be made there.
    """
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if path.exists() or path.is_symlink():
            if not stat.S_ISSOCK(path.stat().st_mode):
                raise UserError(f"{path} is there and is no socket; choose another name with --socket")
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise UserError(f"{path} is served already; end that server, or choose another name with --socket")
            path.unlink()
        endpoint.bind(str(path))
        endpoint.listen(1)
    except OSError as error:
        endpoint.close()
        raise UserError(f"{path}: no socket can be made there: {error.strerror or error}") from None
    except UserError:
        endpoint.close()
        raise
    return endpoint


class _StoppedError(Exception):
    """The server is to end."""


class Server:
    """One NIC, one socket, and what is at the other end of the wire. ``log`` takes one line at a time.

    The server ends as soon as the descriptor ``stop`` can be read.
    """

    def __init__(
        self,
        nic: Nic,
        listener: socket.socket,
        outside: Outside,
        *,
        statistics: Statistics,
        log: Callable[[str], None],
        stop: int | None = None,
    ) -> None:
        self.statistics = statistics
        self.function = Function(nic, self.statistics, log)
        self._nic = nic
        self._listener = listener
        self._outside = outside
        self._log = log
        self._stop = [] if stop is None else [stop]

    async def serve(self, clients: int) -> None:
        """Serve until ``clients`` of them have come, spoken the protocol and gone; 0: until it is stopped."""
        with contextlib.suppress(_StoppedError):
            await self._serve_clients(clients)

    async def _serve_clients(self, clients: int) -> None:
        served = 0
        while not clients or served < clients:
            endpoint, _ = self._accept()
            connection = Connection(endpoint)
            self.statistics.clients += 1
            self._log("a client has come")
            try:
                await self._serve(connection)
            except EOFError:
                served += self.function.negotiated
                self._log("the client has gone")
            except BadMessageError as error:
                self.statistics.broken += 1
                self._log(f"the client was sent away: {error}")
            finally:
                connection.close()
                self._nic.count(self.statistics)
                await self.function.end()

    def _accept(self) -> tuple[socket.socket, object]:
        """The next client. The wire's far end goes on meanwhile."""
        while True:
            ready = self._wait([self._listener.fileno()], rest=True)
            if self._listener.fileno() in ready:
                return self._listener.accept()

    async def _serve(self, connection: Connection) -> None:
        descriptors = [connection.fileno(), *self._outside.descriptors, *self._stop]
        rest = False
        while True:
            ready = self._wait([connection.fileno()], rest=rest)
            if connection.fileno() in ready:
                while (message := connection.receive()) is not None:
                    self.statistics.messages += 1
                    try:
                        answer = await self.function.handle(message)
                    finally:
                        message.close()
                    if answer:
                        connection.send(answer)
            started = time.perf_counter()
            rest = await self._nic.work(descriptors)
            self.statistics.work_seconds += time.perf_counter() - started
            self.function.follow_pin()

    def _wait(self, descriptors: list[int], *, rest: bool) -> set[int]:
        """What can be read, after the wire's far end has had its turn. At rest, waits for one or the other."""
        deadline = self._outside.deadline() if rest else 0.0
        readable = self._poll([*descriptors, *self._outside.descriptors, *self._stop], deadline)
        if readable.intersection(self._stop):
            raise _StoppedError
        self._outside.run()
        return readable

    @staticmethod
    def _poll(descriptors: list[int], timeout: float | None) -> set[int]:
        poller = select.poll()
        for descriptor in descriptors:
            poller.register(descriptor, select.POLLIN)
        milliseconds = None if timeout is None else -(-timeout * 1000 // 1)
        return {descriptor for descriptor, _ in poller.poll(milliseconds)}
