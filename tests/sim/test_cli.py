"""The command line: what it refuses, how it ends, and what it leaves behind."""

import io
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sim import cli, experiment_commands
from sim.errors import RunFailedError
from sim.execute import folder_of
from sim.experiment import main_job
from sim.progress import ProgressDisplay
from sim.results import Row
from sim.rtl import build
from sim.run import Run
from sim.runner import Progress
from tests.sim.rows import synthetic_main_job, synthetic_row

REPOSITORY = Path(__file__).resolve().parents[2]


def niclab(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sim.cli", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report that was there before."""
    directory = tmp_path / "report"
    directory.mkdir()
    (directory / "results.json").write_text("old")
    return directory


# Opening /proc/self/mem succeeds and reading it does not, for root too.
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "/no/such"], "/no/such: no such file"),
        (["--file", "/tmp"], "/tmp is a directory, not a file"),
        (["--file", "/dev/zero"], "/dev/zero is not a regular file"),
        (["--file", "/proc/self/mem"], "/proc/self/mem cannot be read: Input/output error"),
        (["--modes", "0,2"], "InterruptThrottleRate takes 0, 1, 3, 4 or 100..100000 interrupts/s, not 2"),
        (["--modes", "99"], "100..100000 interrupts/s, not 99"),
        (["--modes", "100001"], "100..100000 interrupts/s, not 100001"),
        (["--modes", "-1"], "not -1"),
        (["--modes", "3,fast"], "'fast' in --modes is not a number"),
        (["--modes", ""], "'' in --modes is not a number"),
        (["--offloads", "some"], "'some' is not one of 'on', 'off', 'both'"),
        (["--jobs", "-1"], "greater than or equal to 0"),
        (["--colour"], "No such option"),
    ],
)
def test_bad_input_is_told_in_one_line(report: Path, arguments: list[str], message: str) -> None:
    result = niclab("report", "--output", str(report), *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert {path.name: path.read_text() for path in report.iterdir()} == {"results.json": "old"}
    assert list(report.parent.iterdir()) == [report]


@pytest.mark.parametrize(
    "arguments", [["run", "--mode", "5"], ["run", "--file", "/no/such"], ["run", "--offloads", "x"]]
)
def test_run_refuses_bad_input(arguments: list[str]) -> None:
    result = niclab(*arguments)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)


def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = niclab("report", "--file", str(tmp_path / "pipe"))
    assert (result.returncode, result.stderr) == (2, f"niclab: {tmp_path / 'pipe'} is not a regular file\n")


def test_version() -> None:
    result = niclab("--version")
    assert (result.returncode, result.stdout) == (0, "niclab 0.1.0\n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch()  # an empty file is a valid one
    return path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["niclab", *arguments])
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as end:
            cli.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert isinstance(end.value.code, int)
    return end.value.code


def simulated(console: Console, runs: list[Run], **options: object) -> experiment_commands._Simulated:
    rows: list[Row] = []
    for run in runs:
        folder = folder_of(run)
        folder.mkdir(parents=True)
        (folder / "capture.pcapng").write_text(str(run.mode))
        rows += [replace(row, name=run.name) for row in synthetic_main_job((run.mode,)) if not row.offloads]
    return experiment_commands._Simulated(rows=rows, wall_time=1.0, processor_time=1.0)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs without a simulator, whose folders lie in the directory that this is."""
    monkeypatch.setattr(experiment_commands, "_simulate", simulated)
    monkeypatch.setattr(build, "BUILD", tmp_path)
    return tmp_path


def test_report_is_written_and_named(
    runs: Path, file: Path, report: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--file", str(file), "--output", str(report), "--modes", "3,0,3", "--offloads", "off"]
    assert call(monkeypatch, "report", *options) == 0
    assert sorted(path.name for path in report.iterdir()) == [
        "capture.pcapng",
        "captures",
        "index.html",
        "results.json",
        "rows.parquet",
    ]
    assert (report / "capture.pcapng").read_text() == "3"
    assert str(report / "index.html") in capsys.readouterr().out


def interrupted(*arguments: object, **options: object) -> None:
    # Where the tests run in the background, SIGINT is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def failed(*arguments: object, **options: object) -> None:
    raise RunFailedError("run itr-3: the connection\nended early")


@pytest.mark.parametrize(
    ("end", "status", "line"),
    [
        (interrupted, 130, "niclab: interrupted; no report was written\n"),
        (failed, 1, "niclab: run itr-3: the connection ended early\n"),
    ],
)
def test_no_report_of_runs_that_did_not_end(
    file: Path,
    report: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: object,
    status: int,
    line: str,
) -> None:
    monkeypatch.setattr(experiment_commands, "_simulate", end)
    assert call(monkeypatch, "report", "--file", str(file), "--output", str(report)) == status
    assert capsys.readouterr().err == line
    assert {path.name: path.read_text() for path in report.iterdir()} == {"results.json": "old"}
    assert sorted(report.parent.iterdir()) == sorted([report, file])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_simulators_are_ended_when_the_command_is(
    file: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    cleaned_up = []

    def runs_until_ended(*arguments: object, **options: object) -> None:
        try:
            signal.raise_signal(number)
        finally:
            cleaned_up.append(True)

    monkeypatch.setattr(experiment_commands, "_simulate", runs_until_ended)
    assert call(monkeypatch, "run", "--file", str(file)) == 128 + number
    assert cleaned_up == [True]


def _main_jobs(file: Path) -> list[Run]:
    return main_job(file, modes=(0, 3), offloads=(True,))


def test_progress_is_one_line_per_run_away_from_a_terminal(file: Path) -> None:
    output = io.StringIO()
    first, second = runs = _main_jobs(file)
    progress = Progress(runs)
    with ProgressDisplay(Console(file=output)) as display:
        display(progress)
        progress.rows[second.label] = [synthetic_row(3)]
        display(progress)
        display(progress)
        progress.rows[first.label] = [synthetic_row(0)]
        display(progress)
    assert [line.split(":")[0] for line in output.getvalue().splitlines()] == [
        "[1/2] main-job/file-itr-3-offloads-on-seed-1",
        "[2/2] main-job/file-itr-0-offloads-on-seed-1",
    ]


def test_estimate_is_what_the_runs_so_far_took(file: Path) -> None:
    now = 100.0
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120)
    runs = main_job(file)
    progress = Progress(runs)
    with ProgressDisplay(console, clock=lambda: now) as display:
        now = 101.0
        progress.rows[runs[0].label] = [synthetic_row(0)]
        display(progress)
        early = display.remaining
        now = 110.0
        display(progress)
    assert early == ""
    assert display.remaining == "about 1:30 left"
    assert "about 1:30 left" in output.getvalue()
