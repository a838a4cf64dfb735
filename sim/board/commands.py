"""``niclab board build``, ``load``, ``ping`` and ``report``."""

import os
from collections.abc import Callable, Coroutine
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError
from statistics import median
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from hw.boards.all import BOARDS
from hw.boards.parameters import BoardParameters
from hw.registers import BY_NAME
from sim.board.elaborate import build_id
from sim.board.session import Session, on_board
from sim.errors import RunFailedError, UserError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The NIC on a board: bitstream, and the driver over its serial port.")

T = TypeVar("T")

_FASTEST_BAUD = 12_000_000
_ROUND_TRIPS = 50

BoardArgument = Annotated[str, typer.Argument(help=f"One of {', '.join(BOARDS)}.")]
BoardOption = Annotated[str, typer.Option(help=f"One of {', '.join(BOARDS)}.")]
PortOption = Annotated[str, typer.Option(help="The serial port of the board.")]
BaudOption = Annotated[int, typer.Option(min=9600, max=_FASTEST_BAUD, help="Of the serial port; built in.")]


def _check(board: str) -> None:
    if board not in BOARDS:
        raise UserError(f"{board!r} is no board; there are {', '.join(BOARDS)}")


@app.command("build")
def build_(
    board: BoardArgument,
    seeds: Annotated[int, typer.Option(min=1, max=99, help="Placements to try; timing has to be met in all.")] = 5,
    baud: BaudOption = 3_000_000,
    timing_allow_fail: Annotated[
        bool, typer.Option("--timing-allow-fail", help="Write the bitstream although a clock is too slow.")
    ] = False,
) -> None:
    """Make the bitstream, and a report of timing and area. Takes some six minutes per seed."""
    from sim.board import bitstream

    _check(board)
    console = Console()
    result = bitstream.make(
        board,
        BoardParameters(baud=baud),
        seeds=seeds,
        allow_slow=timing_allow_fail,
        announce=lambda text: console.print(text, highlight=False),
    )
    console.print(bitstream.timing_table(result))
    console.print(bitstream.area_table(result))
    console.print(f"Report: {result.report}", highlight=False, soft_wrap=True)
    if result.slow and not timing_allow_fail:
        raise RunFailedError("; ".join(result.slow) + "; no bitstream is written")
    console.print(f"Bitstream: {result.bitstream}, build {result.build_id.hex()}", highlight=False, soft_wrap=True)


@app.command()
def load(board: BoardArgument, baud: BaudOption = 3_000_000) -> None:
    """Load the bitstream into the board's FPGA, by openFPGALoader. It is gone when the power is."""
    from sim.board import bitstream

    _check(board)
    bitstream.load(board, BoardParameters(baud=baud))


@app.command()
def ping(
    address: Annotated[str, typer.Argument(help="Whom to ping.")],
    port: PortOption,
    own: Annotated[str, typer.Option(help="The board's own address with its prefix.")] = "192.168.1.2/24",
    board: BoardOption = "ecpix5",
    baud: BaudOption = 3_000_000,
    count: Annotated[int, typer.Option(min=1)] = 4,
) -> None:
    """Ping a host from the board's Ethernet port, with the driver and the stack of this program."""
    _check(board)
    destination, interface = _addresses(address, own)

    async def main(session: Session) -> int:
        await session.connect()
        device = await session.device()
        stack = await session.bring_up(device, str(interface.ip), interface.network.prefixlen)
        answered = 0
        for number in range(count):
            times = await stack.ping(str(destination))
            answered += len(times)
            for time in times:
                print(f"64 bytes from {destination}: icmp_seq={number} time={time / 1e6:.2f} ms", flush=True)
        stack.close()
        await device.stop()
        return answered

    answered = _run(port, baud, board, main)
    print(f"{count} sent, {answered} answered")
    if not answered:
        raise RunFailedError(f"{destination} does not answer")


@app.command()
def report(port: PortOption, board: BoardOption = "ecpix5", baud: BaudOption = 3_000_000) -> None:
    """Tell what is on a serial port: bitstream, NIC, PHY, link, counters, and the speed of the line."""
    _check(board)

    async def main(session: Session) -> list[tuple[str, str]]:
        identity = await session.connect()
        rows = [
            ("board", BOARDS[board].title),
            ("build", identity.build_id.hex()),
            ("host memory", f"{identity.memory_kib} KiB"),
        ]
        device = await session.device()
        rows.append(("MAC address", device.address.hex(":")))
        rows += await _phy(session, BOARDS[board].phy_address)
        stack = await session.bring_up(device, "192.0.2.1", 24)
        rows.append(("link", f"{device.link_speed} Mb/s"))
        times = []
        for _ in range(_ROUND_TRIPS):
            begun = session.env.now
            await session.bus.read32(BY_NAME["STATUS"].offset)
            times.append(session.env.now - begun)
        rows.append(("register read, median", f"{median(times) / 1e6:.2f} ms"))
        await device.statistics.update_stats()
        rows += [(name, str(count)) for name, count in device.statistics.totals.items() if count]
        rows += [(name.replace("_", " "), str(count)) for name, count in vars(session.bus.link.counters).items()]
        stack.close()
        await device.stop()
        return rows

    table = Table(title=port, show_header=False)
    for row in _run(port, baud, board, main):
        table.add_row(*row)
    Console().print(table)


async def _phy(session: Session, address: int) -> list[tuple[str, str]]:
    """Registers 2 and 3 of the PHY, through MDIC (manual 13.4.7)."""
    mdic = BY_NAME["MDIC"]
    words = []
    for number in (2, 3):
        session.bus.write32(mdic.offset, mdic.value(REG=number, PHY=address, OP=0b10))
        value = 0
        while not value & mdic.mask("READY"):
            value = await session.bus.read32(mdic.offset)
        words.append(value)
    if any(word & mdic.mask("ERROR") for word in words):
        return [("PHY", f"none answers at address {address}")]
    return [("PHY identifier", ":".join(f"{mdic['DATA'].get(word):04x}" for word in words))]


def _addresses(address: str, own: str) -> tuple[IPv4Address, IPv4Interface]:
    try:
        destination = IPv4Address(address)
    except AddressValueError:
        raise UserError(f"{address!r} is no IPv4 address") from None
    try:
        return destination, IPv4Interface(own)
    except (AddressValueError, NetmaskValueError):
        raise UserError(f"--own {own!r} is no IPv4 address with a prefix, such as 192.168.1.2/24") from None


def _run(port: str, baud: int, board: str, main: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    return on_board(
        port,
        baud=baud,
        board=board,
        build_id=build_id(board, BoardParameters(baud=baud)),
        seed=int.from_bytes(os.urandom(8)),
        main=main,
    )
