"""Sweeps: rows are kept as soon as they are there, whatever ends the rest; a cluster gives the same rows."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sim import runner
from sim.compare import compare_rows
from sim.errors import UserError
from sim.results import Row
from sim.run import Run
from sim.runner import Progress, run_all
from sim.store import Store
from sim.table import read_parquet, schema, write_parquet
from tests.sim.rows import synthetic_row, synthetic_rows

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120


def small_runs(count: int, *, duration: int = 300_000) -> list[Run]:
    return [
        Run.model_validate(
            {
                "backend": "model",
                "workload": {"kind": "ping-pong", "duration": duration, "warm_up": 100_000},
                "seed": seed,
            }
        )
        for seed in range(1, count + 1)
    ]


def told(rows: list[Row]) -> list[Row]:
    """Without what the machine's speed decides."""
    return [replace(row, wall_time=0.0, cycles_per_second=0.0) for row in rows]


def test_rows_survive_parquet(tmp_path: Path) -> None:
    rows = synthetic_rows((0, 3), seeds=(1,))
    rows.append(synthetic_row(1, latencies=0, varied={"driver.rx_descriptors": 80}))
    write_parquet(rows, tmp_path / "deep" / "rows.parquet")
    assert read_parquet(tmp_path / "deep" / "rows.parquet") == rows
    assert len(schema()) > 60
    (tmp_path / "text").write_text("no rows")
    with pytest.raises(ValueError, match="is no Parquet file"):
        read_parquet(tmp_path / "text")


def test_rows_that_are_kept_are_not_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    runs = small_runs(3)
    first = run_all(runs[:2], store=store, resume=True, jobs=1)
    assert (first.kept, len(first.rows), first.failed) == (0, 2, {})
    second = run_all(runs, store=store, resume=True, jobs=1)
    assert (second.kept, len(second.rows)) == (2, 3)
    assert second.in_order()[:2] == first.in_order()
    assert [row.seed for row in second.in_order()] == [1, 2, 3]


def test_a_shared_row_bears_the_name_under_which_it_is_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    [run] = small_runs(1)
    store.put(run.key, [synthetic_row(3)])
    other = run.model_copy(update={"experiment": "other", "varied": {"driver.napi": True}})
    [row] = run_all([other], store=store, resume=True, jobs=1).in_order()
    assert (row.experiment, row.name, row.varied) == ("other", other.name, '{"driver.napi": true}')


def test_runs_of_two_experiments_may_have_the_same_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    runs = [run.model_copy(update={"experiment": name}) for run in small_runs(1) for name in ("one", "other")]
    store.put(runs[0].key, [synthetic_row(3)])
    rows = run_all(runs, store=store, resume=True, jobs=1).in_order()
    assert [row.experiment for row in rows] == ["one", "other"]


def test_a_broken_file_of_rows_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    [run] = small_runs(1)
    store.put(run.key, [synthetic_row(3)])
    [path] = tmp_path.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    assert store.get(run.key) is None


def test_a_failed_run_does_not_end_the_others(tmp_path: Path) -> None:
    runs = small_runs(2)
    runs.insert(1, runs[0].model_copy(update={"seed": 9, "time_limit": 50_000}))
    progress = run_all(runs, store=Store(tmp_path), jobs=1)
    assert list(progress.rows) == [runs[0].label, runs[2].label]
    assert list(progress.failed) == progress.left == [runs[1].label]
    assert "no end after 5e-05 s of simulated time" in progress.failed[runs[1].label]


def _kill_one_worker_when(path: Path) -> threading.Thread:
    """Kills a worker of this process once the store has a row."""

    def kill() -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and not list(path.rglob("*.parquet")):
            time.sleep(0.01)
        for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)
                return

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    runs = small_runs(4, duration=3_000_000)
    killer = _kill_one_worker_when(tmp_path)
    progress = run_all(runs, store=Store(tmp_path), jobs=1)
    killer.join()
    assert len(progress.rows) == 4
    assert progress.failed == {}


def test_a_run_that_kills_its_workers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "execute", _die)
    progress = run_all(small_runs(2), store=Store(tmp_path), jobs=1)
    assert progress.rows == {}
    assert [reason.split(": ")[1] for reason in progress.failed.values()] == ["its worker died, 2 times"] * 2


def _die(*arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_full_disk_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    put = store.put

    def full(key: str, rows: list[Row]) -> None:
        if list(tmp_path.rglob("*.parquet")):
            # The kernel's answer to a file that may not grow is like that to a full disk.
            os.write(os.open("/dev/full", os.O_WRONLY), b"row")
        put(key, rows)

    monkeypatch.setattr(store, "put", full)
    seen: list[Progress] = []
    with pytest.raises(OSError, match="No space left on device"):
        run_all(small_runs(3), store=store, jobs=1, on_progress=seen.append)
    assert len(list(tmp_path.rglob("*.parquet"))) == len(seen[-1].rows) == 1
    assert len(seen[-1].left) == 2


def test_ctrl_c_tells_what_is_left(tmp_path: Path) -> None:
    document = tmp_path / "many.toml"
    document.write_text('backend = "model"\nseeds = 60\n[workload]\nkind = "ping-pong"\nduration = "7 ms"\n')
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from pathlib import Path; from sim import cli, experiment_commands as commands; "
        f"commands.STORE = commands.EXPERIMENTS = Path({str(tmp_path / 'kept')!r}); "
        f"sys.argv = ['niclab', 'sweep', '--jobs', '1', {str(document)!r}]\n"
        "if __name__ == '__main__': cli.main()"
    )
    script = tmp_path / "sweep.py"
    script.write_text(program.replace("; ", "\n"))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("[1/60]")
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert error.count("\n") == 1
    kept = len(list((tmp_path / "kept").rglob("*.parquet")))
    assert kept >= 1
    assert f"{kept} of 60 runs are done and kept; left: many/ping-pong" in output
    assert len((tmp_path / "kept" / "many.left").read_text().splitlines()) == 60 - kept


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and three workers, processes of their own: its address and the workers."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    file = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    worker = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--scheduler-file", str(file)]
    workers: list[subprocess.Popen[bytes]] = []
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while not file.exists():
            assert time.monotonic() < end, "no scheduler came up"
            time.sleep(0.05)
        workers += [
            subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_worker", *worker],
                env=environment,
                cwd=REPOSITORY,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(3)
        ]
        from distributed import Client

        with Client(scheduler_file=str(file), timeout=PATIENCE_SECONDS) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(3, timeout=PATIENCE_SECONDS)
            address = str(client.scheduler.address)  # type: ignore[union-attr]
        yield address, workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same_rows(
    tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    runs = small_runs(9, duration=2_000_000)

    def lose_one(progress: Progress) -> None:
        if progress.rows and workers[0].poll() is None:
            workers[0].kill()

    there = run_all(runs, store=Store(tmp_path / "cluster"), dask=address, on_progress=lose_one)
    assert workers[0].wait(PATIENCE_SECONDS) == -signal.SIGKILL
    assert there.failed == {}
    here = run_all(runs, store=Store(tmp_path / "here"), jobs=1)
    assert told(there.in_order()) == told(here.in_order())


@pytest.mark.slow
def test_no_cluster_is_one_line() -> None:
    with pytest.raises(UserError, match=r"no Dask scheduler answers at 127\.0\.0\.1:9"):
        run_all(small_runs(1), dask="127.0.0.1:9")


def test_comparison_pairs_seeds() -> None:
    first = [synthetic_row(3, seed=seed) for seed in (1, 2, 3)]
    second = [replace(row, interrupt_rate=row.interrupt_rate + 10.0) for row in first[:2]]
    [comparison] = compare_rows(first, second)
    assert comparison.seeds == 2
    _, _, difference = comparison.measures["interrupts/s"]
    assert (difference.value, difference.half) == pytest.approx((10.0, 0.0))
    assert comparison.measures["busy %"][2].value == 0
    assert compare_rows(first, [synthetic_row(1)]) == []
