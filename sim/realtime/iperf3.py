"""A server for iperf3's clients (its protocol: github.com/esnet/iperf, ``iperf_api.h`` and ``iperf_client_api.c``).

One test at a time over TCP, any number of streams, in either direction or both directions one after the other.
"""

import json
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from stack.environment import Environment
from stack.host import NetworkStack
from stack.socket import AF_INET, SOCK_STREAM
from stack.stream_socket import StreamSocket

__all__ = ["serve_iperf3"]

_COOKIE_BYTES = 37
_LENGTH = struct.Struct("!I")
_STATE = struct.Struct("!b")
_LARGEST_JSON = 1 << 20
_CHUNK = 128 * 1024


class _State(IntEnum):
    """What each side tells the other in one octet."""

    TEST_START = 1
    TEST_RUNNING = 2
    TEST_END = 4
    PARAM_EXCHANGE = 9
    CREATE_STREAMS = 10
    CLIENT_TERMINATE = 12
    EXCHANGE_RESULTS = 13
    DISPLAY_RESULTS = 14
    IPERF_DONE = 16
    ACCESS_DENIED = -1
    SERVER_ERROR = -2


@dataclass
class _Stream:
    socket: StreamSocket
    bytes: int = 0
    started: int = 0
    ended: int = 0


@dataclass
class _Test:
    """One client's test."""

    cookie: bytes
    control: StreamSocket
    streams: list[_Stream] = field(default_factory=list)
    wanted: int = 0


async def serve_iperf3(env: Environment, stack: NetworkStack, port: int) -> None:
    """Listen on ``port``, and serve one test after the other. Returns once the port is open; raises ``OSError``."""
    listener = stack.socket(AF_INET, SOCK_STREAM)
    await listener.bind(("", port))
    await listener.listen(128)
    env.spawn(_Server(env).run(listener), name="iperf3")


class _Server:
    def __init__(self, env: Environment) -> None:
        self._env = env
        self._test: _Test | None = None
        self._joined = env.event()

    async def run(self, listener: StreamSocket) -> None:
        while True:
            connection, _ = await listener.accept()
            self._env.spawn(self._welcome(connection), name="iperf3 connection")

    async def _welcome(self, connection: StreamSocket) -> None:
        """The cookie tells whether a connection opens a test or belongs to one."""
        try:
            cookie = await _exactly(connection, _COOKIE_BYTES)
            test = self._test
            if test is not None and test.cookie == cookie and len(test.streams) < test.wanted:
                test.streams.append(_Stream(connection))
                self._joined.set()
                return
            if test is not None:
                await connection.sendall(_STATE.pack(_State.ACCESS_DENIED))
                await connection.close()
                return
            self._test = _Test(cookie, connection)
            try:
                await self._control(self._test)
            finally:
                await self._end(self._test)
        except (OSError, EOFError, ValueError):
            await connection.close()

    async def _end(self, test: _Test) -> None:
        for stream in test.streams:
            await stream.socket.close()
        await test.control.close()
        self._test = None

    async def _control(self, test: _Test) -> None:
        control = test.control
        await control.sendall(_STATE.pack(_State.PARAM_EXCHANGE))
        parameters = await _receive_json(control)
        if parameters.get("udp"):
            await control.sendall(_STATE.pack(_State.SERVER_ERROR) + bytes(8))
            return
        sends = bool(parameters.get("reverse"))
        test.wanted = int(parameters.get("parallel", 1))
        await control.sendall(_STATE.pack(_State.CREATE_STREAMS))
        while len(test.streams) < test.wanted:
            self._joined.clear()
            await self._joined.wait()
        await control.sendall(_STATE.pack(_State.TEST_START) + _STATE.pack(_State.TEST_RUNNING))
        running = [self._env.spawn(self._stream(stream, sends=sends), name="iperf3 stream") for stream in test.streams]
        while (state := _STATE.unpack(await _exactly(control, 1))[0]) != _State.TEST_END:
            if state == _State.CLIENT_TERMINATE:
                return
        for stream in test.streams:
            stream.ended = self._env.now
        for task in running:
            task.cancel()
        results = self._results(test, sends=sends)
        for stream in test.streams:
            # A client that waits for the rest of a block must see the end.
            await stream.socket.close()
        await control.sendall(_STATE.pack(_State.EXCHANGE_RESULTS))
        await _receive_json(control)
        await _send_json(control, results)
        await control.sendall(_STATE.pack(_State.DISPLAY_RESULTS))
        await _exactly(control, 1)

    async def _stream(self, stream: _Stream, *, sends: bool) -> None:
        stream.started = self._env.now
        block = bytes(_CHUNK)
        try:
            while True:
                done = await stream.socket.send(block) if sends else len(await stream.socket.recv(_CHUNK))
                if not done:
                    return
                stream.bytes += done
        except OSError:
            return

    def _results(self, test: _Test, *, sends: bool) -> dict[str, Any]:
        # Streams are numbered 1, 3, 4, 5 ...: iperf3's own numbering, which its client insists on.
        return {
            "cpu_util_total": 0,
            "cpu_util_user": 0,
            "cpu_util_system": 0,
            "sender_has_retransmits": int(sends),
            "congestion_used": test.streams[0].socket.tcp_info().congestion_control,
            "streams": [
                {
                    "id": number + 1 + (number > 0),
                    "bytes": stream.bytes,
                    "retransmits": stream.socket.tcp_info().total_retrans if sends else -1,
                    "jitter": 0,
                    "errors": 0,
                    "packets": 0,
                    "start_time": 0,
                    "end_time": (stream.ended - stream.started) / 1e9,
                }
                for number, stream in enumerate(test.streams)
            ],
        }


async def _exactly(connection: StreamSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await connection.recv(size - len(data))
        if not piece:
            raise EOFError("the client is gone")
        data += piece
    return data


async def _receive_json(connection: StreamSocket) -> dict[str, Any]:
    size = _LENGTH.unpack(await _exactly(connection, _LENGTH.size))[0]
    if size > _LARGEST_JSON:
        raise ValueError(f"{size} bytes of JSON")
    value = json.loads(await _exactly(connection, size))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


async def _send_json(connection: StreamSocket, value: dict[str, Any]) -> None:
    text = json.dumps(value).encode()
    await connection.sendall(_LENGTH.pack(len(text)) + text)
