"""The report: the page says what the rows say and asks nothing of a network; the directory is whole or as it was."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from sim.costs import HostCosts
from sim.errors import UserError
from sim.experiment import Experiment, main_job
from sim.report import writer
from sim.report.conditions import Conditions, conditions
from sim.report.fields import markdown
from sim.report.figures import FIGURES, cpu_by_cause, goodput, itr_register, latency_against_cpu, receive_latency
from sim.report.page import page
from sim.report.style import colours
from sim.report.summary import paragraph
from sim.report.writer import check_directory, write_report
from sim.results import RunResult, describe
from tests.sim.rows import synthetic_row, synthetic_rows

REPOSITORY = Path(__file__).resolve().parents[2]

NETWORK_ATTRIBUTES = {"src", "href", "srcset", "action", "formaction", "data", "poster", "background", "ping"}


class Parsed(HTMLParser):
    """What the tests look at in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.rows: dict[str, list[str]] = {}
        self.data: dict[str, str] = {}
        self.summary = ""
        self._row: list[str] | None = None
        self._sink: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        given = dict(attrs)
        if tag == "tr" and "data-run" in given:
            self._row = self.rows.setdefault(given["data-run"] or "", [])
        if self._row is not None and tag in ("th", "td"):
            self._row.append("")
            self._sink = "cell"
        if tag == "script":
            self._sink = f"figure {given['data-figure']}" if "data-figure" in given else None
        if given.get("id") == "summary":
            self._sink = "summary"

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._row = None
        if tag in ("th", "td", "script", "p"):
            self._sink = None

    def handle_data(self, data: str) -> None:
        if self._sink == "cell" and self._row is not None:
            self._row[-1] += data
        elif self._sink == "summary":
            self.summary += data
        elif self._sink is not None:
            name = self._sink.removeprefix("figure ")
            self.data[name] = self.data.get(name, "") + data


@pytest.fixture(scope="module")
def rows() -> list[RunResult]:
    return synthetic_rows()


@pytest.fixture
def job(tmp_path: Path, rows: list[RunResult]) -> Conditions:
    file = tmp_path / "<b>&file"
    file.write_bytes(b"content")
    return conditions(main_job(file), rows, wall_time=12.34)


def test_page_asks_nothing_of_a_network(rows: list[RunResult], job: Conditions) -> None:
    parsed = Parsed(page(rows, job))
    assert [entry for entry in parsed.attributes if entry[1] in NETWORK_ATTRIBUTES] == []
    assert "link" not in {tag for tag, _, _ in parsed.attributes}
    policy = next(
        value for tag, name, value in parsed.attributes if (tag, name) == ("meta", "content") and "src" in value
    )
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_page_has_every_figure_with_data(rows: list[RunResult], job: Conditions) -> None:
    parsed = Parsed(page(rows, job))
    places = {value for tag, name, value in parsed.attributes if tag == "div" and name == "id"}
    assert len(FIGURES) == 8
    for entry in FIGURES:
        assert entry.name in places
        assert len(json.loads(parsed.data[entry.name])["data"]) >= len({row.offloads for row in rows})


def test_table_equals_the_rows(rows: list[RunResult], job: Conditions) -> None:
    parsed = Parsed(page(rows, job))
    assert list(parsed.rows) == [row.name for row in rows]
    for row in rows:
        assert parsed.rows[row.name] == [
            f"{row.mode}, {'on' if row.offloads else 'off'}",
            f"{row.send_goodput / 1e6:.1f}",
            f"{row.receive_goodput / 1e6:.1f}",
            f"{row.send_interrupt_rate:,.0f}",
            f"{row.receive_interrupt_rate:,.0f}",
            f"{row.send_packets_per_interrupt:.1f}",
            f"{row.receive_packets_per_interrupt:.1f}",
            f"{100 * (1 - row.send_cpu['idle']):.1f}",
            f"{100 * (1 - row.receive_cpu['idle']):.1f}",
            f"{row.round_trip_p50 * 1e6:.1f}",
            f"{row.round_trip_p99 * 1e6:.1f}",
            f"{row.receive_latency_p50 * 1e6:.1f}",
            f"{row.receive_latency_p99 * 1e6:.1f}",
            str(row.retransmissions),
            f"{row.tso_segments_per_descriptor:.2f}",
            f"{row.cycles_per_second / 1e6:.2f}",
        ]


def test_page_escapes_what_the_user_names(rows: list[RunResult], job: Conditions) -> None:
    text = page(rows, job)
    assert "<b>&file" not in text
    assert "&lt;b&gt;&amp;file" in text


def test_page_describes_every_field(rows: list[RunResult], job: Conditions) -> None:
    text = page(rows, job)
    for name, _, _ in describe():
        assert f"<code>{name}</code>" in text


def test_goodput_bars_are_the_rows_in_megabits(rows: list[RunResult]) -> None:
    bars = [trace for trace in goodput(rows).data if trace.x[0] is not None]
    drawn = sorted(float(height) for trace in bars for height in trace.y)
    expected = sorted(value / 1e6 for row in rows for value in (row.send_goodput, row.receive_goodput))
    assert drawn == pytest.approx(expected, rel=1e-12)


def test_stacked_shares_add_up_to_the_whole_processor(rows: list[RunResult]) -> None:
    traces = cpu_by_cause(rows).data
    assert {trace.legendgroup for trace in traces} == set(rows[0].send_cpu)
    for axis in ("x", "x2"):
        total = np.sum([trace.x for trace in traces if (trace.xaxis or "x") == axis], axis=0)
        assert total == pytest.approx(100 * np.ones(len(rows)))


def test_latency_curve_runs_from_the_least_to_the_greatest() -> None:
    row = synthetic_row(3, offloads=True, latencies=1000)
    [curve] = receive_latency([row]).data
    assert len(curve.x) < 1000
    assert (curve.x[0], curve.x[-1]) == pytest.approx(
        (min(row.receive_latencies) * 1e6, max(row.receive_latencies) * 1e6)
    )
    assert (curve.y[0], curve.y[-1]) == (0, 100)
    # Half of the frames took no longer than where the curve crosses 50 %.
    middle = np.interp(50, curve.y, curve.x) / 1e6
    assert abs(sum(time <= middle for time in row.receive_latencies) - 500) <= 3


def test_itr_starts_at_reset_and_lasts_to_the_end() -> None:
    row = synthetic_row(1, offloads=True)
    [steps] = itr_register([row]).data
    assert (steps.x[0], steps.y[0]) == (0, 0)
    assert (steps.x[-1], steps.y[-1]) == pytest.approx((row.duration * 1e3, row.itr_log[-1][1]))
    assert list(steps.y[1:-1]) == [value for _, value in row.itr_log]


def test_latency_mark_reaches_the_99th_percentile() -> None:
    row = synthetic_row(1, offloads=False)
    [mark] = latency_against_cpu([row]).data
    assert mark.y[0] + mark.error_y.array[0] == pytest.approx(row.receive_latency_p99 * 1e6)
    assert mark.x[0] == pytest.approx(100 * (1 - row.receive_cpu["idle"]))


def test_modes_have_colours_of_their_own() -> None:
    palette = colours(synthetic_rows((0, 1, 3, 4, 100, 8000, 50000)))
    assert len(set(palette.values())) == 7
    assert colours(synthetic_rows((3,)))[3] == palette[3]


@pytest.mark.parametrize("rates", [(3,), (8000,), (0, 500)])
def test_any_set_of_runs_has_a_page(rates: tuple[int, ...], job: Conditions) -> None:
    rows = synthetic_rows(rates)
    assert list(Parsed(page(rows, job)).rows) == [row.name for row in rows]
    assert list(Parsed(page(rows[:1], job)).rows) == [rows[0].name]


def test_empty_file_has_a_page(job: Conditions) -> None:
    row = synthetic_row(3, offloads=True, file_bytes=0, latencies=0)
    assert "The file is empty" in Parsed(page([row], job)).summary


def test_summary_names_the_extremes(rows: list[RunResult]) -> None:
    text = paragraph(rows)
    with_offloads = [row for row in rows if row.offloads]
    assert f"{max(row.receive_goodput for row in with_offloads) / 1e6:.0f} Mb/s" in text
    assert f"{min(row.receive_latency_p99 for row in with_offloads) * 1e6:.1f} µs" in text
    assert f"{sum(row.retransmissions for row in rows)} TCP segments" in text


def test_conditions_give_every_cost_its_value_and_unit(job: Conditions) -> None:
    costs = job["costs of host A"]
    assert {name: item["value"] for name, item in costs.items()} == vars(HostCosts())
    assert costs["interrupt"]["unit"] == "ns"
    assert costs["copy_per_byte"]["unit"] == "ns per byte"
    assert (
        costs["copy_per_byte"]["text"]
        == "between program and stack (4 GB/s). Arrakis' table has 0.24 us in and 0.44 us out for a packet of 1 KiB"
    )
    assert all(item["unit"] and item["text"] for item in costs.values())


def test_conditions_state_the_faults_of_the_link(tmp_path: Path, rows: list[RunResult]) -> None:
    experiment = Experiment(file=tmp_path, interrupt_throttle_rate=3, offloads=True, loss=0.25, corruption=0.125)
    link = conditions([experiment], rows, wall_time=1.0)["link"]
    assert (link["loss"]["value"], link["corruption"]["value"]) == (0.25, 0.125)


def test_documented_fields_are_up_to_date() -> None:
    documented = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    assert documented == markdown(), "run: python -m sim.report.fields > docs/results.md"


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def captures(tmp_path: Path, rows: list[RunResult]) -> dict[str, Path]:
    paths = {row.name: tmp_path / f"run-{row.name}" for row in rows}
    for name, path in paths.items():
        path.write_text(f"frames of {name}")
    return paths


def test_report_has_its_files(
    tmp_path: Path, rows: list[RunResult], job: Conditions, captures: dict[str, Path]
) -> None:
    target = tmp_path / "deep" / "report"
    write_report(target, rows, job, captures=captures, waves={rows[0].name: captures[rows[0].name]})
    found = contents(target)
    assert found.pop("index.html").startswith(b"<!doctype html>")
    results = json.loads(found.pop("results.json"))
    assert [run["send_goodput"] for run in results["runs"]] == [row.send_goodput for row in rows]
    assert results["conditions"] == job
    assert found == {
        "capture.pcapng": b"frames of itr-3-offloads-on",
        f"waves/{rows[0].name}.fst": captures[rows[0].name].read_bytes(),
        **{f"captures/{name}.pcapng": path.read_bytes() for name, path in captures.items()},
    }


def test_new_report_replaces_the_old_one_whole(
    tmp_path: Path, rows: list[RunResult], job: Conditions, captures: dict[str, Path]
) -> None:
    target = tmp_path / "out" / "report"
    write_report(target, rows, job, captures=captures)
    only = {rows[0].name: captures[rows[0].name]}
    write_report(target, rows[:1], job, captures=only)
    assert sorted(contents(target)) == [
        "capture.pcapng",
        f"captures/{rows[0].name}.pcapng",
        "index.html",
        "results.json",
    ]
    assert [path.name for path in target.parent.iterdir()] == ["report"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("place", ["page", "rename"])
def test_failure_leaves_the_old_report(
    tmp_path: Path,
    rows: list[RunResult],
    job: Conditions,
    captures: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    place: str,
) -> None:
    target = tmp_path / "out" / "report"
    write_report(target, rows[:2], job, captures={})
    before = contents(target)

    def fail(*arguments: object) -> str:
        raise error

    if place == "page":
        monkeypatch.setattr(writer, "page", fail)
    else:
        rename = Path.rename
        # The old report is out of the way by then, and has to come back.
        monkeypatch.setattr(Path, "rename", lambda self, to: fail() if ".new-" in self.name else rename(self, to))
    with pytest.raises(error):
        write_report(target, rows, job, captures=captures)
    assert contents(target) == before
    assert [path.name for path in target.parent.iterdir()] == ["report"]


def test_failure_leaves_nothing_where_nothing_was(tmp_path: Path, rows: list[RunResult], job: Conditions) -> None:
    target = tmp_path / "out" / "report"
    with pytest.raises(FileNotFoundError):
        write_report(target, rows, job, captures={rows[0].name: tmp_path / "missing"})
    assert list(target.parent.iterdir()) == []


def test_directory_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "letter").touch()
    with pytest.raises(UserError, match="holds files and no report"):
        check_directory(tmp_path)
    with pytest.raises(UserError, match="is not a directory"):
        check_directory(tmp_path / "letter")
    with pytest.raises(UserError, match="cannot be created"):
        check_directory(tmp_path / "letter" / "report")
    check_directory(tmp_path / "new" / "report")
