"""``niclab qemu`` and ``niclab linux``."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sim.backend import Backend
from sim.errors import RunFailedError, UserError
from sim.measurement import Figure, write
from sim.qemu import acceptance
from sim.qemu import guest as linux_guest
from sim.qemu.command_line import guest
from sim.qemu.runner import run_model, run_rtl, summary
from sim.qemu.settings import Settings
from sim.rtl import build

__all__ = ["app"]

app = typer.Typer()

_LEVELS_PATH = build.BUILD / "linux.json"
_QUICKEST = Backend.MODEL


class Peer(StrEnum):
    STACK = "stack"


@app.command()
def qemu(
    backend: Annotated[Backend, typer.Option(help="The NIC: the fast model, or the Verilated RTL.")] = Backend.RTL,
    socket: Annotated[Path, typer.Option(help="Where QEMU finds the NIC.")] = Path("build/niclab.sock"),
    tap: Annotated[str | None, typer.Option(help="A TAP device at the wire's far end.")] = None,
    peer: Annotated[Peer | None, typer.Option(help="Our own stack there: 10.0.2.2, echo on port 7.")] = None,
    pcap: Annotated[Path | None, typer.Option(help="A capture whose frames the guest is sent.")] = None,
    capture: Annotated[Path | None, typer.Option(help="Write every frame to this file (pcapng).")] = None,
    trace: Annotated[Path | None, typer.Option(help="Record all that reaches the NIC and leaves it.")] = None,
    itr: Annotated[Path | None, typer.Option(help="Write the history of interrupt throttling (JSON).")] = None,
    clients: Annotated[int, typer.Option(min=0, help="Guests to serve, one after the other; 0: until Ctrl-C.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of our own stack's random numbers.")] = 1,
) -> None:
    """Serve the NIC to a guest in QEMU (10.1 or later) through vfio-user, until that ends."""
    if sum(choice is not None for choice in (tap, peer, pcap)) > 1:
        raise UserError("there is one far end of the wire: give one of --tap, --peer and --pcap")
    settings = Settings(
        socket=socket.absolute(),
        tap=tap,
        stack=peer is Peer.STACK,
        replay=None if pcap is None else pcap.absolute(),
        capture=None if capture is None else capture.absolute(),
        trace=None if trace is None else trace.absolute(),
        itr=None if itr is None else itr.absolute(),
        clients=clients,
        seed=seed,
    )
    console = Console(highlight=False, soft_wrap=True)
    if backend is Backend.RTL:
        build.bench(announce=lambda text: console.print(f"Building: {text}"))

    def ready() -> None:
        console.print(f"Serving on {socket} ({backend}). A guest is started with, for example:")
        words = guest(settings.socket, kernel=Path("vmlinuz"), initrd=Path("initrd.gz"), arguments="")
        print(f"  {shlex.join(words)}", flush=True)

    run = run_rtl if backend is Backend.RTL else run_model
    statistics = run(settings, log=console.print, ready=ready)
    for name, value in summary(statistics):
        console.print(f"{name:24} {value}")


@app.command()
def linux(
    backend: Annotated[
        list[Backend] | None, typer.Option(help="Which back ends; may be repeated.", show_default="all")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only the levels A and B, on one back end.")] = False,
) -> None:
    """Boot Linux guests whose stock e1000 driver has to do with this NIC what it does with Intel's (root)."""
    console = Console(highlight=False)
    linux_guest.make(lambda text: console.print(text))
    backends = backend or ([_QUICKEST] if quick else list(Backend))
    figures: list[Figure] = []
    failed: list[str] = []
    for each in backends:
        if each is Backend.RTL:
            build.bench(announce=lambda text: console.print(f"Building: {text}"))
        checks, statistics = acceptance.accept(each.value, quick=quick, log=console.print)
        table = Table("level", "check", "", "what was seen", title=f"Stock e1000 driver of Linux on: {each}")
        for check in checks:
            table.add_row(check.level, check.name, "pass" if check.passed else "FAIL", check.detail)
        console.print(table)
        figures += acceptance.figures(each.value, checks, statistics)
        failed += [f"{each}: {check.level} {check.name}" for check in checks if not check.passed]
    write(figures, _LEVELS_PATH)
    console.print(f"Figures: {_LEVELS_PATH}", soft_wrap=True)
    if failed:
        raise RunFailedError(f"not passed: {'; '.join(failed)}")
