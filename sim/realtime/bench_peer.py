# mypy: ignore-errors
"""pmd-pytcp on a TAP, with the servers that ``bench_client`` measures. Runs in an environment of its own:
``python -O bench_peer.py TAP ADDRESS/PREFIX``.
"""

import asyncio
import contextlib
import sys

from pmd_net_addr import Ip4IfAddr
from pmd_pytcp import socket, stack

_CHUNK = 1 << 16
_BLOCK = bytes(_CHUNK)


async def _serve(port, handler):
    listener = socket.socket(family=socket.AF_INET, type=socket.SOCK_STREAM)
    listener.bind(("0.0.0.0", port))
    listener.listen(backlog=16)

    async def run(connection):
        with contextlib.suppress(OSError):
            await handler(connection)
        connection.close()

    tasks = set()
    while True:
        connection, _ = await listener.accept()
        task = asyncio.create_task(run(connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _echo(connection):
    while data := await connection.recv(_CHUNK):
        await connection.send(bytes(data))


async def _discard(connection):
    while await connection.recv(_CHUNK):
        pass


async def _source(connection):
    # Its send never waits, so it must be told when to stop: the client says how much it wants.
    left = int(await connection.recv(_CHUNK))
    while left > 0:
        left -= await connection.send(_BLOCK[: min(left, _CHUNK)])
        await asyncio.sleep(0)


async def _datagrams():
    endpoint = socket.socket(family=socket.AF_INET, type=socket.SOCK_DGRAM)
    endpoint.bind(("0.0.0.0", 7))
    while True:
        data, address = await endpoint.recvfrom()
        await endpoint.sendto(bytes(data), address)


async def _main() -> None:
    tap, address = sys.argv[1:3]
    stack.init()
    stack.add_interface(
        **stack.initialize_interface__tap(tap), ip4_host=Ip4IfAddr(address), ip4_dhcp=False, ip6_support=False
    )
    await stack.start()
    print("up", flush=True)
    await asyncio.gather(_serve(7, _echo), _serve(9, _discard), _serve(19, _source), _datagrams())


asyncio.run(_main())
