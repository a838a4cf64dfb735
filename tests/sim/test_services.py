"""The HTTP service, asked through the stack in simulated time."""

import os
import random
from pathlib import Path

import h11

from sim.realtime import services
from stack.socket import AF_INET, SOCK_STREAM, StreamSocket
from tests.stack.network import MS, B, Network

_LARGE = 3_000_000


async def _ask(network: Network, *methods: str, target: str = "/file") -> tuple[StreamSocket, h11.Connection]:
    """One connection with a request for each method, the last of them not answered yet."""
    socket = network.a.socket(AF_INET, SOCK_STREAM)
    await socket.connect((B, 80))
    protocol = h11.Connection(h11.CLIENT)
    for number, method in enumerate(methods):
        if number:
            await _answer(socket, protocol)
            protocol.start_next_cycle()
        request = protocol.send(h11.Request(method=method, target=target, headers=[("Host", "b")]))
        await socket.sendall(request + protocol.send(h11.EndOfMessage()))
    return socket, protocol


async def _answer(socket: StreamSocket, protocol: h11.Connection) -> tuple[h11.Response, bytes]:
    response, body = None, b""
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await socket.recv(1 << 20))
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            assert isinstance(event, h11.EndOfMessage)
            assert response is not None
            return response, body


async def _last_answer(network: Network, *methods: str, target: str = "/file") -> tuple[h11.Response, bytes]:
    socket, protocol = await _ask(network, *methods, target=target)
    answer = await _answer(socket, protocol)
    await socket.close()
    # The service sees the end of the connection.
    await network.engine.sleep(100 * MS)
    return answer


def test_a_file_and_its_head_on_one_connection(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(_LARGE)
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "empty").touch()
    network = Network()

    async def main() -> None:
        await services.serve(network.engine, network.b, 80, services.http(tmp_path))
        response, body = await _last_answer(network, "HEAD", "GET")
        assert response.status_code == 200
        assert dict(response.headers)[b"content-length"] == str(_LARGE).encode()
        assert body == content
        assert (await _last_answer(network, "GET", target="/empty"))[1] == b""
        response, _ = await _last_answer(network, "GET", "GET", target="/none")
        assert response.status_code == 404

    network.engine.run(main())


def test_a_file_that_becomes_shorter_ends_the_connection(tmp_path: Path) -> None:
    """What was announced cannot be sent any more, and nothing may follow in its place."""
    (tmp_path / "file").write_bytes(bytes(_LARGE))
    network = Network()

    async def main() -> None:
        await services.serve(network.engine, network.b, 80, services.http(tmp_path))
        socket, _ = await _ask(network, "GET")
        # Until both buffers are full.
        await network.engine.sleep(500 * MS)
        os.truncate(tmp_path / "file", _LARGE - 10_000)
        size = 0
        while piece := await socket.recv(1 << 20):
            size += len(piece)
        assert _LARGE - 10_000 < size < _LARGE
        await socket.close()
        await network.engine.sleep(100 * MS)

    network.engine.run(main())
