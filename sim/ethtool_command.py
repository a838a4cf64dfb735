"""``niclab ethtool``: ethtool's words on a NIC that was just probed, in simulation."""

from typing import Annotated, Any

import typer
from rich.console import Console

from sim import ethtool_actions
from sim.backend import Backend
from sim.errors import RunFailedError, UserError
from sim.ethtool_script import WORKLOADS
from sim.model import session as model
from sim.rtl import session as rtl

__all__ = ["register"]

_SCRIPT = "sim.ethtool_script:run"
_WORDS = "; ".join(f"-{letter} {text}" for letter, text in ethtool_actions.LETTERS.items())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ethtool", context_settings={"ignore_unknown_options": True})(ethtool)


def ethtool(
    words: Annotated[list[str] | None, typer.Argument(help=_WORDS, show_default=False)] = None,
    workload: Annotated[
        str, typer.Option(help="Between changes and what is shown: " + ", ".join(WORKLOADS) + ".")
    ] = "ping",
    backend: Annotated[Backend, typer.Option(help="What plays the NIC.")] = Backend.RTL,
    seed: Annotated[int, typer.Option(help="Seed of the run's random numbers.")] = 1,
) -> None:
    """Probe a NIC, change what is asked for, run a short workload, and show what is asked for.

    For example: niclab ethtool -t; niclab ethtool -C rx-usecs 100 -G rx 512 -S --workload transfer.
    """
    if workload not in WORKLOADS:
        raise UserError(f"--workload is one of {', '.join(WORKLOADS)}, not {workload!r}")
    try:
        actions = ethtool_actions.parse(words or [])
    except ValueError as error:
        raise UserError(str(error)) from None
    if not actions:
        raise UserError(f"nothing is asked for; there are {_WORDS}")
    arguments = {"actions": [action.to_json() for action in actions], "workload": workload}
    try:
        result = _run(arguments, backend, seed)
    except ValueError as error:
        raise UserError(str(error)) from None
    print("\n\n".join(result["texts"]))
    if not result["good"]:
        raise RunFailedError("the self-test failed")


def _run(arguments: dict[str, Any], backend: Backend, seed: int) -> Any:
    """What the script returns. Raises ``ValueError`` for changes that do not go together."""
    if backend is Backend.MODEL:
        return model.run_script(_SCRIPT, arguments, seed=seed)
    console = Console(stderr=True)
    try:
        return rtl.run_script(
            _SCRIPT,
            arguments,
            seed=seed,
            announce=lambda text: console.print(f"Building: {text}", highlight=False),
        )
    except RunFailedError as error:
        kind, _, text = str(error).partition(": ")
        if kind == "ValueError":
            raise ValueError(text) from None
        raise
