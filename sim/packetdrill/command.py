"""``niclab packetdrill``."""

import subprocess
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from sim.errors import RunFailedError, UserError
from sim.packetdrill import conformance
from sim.packetdrill.runner import Outcome, Profile, Result, run

__all__ = ["app"]

app = typer.Typer()


@app.command()
def packetdrill(
    files: Annotated[list[Path] | None, typer.Argument(help="Scripts, or folders of them.")] = None,
    suite: Annotated[
        list[Path] | None, typer.Option(help="A clone of google/packetdrill, or the kernel's source; may be repeated.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="With --suite: write the page of all results there.")] = None,
    define: Annotated[list[str] | None, typer.Option("--define", "-D", help="NAME=value in scripts.")] = None,
    push: Annotated[bool, typer.Option(help="Compare PSH too.")] = True,
) -> None:
    """Run packetdrill scripts against the stack, in virtual time. Status 1 if one fails."""
    if bool(files) == bool(suite):
        raise UserError("give scripts, or --suite with the clone of a suite")
    if suite:
        _run_suites(suite, write)
        return
    defines = dict(_definition(text) for text in define or ())
    profile = Profile(push=push, defines=defines)
    results = []
    for path in _scripts(files or []):
        try:
            results.append(run(path, profile))
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        _show(results[-1])
    _close(results, [str(result.path) for result in results if result.outcome is Outcome.FAIL])


def _definition(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise UserError(f"--define {text}: write it as NAME=value")
    return name, value


def _scripts(files: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in files:
        inside = sorted(path.rglob("*.pkt")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: no script (*.pkt) in this folder")
        found += inside
    return found


def _show(result: Result) -> None:
    detail = result.detail.replace("\n", "\n    ")
    print(f"{result.outcome.value:11} {result.path}" + (f"\n    {detail}" if detail else ""), flush=True)


def _close(results: list[Result], wrong: list[str]) -> None:
    count = Counter(result.outcome for result in results)
    print(", ".join(f"{count[outcome]} {outcome.value}" for outcome in Outcome))
    if wrong:
        raise RunFailedError(f"{len(wrong)} not as expected: {', '.join(wrong)}")


def _run_suites(roots: list[Path], write: Path | None) -> None:
    results: dict[conformance.Suite, dict[str, Result]] = {}
    commits: dict[conformance.Suite, str] = {}
    for root in roots:
        suite, folder = conformance.find_suite(root)
        results[suite] = conformance.run_suite(suite, folder, _show)
        commits[suite] = _version(root)
    if write is not None:
        write.write_text(conformance.markdown(results, commits))
    everything = [result for one in results.values() for result in one.values()]
    _close(everything, [name for one in results.values() for name in conformance.unexpected(one)])


def _version(root: Path) -> str:
    """The commit, or the release that a Makefile of Linux names."""
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    if done.returncode == 0:
        return f"commit {done.stdout.strip()}"
    makefile = root / "Makefile"
    if makefile.is_file():
        words = dict(line.split(" = ") for line in makefile.read_text().splitlines()[:6] if " = " in line)
        if {"VERSION", "PATCHLEVEL"} <= set(words):
            return f"Linux {words['VERSION']}.{words['PATCHLEVEL']}"
    return "an unknown version"
