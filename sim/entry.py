"""The entry point ``niclab``: runs an application, and tells errors in one line.

Exit status: 0 done, 1 a run failed, 2 something the user can put right (one line on stderr), 130 interrupted.
"""

import signal
import sys
from types import FrameType

import typer

from sim.errors import RunFailedError, UserError

__all__ = ["main", "run"]

_INTERRUPTED = 130
"""What typer returns after Ctrl-C: 128 and the number of SIGINT, as shells have it."""
_STACK = ("stack", "ss", "ping", "nc", "packetdrill")
"""Commands that need nothing of the NIC. They should start at once, and its modules take a second to import."""
_BOARD = "board"
"""Needs nothing of the simulation. A port that is not there is to be told of within a second."""


def main() -> None:
    """Run the command that was asked for."""
    if len(sys.argv) > 1 and sys.argv[1] in _STACK:
        from sim.packetdrill.command import app as packetdrill
        from sim.realtime.commands import app as realtime

        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.add_typer(realtime)
        app.add_typer(packetdrill)
    elif len(sys.argv) > 1 and sys.argv[1] == _BOARD:
        from sim.board.commands import app as board

        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.add_typer(board, name=_BOARD)
    else:
        from sim.cli import app
    run(app)


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def run(app: typer.Typer) -> None:
    """Run an application, and end the program."""
    # By default these end the process at once, which would leave the simulators behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        status = app(standalone_mode=False, prog_name="niclab")
    except typer.TyperException as error:
        _fail(error.format_message(), error.exit_code)
    except UserError as error:
        _fail(str(error), 2)
    except RunFailedError as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror}", 1)
    if status == _INTERRUPTED:
        _fail("interrupted; no report was written", status)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    if message:  # without arguments the help has been printed, and that is all there is to say
        print(f"niclab: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
