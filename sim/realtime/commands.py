"""``niclab stack``, ``ss``, ``ping`` and ``nc``."""

import asyncio
import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sim.errors import RunFailedError, UserError
from sim.realtime import program
from sim.realtime.control import answer, ask, connect

__all__ = ["app"]

app = typer.Typer()

TapOption = Annotated[str, typer.Option(help="Name of the TAP interface.")]
_PORT = {"min": 0, "max": 0xFFFF}
_CHUNK = 64 * 1024


@app.command()
def stack(
    address: Annotated[list[str], typer.Option(help="The stack's address with its prefix; may be repeated.")],
    tap: TapOption = "tap0",
    host_address: Annotated[
        list[str] | None,
        typer.Option(help="The kernel's end gets this address, and is switched on.", show_default="left alone"),
    ] = None,
    route: Annotated[
        list[str] | None, typer.Option(help="'default via 10.77.0.1', '10.0.0.0/8 via 10.77.0.1'.")
    ] = None,
    mac: Annotated[str, typer.Option(help="The stack's MAC address.")] = program.StackSettings.mac,
    mtu: Annotated[int, typer.Option(help="Bytes of the largest IP packet.")] = 1500,
    offloads: Annotated[bool, typer.Option(help="Leave checksums and segmentation to the kernel.")] = True,
    sysctl: Annotated[list[str] | None, typer.Option(help="net.ipv4.tcp_...=value; may be repeated.")] = None,
    echo: Annotated[int, typer.Option(**_PORT, help="Port of TCP and UDP echo; 0: none.")] = 7,
    discard: Annotated[int, typer.Option(**_PORT, help="Port of discard; 0: none.")] = 9,
    chargen: Annotated[int, typer.Option(**_PORT, help="Port of the character generator; 0: none.")] = 19,
    http: Annotated[int, typer.Option(**_PORT, help="Port of HTTP.")] = 80,
    root: Annotated[Path | None, typer.Option(help="Directory that HTTP shows.", show_default="no HTTP")] = None,
    iperf3: Annotated[int, typer.Option(**_PORT, help="Port of the iperf3 server (TCP); 0: none.")] = 5201,
    capture: Annotated[Path | None, typer.Option(help="Write all packets to this file (pcapng).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the random numbers.", show_default="a new one")] = None,
) -> None:
    """Run the TCP/IP stack on a TAP interface, with some small servers, until Ctrl-C."""
    program.run(
        program.StackSettings(
            tap=tap,
            addresses=tuple(address),
            host_addresses=tuple(host_address or ()),
            routes=tuple(route or ()),
            mac=mac,
            mtu=mtu,
            offloads=offloads,
            sysctls=tuple(sysctl or ()),
            echo=echo,
            discard=discard,
            chargen=chargen,
            http=http,
            root=root,
            iperf3=iperf3,
            capture=capture,
            seed=int.from_bytes(os.urandom(8)) if seed is None else seed,
        ),
        lambda text: print(text, flush=True),
    )


@app.command()
def ss(
    tap: TapOption = "tap0",
    info: Annotated[bool, typer.Option("--info", "-i", help="Show what TCP knows of each connection.")] = False,
    statistics: Annotated[bool, typer.Option("--statistics", "-s", help="Show the stack's counters.")] = False,
) -> None:
    """Show the sockets of the stack that runs on a TAP."""

    async def main() -> None:
        table = Table("Netid", "State", "Recv-Q", "Send-Q", "Local", "Peer", box=None, pad_edge=False)
        counters: dict[str, int] = {}
        if info:
            table.add_column("Info")
        async for row in ask(tap, {"command": "ss", "statistics": statistics}):
            counters = row.get("counters", counters)
            if "netid" in row:
                cells = [str(row[name]) for name in ("netid", "state", "recv_q", "send_q", "local", "peer")]
                table.add_row(*cells, *([row.get("info", "")] if info else []))
        console = Console(width=None if sys.stdout.isatty() else 240)
        console.print(table, highlight=False)
        for name, value in counters.items():
            print(f"{name:32} {value}")

    asyncio.run(main())


@app.command()
def ping(
    host: Annotated[str, typer.Argument(help="Address to ask.")],
    tap: TapOption = "tap0",
    count: Annotated[int, typer.Option("--count", "-c", min=1, help="Requests.")] = 4,
    size: Annotated[int, typer.Option("--size", "-s", min=0, max=65507, help="Bytes of data in each.")] = 56,
    interval: Annotated[float, typer.Option("--interval", "-i", min=0.0, help="Seconds between them.")] = 1.0,
    timeout: Annotated[float, typer.Option("--timeout", "-W", min=0.001, help="Seconds to wait for each.")] = 1.0,
) -> None:
    """Send echo requests from the stack that runs on a TAP."""
    request = {
        "command": "ping",
        "host": host,
        "count": count,
        "size": size,
        "interval": interval,
        "timeout": round(timeout * 1e9),
    }
    times: list[float] = []

    async def main() -> None:
        async for reply in ask(tap, request):
            taken = reply["time"]
            if taken is None:
                print(f"no answer from {host}: icmp_seq={reply['sequence']}", flush=True)
            else:
                times.append(taken / 1e6)
                print(f"{size + 8} bytes from {host}: icmp_seq={reply['sequence']} time={times[-1]:.3f} ms", flush=True)

    asyncio.run(main())
    print(f"{count} packets transmitted, {len(times)} received, {100 * (count - len(times)) / count:g}% packet loss")
    if not times:
        raise RunFailedError(f"{host} does not answer")
    print(f"rtt min/avg/max = {min(times):.3f}/{sum(times) / len(times):.3f}/{max(times):.3f} ms")


@app.command()
def nc(
    host: Annotated[str | None, typer.Argument(help="Address to connect to; none with --listen.")] = None,
    port: Annotated[int | None, typer.Argument(min=1, max=0xFFFF, help="Port.")] = None,
    tap: TapOption = "tap0",
    listen: Annotated[int | None, typer.Option("--listen", "-l", min=1, max=0xFFFF, help="Wait on this port.")] = None,
    shutdown: Annotated[bool, typer.Option("--shutdown", "-N", help="End our direction with the input.")] = False,
    fast_open: Annotated[bool, typer.Option(help="Send the first input with the SYN, if it may.")] = False,
) -> None:
    """Join standard input and output to a TCP connection of the stack that runs on a TAP."""
    if (listen is None) == (host is None or port is None):
        raise UserError("give an address and a port, or --listen and a port")
    request = {"command": "nc", "listen": listen is not None, "host": host, "port": listen or port}
    request["fast_open"] = fast_open
    asyncio.run(_nc(tap, request, shutdown=shutdown))


async def _nc(tap: str, request: dict[str, Any], *, shutdown: bool) -> None:
    reader, writer = await connect(tap, request)
    while True:
        value = await answer(reader)
        if value is None:
            raise RunFailedError(f"{tap}: the stack has ended")
        if "connected" in value:
            break
    ended = _send_input(writer, shutdown=shutdown)
    try:
        while data := await reader.read(_CHUNK):
            _write_all(data)
        if shutdown:
            await ended
    finally:
        writer.close()


def _send_input(writer: asyncio.StreamWriter, *, shutdown: bool) -> "asyncio.Future[None]":
    """Send what comes on standard input; the future is done at its end."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    async def send(data: bytes) -> None:
        if data:
            writer.write(data)
            await writer.drain()
        else:
            if shutdown:
                writer.write_eof()
            ended.set_result(None)

    def read() -> None:
        # When the loop has ended, or the connection, there is nobody to send it.
        with contextlib.suppress(RuntimeError, OSError):
            data = b"?"
            while data:
                data = os.read(0, _CHUNK)
                asyncio.run_coroutine_threadsafe(send(data), loop).result()

    # Reading may wait for ever, which must keep nobody from leaving.
    threading.Thread(target=read, daemon=True).start()
    return ended


def _write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
