"""Small servers over the stack's sockets, for whoever wants to try it: echo (RFC 862), discard (RFC 863), character
generator (RFC 864), HTTP."""

import errno
import mimetypes
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import h11

from stack.environment import Environment
from stack.host import NetworkStack
from stack.socket import AF_INET6, MSG_MORE, SOCK_DGRAM, SOCK_STREAM, StreamSocket
from stack.socket.base import error

__all__ = ["Handler", "chargen", "datagram_echo", "discard", "echo", "http", "serve"]

Handler = Callable[[StreamSocket], Coroutine[Any, Any, None]]

_CHUNK = 256 * 1024
_LINE = bytes(range(32, 127)) + b"\r\n"
_LARGEST_REQUEST = 64 * 1024


async def serve(env: Environment, stack: NetworkStack, port: int, handler: Handler, *, backlog: int = 1024) -> None:
    """Listen on ``port`` and run ``handler`` for each connection. Returns once the port is open; raises ``OSError``."""
    listener = stack.socket(AF_INET6, SOCK_STREAM)
    await listener.bind(("", port))
    await listener.listen(backlog)

    async def answer(connection: StreamSocket) -> None:
        try:
            await handler(connection)
        except OSError:
            pass  # the peer is gone
        finally:
            await connection.close()

    async def accept() -> None:
        while True:
            connection, _ = await listener.accept()
            env.spawn(answer(connection), name=f"service on port {port}")

    env.spawn(accept(), name=f"listener on port {port}")


async def echo(connection: StreamSocket) -> None:
    """All that comes goes back."""
    while data := await connection.recv(_CHUNK):
        await connection.sendall(data)


async def discard(connection: StreamSocket) -> None:
    """All that comes is forgotten."""
    while await connection.recv(_CHUNK):
        pass


async def chargen(connection: StreamSocket) -> None:
    """Lines without end."""
    lines = _LINE * (_CHUNK // len(_LINE))
    while True:
        await connection.sendall(lines)


async def datagram_echo(env: Environment, stack: NetworkStack, port: int) -> None:
    """Each UDP datagram goes back to where it came from. Returns once the port is open; raises ``OSError``."""
    socket = stack.socket(AF_INET6, SOCK_DGRAM)
    await socket.bind(("", port))

    async def answer() -> None:
        while True:
            try:
                data, address = await socket.recvfrom(0xFFFF)
                await socket.sendto(data, address)
            except OSError:
                continue  # of an earlier datagram, which its destination has refused

    env.spawn(answer(), name="UDP echo")


def http(root: Path) -> Handler:
    """Serve the files below ``root`` to GET and HEAD (HTTP/1.1, RFC 9112)."""
    root = root.resolve()

    async def handler(connection: StreamSocket) -> None:
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_REQUEST)
        while True:
            try:
                request = await _next_request(connection, protocol)
                if request is None:
                    return
                await _respond(connection, protocol, root, request)
            except h11.RemoteProtocolError as error:
                if protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    await _send(connection, protocol, error.error_status_hint, b"bad request\n")
                return
            if protocol.our_state is not h11.DONE:
                return
            protocol.start_next_cycle()

    return handler


async def _next_request(connection: StreamSocket, protocol: h11.Connection) -> h11.Request | None:
    """The next request, its body read and forgotten; None at the end."""
    request: h11.Request | None = None
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await connection.recv(_CHUNK))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif not isinstance(event, h11.Data):
            return None


async def _respond(connection: StreamSocket, protocol: h11.Connection, root: Path, request: h11.Request) -> None:
    if request.method not in (b"GET", b"HEAD"):
        await _send(connection, protocol, 405, b"only GET and HEAD\n", allow="GET, HEAD")
        return
    path = (root / unquote(urlsplit(request.target.decode("latin-1")).path).lstrip("/")).resolve()
    if path.is_dir():
        path /= "index.html"
    if not path.is_relative_to(root) or not path.is_file():
        await _send(connection, protocol, 404, b"no such file\n")
        return
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    await _send_file(connection, protocol, path, head=request.method == b"HEAD", content_type=kind)


async def _send(connection: StreamSocket, protocol: h11.Connection, status: int, body: bytes, **fields: str) -> None:
    message = protocol.send(_response(status, len(body), fields)) + protocol.send(h11.Data(data=body))
    await connection.sendall(message + protocol.send(h11.EndOfMessage()))


async def _send_file(
    connection: StreamSocket, protocol: h11.Connection, path: Path, *, head: bool, **fields: str
) -> None:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        await connection.sendall(protocol.send(_response(200, size, fields)), MSG_MORE if size and not head else 0)
        if not head:
            # h11 counts what it does not carry: anything that has a length.
            protocol.send_with_data_passthrough(h11.Data(data=range(size)))  # type: ignore[arg-type]
            if await connection.sendfile(file, 0, size) < size:
                raise error(errno.EIO)  # the file is shorter than it was: nothing can follow on this connection
        protocol.send(h11.EndOfMessage())


def _response(status: int, size: int, fields: dict[str, str]) -> h11.Response:
    headers = [("Content-Length", str(size))]
    headers += [(name.replace("_", "-"), value) for name, value in fields.items()]
    return h11.Response(status_code=status, headers=headers)
