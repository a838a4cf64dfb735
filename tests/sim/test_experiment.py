"""Experiments as documents: which runs they are, and what is said of a document that is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.backend import Backend
from sim.errors import UserError
from sim.experiment import load, main_job
from sim.quantity import span
from sim.run import Run

REPOSITORY = Path(__file__).resolve().parents[2]

DOCUMENT = """\
backend = "model"
seeds = 2

[workload]
kind = "poisson"
rate = ["10 k/s", "50 k/s"]
frame = "64 bytes"
duration = "2 ms"

[driver]
interrupt_throttle_rate = [0, 3]
offloads = true
rx_descriptors = { from = 96, to = 256, points = 2 }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "experiment.toml"
    path.write_text(text)
    return path


def test_runs_are_all_combinations(tmp_path: Path) -> None:
    runs = load(write(tmp_path, DOCUMENT))
    assert len(runs) == 2 * 2 * 2 * 2
    assert len({run.name for run in runs}) == len({run.key for run in runs}) == 16
    assert {run.workload.load for run in runs} == {(10_000, "packets/s"), (50_000, "packets/s")}
    assert {run.driver.rx_descriptors for run in runs} == {96, 256}
    assert [run.seed for run in runs[:4]] == [1, 2, 1, 2]
    assert all(run.varied == {"driver.rx_descriptors": run.driver.rx_descriptors} for run in runs)
    assert {run.backend for run in load(write(tmp_path, DOCUMENT), backend=Backend.RTL)} == {Backend.RTL}


def test_a_run_survives_its_json(tmp_path: Path) -> None:
    for run in load(write(tmp_path, DOCUMENT)):
        again = Run.model_validate_json(run.model_dump_json())
        assert again == run
        assert again.key == run.key


@pytest.mark.parametrize("path", sorted((REPOSITORY / "experiments").rglob("*.toml")), ids=lambda path: path.stem)
def test_experiments_that_come_along_are_valid(path: Path) -> None:
    assert load(path)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("rate =", "rat =", 6, "unknown key 'rat'; did you mean 'rate'?"),
        ('"64 bytes"', '"64 furlongs"', 7, "'64 furlongs' has no unit of a size: bytes, B, kB"),
        ('"64 bytes"', "64", 7, "64 needs a unit: one of bytes, B, kB"),
        ('"64 bytes"', '"9 bytes"', 7, "frame: input should be greater than or equal to 64"),
        ('"2 ms"', '"fast"', 8, "'fast' is not a time: a number with one of ns, us"),
        (
            '"2 ms"',
            '"5 s"',
            8,
            "take 5.001 s, but a run is given up after time_limit, 5 s; set a longer",
        ),
        ('"2 ms"', '"-2 ms"', 8, "duration: input should be greater than or equal to 0"),
        ("[0, 3]", "[0, 99]", 11, "InterruptThrottleRate takes 0, 1, 3, 4 or 100..100000 interrupts/s, not 99"),
        ("[0, 3]", '"fast"', 11, "should be a valid integer"),
        ("to = 256", "to = 99999", 13, "rx_descriptors takes a multiple of 8 in 80..4096"),
        ("points = 2", "point = 2", 13, "a range has from, to, points, and scale 'linear' or 'log'"),
        ("points = 2", "points = 1", 13, "points is 2 or more, not 1"),
        ("poisson", "flod", 5, "kind is one of bulk, ping-pong, flood"),
        ("seeds = 2", "seeds = 0", 2, "seeds is how many (1..10000)"),
        ("seeds = 2", "seeds = [1, 1]", 2, "a list of different numbers"),
        ("seeds = 2", "seed = 2", 2, "unknown key 'seed'; backend, seeds"),
        ("offloads = true", "offloads = 3", 12, "offloads is true or false, not 3"),
        ("offloads = true", "offloads = true\ntso = false", 12, "offloads stands for tso"),
        ("offloads = true", "rx_int_delay = 70000", 12, "rx_int_delay takes 0..65535 units of 1.024 us"),
        ("offloads = true", "offload = true", 12, "did you mean 'offloads'?"),
        ('"model"', '"paper"', 1, "should be 'rtl' or 'model'"),
        ("[driver]", "[drive]", 10, "unknown key 'drive'"),
        ("rate =", "#", 4, "poisson needs rate"),
        ("= 2", "=", 2, "Invalid value"),
        ('["10 k/s", "50 k/s"]', "[]", 6, "an empty list has no runs"),
    ],
)
def test_a_wrong_document_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    path = write(tmp_path, DOCUMENT.replace(old, new, 1))
    with pytest.raises(UserError) as failure:
        load(path)
    assert str(failure.value).startswith(f"{path}:{line}: ")
    assert message in str(failure.value)
    assert "\n" not in str(failure.value)


def test_the_faulty_one_of_several_workloads_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, '[[workload]]\nkind = "bulk"\n\n[[workload]]\nkind = "bulk"\nway = "up"\n')
    with pytest.raises(UserError, match=r":6: way: input should be 'send', 'receive' or 'both', not 'up'$"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"text", "is no capture"),
        (b"\xd4\xc3\xb2\xa1" + bytes(10), "damaged at byte 4"),
        (b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(12) + b"\x01\x00\x00\x00", "holds no frames"),
    ],
)
def test_a_missing_or_damaged_capture_is_told_before_anything_runs(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "mine.pcap").write_bytes(content)
    path = write(tmp_path, '[workload]\nkind = "replay"\nfile = "mine.pcap"\n')
    with pytest.raises(UserError) as failure:
        load(path)
    assert str(failure.value).startswith(f"{path}:3: {tmp_path / 'mine.pcap'}")
    assert message in str(failure.value)


def test_documents_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "missing.toml")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load(tmp_path / "binary.toml")


def test_a_changed_input_changes_exactly_its_key(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    path = write(
        tmp_path, '[[workload]]\nkind = "file"\nfile = "file"\n[[workload]]\nkind = "bulk"\nduration = "1 ms"\n'
    )
    before = {run.name: run.key for run in load(path)}
    file.write_bytes(b"two")
    after = {run.name: run.key for run in load(path)}
    assert {name for name in before if before[name] != after[name]} == {
        name for name in before if name.startswith("file")
    }
    text = path.read_text().replace("1 ms", "2 ms")
    path.write_text(text)
    last = {run.name: run.key for run in load(path)}
    assert {name for name in after if after[name] != last[name]} == {name for name in after if name.startswith("bulk")}


def test_main_job_is_every_mode_with_and_without_offloads(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    runs = main_job(file)
    assert [(run.mode, run.driver.offloads) for run in runs] == [
        (mode, on) for mode in (0, 1, 3, 4, 8000) for on in (True, False)
    ]
    with pytest.raises(UserError, match="no such file"):
        main_job(tmp_path / "missing")


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(2, 50), st.booleans())
def test_a_range_has_its_ends(first: int, last: int, points: int, logarithmic: bool) -> None:
    values = span(first, last, points, logarithmic=logarithmic)
    assert (values[0], values[-1]) == (first, last)
    assert len(values) <= points
    assert len(set(values)) == len(values)
    assert span("1 us", "1000 us", 4, logarithmic=True)[0] == "1 us"
