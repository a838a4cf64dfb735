"""The way into a running stack: a Unix socket, on which ``niclab ss``, ``ping`` and ``nc`` ask.

A request is one line of JSON. Answers are lines of JSON until the end; after the first line of ``nc`` come and go the
connection's own bytes.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from sim.errors import UserError
from sim.realtime.engine import RealTimeEngine
from sim.realtime.socket_table import socket_table
from stack.host import NetworkStack
from stack.socket import AF_INET, AF_INET6, SHUT_WR, SOCK_STREAM, TCP_FASTOPEN_CONNECT, StreamSocket
from stack.tcp.tcp import IPPROTO_TCP

__all__ = ["ControlServer", "ask", "connect", "control_path"]

_CHUNK = 64 * 1024
_LARGEST_LINE = 64 * 1024 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def control_path(tap: str) -> Path:
    """Where the stack on the interface ``tap`` listens: in the user's run-time directory, or by user id in /tmp."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/niclab-{os.getuid()}"
    return Path(folder) / f"niclab-{tap}.sock"


class ControlServer:
    """One stack's."""

    def __init__(self, engine: RealTimeEngine, stack: NetworkStack, path: Path) -> None:
        self._engine = engine
        self._stack = stack
        self._path = path
        self._server: asyncio.Server | None = None
        self._commands: dict[str, Callable[[dict[str, Any], Streams], Awaitable[None]]] = {
            "ss": self._ss,
            "ping": self._ping,
            "nc": self._nc,
        }

    async def start(self) -> None:
        """Listen. Raises ``UserError``."""
        path = self._path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.parent.stat().st_uid != os.getuid():
                raise UserError(f"{path.parent} is another user's; set XDG_RUNTIME_DIR to a directory of yours")
            # The TAP is ours by now, so a socket that is left there belongs to a stack that has ended.
            path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, path, limit=_LARGEST_LINE)
            path.chmod(0o600)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; set XDG_RUNTIME_DIR to a directory of yours") from None

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            await self._commands[request["command"]](request, (reader, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        except OSError as error:
            _line(writer, {"error": error.strerror or str(error)})
        except (KeyError, TypeError, ValueError) as error:
            _line(writer, {"error": f"bad request: {error}"})
        finally:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                writer.close()
                await writer.wait_closed()

    async def _ss(self, request: dict[str, Any], streams: Streams) -> None:
        for row in socket_table(self._stack):
            _line(streams[1], row)
        if request.get("statistics"):
            _line(streams[1], {"counters": self._stack.counters.nonzero()})
        await streams[1].drain()

    async def _ping(self, request: dict[str, Any], streams: Streams) -> None:
        writer = streams[1]
        for number in range(int(request["count"])):
            if number:
                await asyncio.sleep(float(request["interval"]))
            times = await self._engine.future(
                self._stack.ping(str(request["host"]), size=int(request["size"]), timeout=int(request["timeout"]))
            )
            _line(writer, {"sequence": number, "time": times[0] if times else None})
            await writer.drain()

    async def _nc(self, request: dict[str, Any], streams: Streams) -> None:
        future = self._engine.future
        family = AF_INET if "." in str(request.get("host") or "") else AF_INET6
        socket = self._stack.socket(family, SOCK_STREAM)
        try:
            if request.get("listen"):
                await future(socket.bind(("", int(request["port"]))))
                await future(socket.listen(1))
                _line(streams[1], {"listening": socket.getsockname()})
                connection, peer = await future(socket.accept())
                await future(socket.close())
                socket = connection
            else:
                peer = (str(request["host"]), int(request["port"]))
                if request.get("fast_open"):
                    socket.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
                await future(socket.connect(peer))
            _line(streams[1], {"connected": peer})
            await self._relay(socket, streams)
        finally:
            await future(socket.close())

    async def _relay(self, socket: StreamSocket, streams: Streams) -> None:
        """Both ways until both have ended; one may end before the other."""
        reader, writer = streams
        future = self._engine.future

        async def outwards() -> None:
            while data := await reader.read(_CHUNK):
                await future(socket.sendall(data))
            with contextlib.suppress(OSError):
                await future(socket.shutdown(SHUT_WR))

        sending = asyncio.ensure_future(outwards())
        try:
            while data := await future(socket.recv(_CHUNK)):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
            await sending
        finally:
            sending.cancel()


def _line(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    writer.write(json.dumps(value).encode() + b"\n")


async def connect(tap: str, request: dict[str, Any]) -> Streams:
    """Ask the stack on ``tap``. Raises ``UserError`` if there is none."""
    path = control_path(tap)
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=_LARGEST_LINE)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; no stack runs on {tap}: start one with niclab stack --tap {tap}"
        ) from None
    _line(writer, request)
    return reader, writer


async def answer(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next line; None at the end. Raises ``UserError`` with what the stack has refused."""
    line = await reader.readline()
    if not line:
        return None
    value: dict[str, Any] = json.loads(line)
    if "error" in value:
        raise UserError(value["error"])
    return value


async def ask(tap: str, request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """All answers of the stack on ``tap``, as they come. Raises ``UserError``."""
    reader, writer = await connect(tap, request)
    try:
        while (value := await answer(reader)) is not None:
            yield value
    finally:
        writer.close()
