"""The report: the page says what the rows say and asks nothing of a network; the directory is whole or as it was."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sim import experiment
from sim.costs import HostCosts
from sim.errors import UserError
from sim.experiment import main_job
from sim.fidelity.errors import MEASURES, Measured, nearest
from sim.fidelity.grid import GRID
from sim.fidelity.scenario import Direction
from sim.model.launch import simulate
from sim.outputs import Outputs
from sim.report import load_figures, point_figures, time_figures, writer
from sim.report.cases import Case, cases_of
from sim.report.conditions import Conditions, conditions
from sim.report.fields import markdown
from sim.report.figures import CASE_FIGURES, POINT_FIGURES
from sim.report.literal_figure import literal_figure
from sim.report.model_error import model_error
from sim.report.nearest_points import captions, scenario_like
from sim.report.overview import COLUMNS, lines, text_table
from sim.report.page import page
from sim.report.published import published
from sim.report.style import colour
from sim.report.summary import paragraph
from sim.report.writer import check_directory, write_report
from sim.results import DROP_CAUSES, Row, describe
from sim.run import Run
from sim.statistics import mean
from sim.table import read_parquet
from tests.sim.rows import synthetic_main_job, synthetic_row, synthetic_rows

REPOSITORY = Path(__file__).resolve().parents[2]

NETWORK_ATTRIBUTES = {"src", "href", "srcset", "action", "formaction", "data", "poster", "background", "ping"}


class Parsed(HTMLParser):
    """What the tests look at in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.rows: list[list[str]] = []
        self.content = ""
        self.text: dict[str, str] = {}
        self._in_row = False
        self._sink: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        given = dict(attrs)
        if tag == "tr" and "data-run" in given:
            self._in_row = True
            self.rows.append([])
        if self._in_row and tag in ("th", "td"):
            self.rows[-1].append("")
            self._sink = "cell"
        if given.get("id") in ("content", "summary"):
            self._sink = given["id"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._in_row = False
        if tag in ("th", "td", "script", "p"):
            self._sink = None

    def handle_data(self, data: str) -> None:
        if self._sink == "cell":
            self.rows[-1][-1] += data
        elif self._sink is not None:
            self.text[self._sink] = self.text.get(self._sink, "") + data

    @property
    def figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = json.loads(self.text["content"])["figures"]
        return figures


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return synthetic_rows()


@pytest.fixture(scope="module")
def case(rows: list[Row]) -> Case:
    [case] = cases_of(rows)
    return case


@pytest.fixture
def job(tmp_path: Path) -> Conditions:
    file = tmp_path / "<b>&file"
    file.write_bytes(b"content")
    return conditions(main_job(file), wall_time=12.34)


def test_page_asks_nothing_of_a_network(rows: list[Row], job: Conditions) -> None:
    parsed = Parsed(page(rows, job))
    assert [entry for entry in parsed.attributes if entry[1] in NETWORK_ATTRIBUTES] == []
    assert "link" not in {tag for tag, _, _ in parsed.attributes}
    policy = next(
        value for tag, name, value in parsed.attributes if (tag, name) == ("meta", "content") and "src" in (value or "")
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_page_has_every_figure_of_every_case_and_load(rows: list[Row], job: Conditions) -> None:
    parsed = Parsed(page([*rows, *synthetic_main_job()], job))
    places = {value for tag, name, value in parsed.attributes if tag == "div" and name == "id"}
    for entry in (*CASE_FIGURES, *POINT_FIGURES):
        assert f"figure-{entry.name}" in places
        assert len(parsed.figures[entry.name]) == 4  # poisson, and the phases of the main job
    assert [len(loads) for loads in parsed.figures["pareto"]] == [2, 1, 1, 1]
    for figure in parsed.figures["latency-load"]:
        assert any(trace.get("y") for trace in figure["data"])


def test_table_holds_the_means_over_seeds(rows: list[Row], job: Conditions) -> None:
    parsed = Parsed(page(rows, job))
    found = list(lines(cases_of(rows)))
    assert len(parsed.rows) == len(found) == 2 * 2 * 5
    for cells, line in zip(parsed.rows, found, strict=True):
        assert cells[0] == line.label
        assert cells[2:] == [column.write(line.rows) for column in COLUMNS]
        assert len(line.rows) == 3
        assert cells[2] == f"{sum(row.send_goodput for row in line.rows) / 3e6:.1f}"


def test_no_figure_is_cut_on_a_terminal() -> None:
    rows = [replace(row, interrupt_rate=121_868.0, latency_p99=12_345.6e-6) for row in synthetic_main_job()]
    output = io.StringIO()
    console = Console(width=80, file=output)
    console.print(text_table(rows))
    text = output.getvalue()
    assert text.count("121,868") == len(rows)
    assert "3 conservative, offloads off" in text
    assert "…" not in text


def test_a_terminal_shows_answers_where_no_payload_is_counted() -> None:
    rows = [
        replace(row, send_goodput=0.0, receive_goodput=0.0, transactions=122, transaction_rate=121_868.0)
        for row in synthetic_main_job()
    ]
    output = io.StringIO()
    Console(width=80, file=output).print(text_table(rows))
    text = output.getvalue()
    assert "answers/s" in text
    assert "Mb/s" not in text
    assert text.count("121,868") == len(rows)
    assert "…" not in text


def test_page_escapes_what_the_user_names(rows: list[Row], job: Conditions) -> None:
    text = page(rows, job)
    assert "<b>&file" not in text
    assert "&lt;b&gt;&amp;file" in text


def test_page_describes_every_field(rows: list[Row], job: Conditions) -> None:
    text = page(rows, job)
    for name, _, _ in describe():
        assert f"<code>{name}</code>" in text


def test_lines_against_load_are_means_with_their_intervals(case: Case) -> None:
    traces = [
        trace for trace in load_figures.throughput(case).data if trace.meta["mode"] == 3 and trace.meta["offloads"]
    ]
    quantities: list[Callable[[Row], float]] = [lambda row: row.goodput / 1e6, lambda row: row.transaction_rate]
    for trace, quantity in zip(traces, quantities, strict=True):
        assert list(trace.x) == case.loads
        for index, load in enumerate(case.loads):
            expected = mean([quantity(row) for row in case.at(load, (3, True))])
            assert trace.y[index] == pytest.approx(expected.value)
            assert trace.error_y.array[index] == pytest.approx(expected.half)


@pytest.mark.parametrize(
    ("without", "left"),
    [
        ({"transactions": 0, "transaction_rate": 0.0}, ["goodput (Mb/s)"]),
        ({"send_goodput": 0.0, "receive_goodput": 0.0}, ["transactions/s"]),
    ],
)
def test_a_case_has_panels_for_what_it_has_alone(without: dict[str, Any], left: list[str]) -> None:
    [case] = cases_of([replace(row, **without) for row in synthetic_rows()])
    for figure, more in (
        (load_figures.throughput(case), []),
        (load_figures.offloads(case), ["processor busy (%)"]),
    ):
        assert [axis.title.text for axis in figure.select_yaxes()] == [*left, *more]


def test_one_load_gives_bars_per_mode() -> None:
    [case] = cases_of(synthetic_rows(loads=(1000.0,)))
    figure = load_figures.cpu(case)
    assert {trace.type for trace in figure.data} == {"bar"}
    assert len(figure.data) == len(case.variants)


def test_stacked_shares_add_up_to_the_whole_processor(case: Case) -> None:
    traces = point_figures.cpu_by_cause(case, case.loads[0]).data
    assert {trace.name.replace(" ", "_") for trace in traces} == set(case.rows[0].cpu)
    assert np.sum([trace.x for trace in traces], axis=0) == pytest.approx(100 * np.ones(len(case.variants)))


def test_distribution_runs_from_the_least_to_the_greatest(case: Case) -> None:
    curve = next(iter(point_figures.distribution(case, case.loads[1]).data))
    members = case.at(case.loads[1], (curve.meta["mode"], curve.meta["offloads"]))
    assert curve.x[0] == pytest.approx(1e6 * sum(row.latencies[0] for row in members) / len(members))
    assert curve.x[-1] == pytest.approx(1e6 * sum(row.latency_max for row in members) / len(members))
    assert (curve.y[0], curve.y[-1]) == (0, 100)


def test_front_is_what_nothing_beats() -> None:
    points = [(1.0, 9.0), (2.0, 4.0), (3.0, 5.0), (2.0, 6.0), (4.0, 1.0), (5.0, 1.0)]
    assert point_figures.front(points) == [(1.0, 9.0), (2.0, 4.0), (4.0, 1.0)]


def test_drops_are_shares_of_the_frames(case: Case) -> None:
    figure = point_figures.drops(case, case.loads[0])
    assert [trace.name for trace in figure.data] == list(DROP_CAUSES)
    members = case.at(case.loads[0], case.variants[0])
    frames = sum(row.frames_received + row.frames_sent for row in members)
    assert sum(trace.y[0] for trace in figure.data) == pytest.approx(
        100 * sum(sum(row.drops.values()) for row in members) / frames
    )


def test_itr_lasts_to_the_end() -> None:
    row = synthetic_row(1)
    [case] = cases_of([row])
    register, classes = time_figures.throttle(case, row.load).data
    assert register.x[-1] == pytest.approx(row.duration * 1e3)
    assert list(register.y[:-1]) == [write["register"] for write in row.itr_log]
    assert list(classes.y[:-1]) == [write["rx_class"] for write in row.itr_log]


def test_modes_have_colours_of_their_own() -> None:
    modes = (0, 1, 3, 4, 100, 8000, 50000)
    assert len({colour(mode, modes) for mode in modes}) == 7
    assert colour(3, (3,)) == colour(3, modes)


@pytest.mark.parametrize("rates", [(3,), (8000,), (0, 500)])
def test_any_set_of_rows_has_a_page(rates: tuple[int, ...], job: Conditions) -> None:
    rows = synthetic_rows(rates, seeds=(1,))
    assert len(Parsed(page(rows, job)).rows) == len(rows)
    assert len(Parsed(page(rows[:1], job)).rows) == 1
    without = [synthetic_row(rate, latencies=0) for rate in rates]
    assert len(Parsed(page(without, job)).rows) == len(without)


def test_summary_counts_runs_drops_and_retransmissions(rows: list[Row]) -> None:
    text = paragraph(rows, cases_of(rows))
    assert "60 runs" in text.lower()
    assert f"{sum(row.drops['fifo'] for row in rows):,} by fifo" in text
    assert f"{sum(row.retransmissions for row in rows):,} TCP segments" in text


def test_conditions_give_every_cost_its_value_and_unit(job: Conditions) -> None:
    costs = job["costs of host A"]
    assert {name: item["value"] for name, item in costs.items()} == vars(HostCosts())
    assert costs["interrupt"]["unit"] == "ns"
    assert costs["copy_per_byte"]["unit"] == "ns per byte"
    assert all(item["unit"] and item["text"] for item in costs.values())


def test_conditions_state_the_link_and_what_varies(tmp_path: Path) -> None:
    runs = [
        Run.model_validate(
            {
                "workload": {"kind": "bulk"},
                "driver": {"interrupt_throttle_rate": mode},
                "link": {"loss": 0.25, "corruption": 0.125},
            }
        )
        for mode in (0, 3)
    ]
    found = conditions(runs, wall_time=1.0)
    assert (found["link"]["loss"]["value"], found["link"]["corruption"]["value"]) == (0.25, 0.125)
    assert found["driver"]["interrupt_throttle_rate"]["value"] == "0, 3"


def test_error_of_the_model_is_what_fidelity_measured(tmp_path: Path, rows: list[Row]) -> None:
    path = tmp_path / "fidelity.json"
    missing = model_error(rows, path)
    assert missing is not None
    assert missing.figure is None
    assert "was not measured" in missing.text
    Measured(
        commit="abc",
        nic="def",
        errors={
            name: {"throughput": value, "latency_p99": value, "interrupt_times": 80.0}
            for name, value in (("case1", 0.25), ("case2", -1.5))
        },
        held_out=frozenset({"case2"}),
    ).write(path)
    found = model_error(rows, path)
    assert found is not None
    assert found.text == (
        "Over 2 scenarios that both played at commit abc, at most: throughput 1.50 %, latency p99 1.50 %."
    )
    assert found.figure is not None
    assert sorted(value for trace in found.figure.data for value in trace.y) == [0.25, 0.25, 1.5, 1.5]
    assert model_error([replace(row, backend="rtl") for row in rows], path) is None


def test_each_figure_of_the_model_carries_the_error_of_the_nearest_points(
    rows: list[Row], job: Conditions, tmp_path: Path
) -> None:
    path = tmp_path / "fidelity.json"
    errors = {
        scenario.name: dict.fromkeys(MEASURES, 0.0) | {"latency_p50": float(number), "interrupts": -1.0}
        for number, scenario in enumerate(GRID)
    }
    measured = Measured(commit="abc", nic="def", errors=errors, held_out=frozenset())
    measured.write(path)
    assert Measured.read(path) == measured
    [case] = cases_of(rows)
    found = captions([case], measured)
    assert set(found) == {entry.name for entry in (*CASE_FIGURES, *POINT_FIGURES)}
    # Each text of a load speaks of the points that are nearest to its rows, and of no other.
    for load, text in zip(case.loads, found["distribution"][0], strict=True):
        near = {point.name for variant in case.variants for point in nearest(scenario_like(case.at(load, variant)[0]))}
        worst = max(near, key=lambda name: errors[name]["latency_p50"])
        assert text == (
            f"The model against the RTL at the {len(near)} nearest points: at most latency p50 "
            f"{errors[worst]['latency_p50']:.2f} % ({worst}), latency p99 0.00 %."
        )
    assert "interrupts 1.00 %" in found["cpu-load"][0][0]
    rtl = cases_of([replace(row, backend="rtl") for row in rows])
    assert {text for texts in captions(rtl, measured).values() for case_texts in texts for text in case_texts} == {""}
    assert "nearest points" in page(rows, job, fidelity=path)
    assert "nearest points" not in page(rows, job, fidelity=tmp_path / "none")


def test_a_run_is_like_a_scenario_of_its_kind() -> None:
    row = synthetic_row(8000)
    settings = {"driver": {"rx_descriptors": 512}, "host": {"dma_width": 4, "dma_read_latency": 200}}
    one_way = replace(
        row,
        settings=json.dumps(settings),
        sent_bytes=0,
        received_bytes=10**6,
        frames_received=1000,
        packets_per_interrupt=12.4,
        tso_packets=0,
    )
    found = scenario_like(one_way)
    assert (found.direction, found.size, found.burst, found.segments) == (Direction.RECEIVE, 1062, 12, 1)
    assert found.parameters().rx_descriptors == 512
    assert found.parameters().interrupt_throttle_rate == 8000
    assert (found.host_costs().dma_width, found.host_costs().dma_read_latency) == (4, 200)
    sending = replace(row, sent_bytes=10**6, received_bytes=0, frames_sent=800, tso_packets=20, tso_segments=800)
    assert scenario_like(sending).direction is Direction.TRANSMIT
    assert scenario_like(sending).segments == 40
    assert scenario_like(replace(row, sent_bytes=100, received_bytes=100)).direction is Direction.BOTH


def test_both_rules_of_the_dynamic_modes_stand_beside_each_other(rows: list[Row], job: Conditions) -> None:
    assert literal_figure(rows) is None
    both = [
        replace(
            synthetic_row(mode, varied={"driver.itr_literal_figure": literal}),
            settings=json.dumps({"driver": {"itr_literal_figure": literal}}),
            interrupt_rate=1000.0 * (1 + literal),
        )
        for mode in (1, 3)
        for literal in (False, True)
    ]
    assert literal_figure([row for row in both if "true" in row.settings]) is None
    found = literal_figure(both)
    assert found is not None
    assert [(mode, values[0], values[4]) for _, mode, values in found.lines] == [
        ("1 dynamic", "1,000", "2,000"),
        ("3 conservative", "1,000", "2,000"),
    ]
    linux, figure = found.decisions.data
    # Two full frames stay in the low class under Linux's rule, and go to bulk under the chart's.
    place = list(linux.y).index(1514), list(linux.x).index(2)
    assert (linux.z[place[0]][place[1]], figure.z[place[0]][place[1]]) == (1, 2)
    # One full frame does not.
    assert linux.z[place[0]][0] == figure.z[place[0]][0] == 1
    assert 'id="literal"' in page(both, job)
    assert 'id="literal"' not in page(rows, job)


def test_published_figures_come_with_their_experiments(rows: list[Row], job: Conditions) -> None:
    assert published(rows) == []
    trips = [
        replace(synthetic_row(mode, workload="ping-pong"), experiment="round-trip", latency_p50=late)
        for mode, late in ((0, 11e-6), (8000, 124.9e-6))
    ]
    [claim] = published([*rows, *trips])
    assert claim.same_shape
    assert ("round trip, fixed 8000/s", "125 µs", "124.9 µs") in claim.pairs
    assert "same shape" in page([*rows, *trips], job)
    [other] = published([trips[0], replace(trips[1], latency_p50=50e-6)])
    assert not other.same_shape


def _cheap(run: Run) -> bool:
    return run.experiment != "napi-tcp" or run.link.peer_interval == 800_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bistable", "itr-500", "napi-tcp", "napi-udp", "round-trip"])
def test_the_published_shape_comes_out(name: str, tmp_path: Path) -> None:
    runs = [run for run in experiment.load(REPOSITORY / "experiments" / "published" / f"{name}.toml") if _cheap(run)]
    [claim] = published([row for run in runs for row in simulate(run, tmp_path, Outputs())])
    assert claim.same_shape, claim.pairs


def test_documented_fields_are_up_to_date() -> None:
    documented = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    assert documented == markdown(), "run: python -m sim.report.fields > docs/results.md"


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def captures(tmp_path: Path) -> dict[str, Path]:
    paths = {row.name: tmp_path / f"run-{row.name}" for row in synthetic_main_job()}
    for name, path in paths.items():
        path.write_text(f"frames of {name}")
    return paths


def test_report_has_its_files(tmp_path: Path, job: Conditions, captures: dict[str, Path]) -> None:
    rows = synthetic_main_job()
    target = tmp_path / "deep" / "report"
    write_report(target, rows, job, captures=captures, waves={rows[0].name: captures[rows[0].name]})
    assert read_parquet(target / "rows.parquet") == rows
    found = contents(target)
    assert found.pop("index.html").startswith(b"<!doctype html>")
    assert found.pop("rows.parquet")
    results = json.loads(found.pop("results.json"))
    assert [run["send_goodput"] for run in results["runs"]] == [row.send_goodput for row in rows]
    assert results["conditions"] == job
    default = "file-1-itr-3-offloads-on-seed-1"
    assert found == {
        "capture.pcapng": f"frames of {default}".encode(),
        f"waves/{rows[0].name}.fst": captures[rows[0].name].read_bytes(),
        **{f"captures/{name}.pcapng": path.read_bytes() for name, path in captures.items()},
    }


def test_new_report_replaces_the_old_one_whole(tmp_path: Path, job: Conditions, captures: dict[str, Path]) -> None:
    rows = synthetic_main_job()
    target = tmp_path / "out" / "report"
    write_report(target, rows, job, captures=captures)
    write_report(target, rows[:1], job, captures={})
    assert sorted(contents(target)) == ["index.html", "results.json", "rows.parquet"]
    assert [path.name for path in target.parent.iterdir()] == ["report"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("place", ["page", "rename"])
def test_failure_leaves_the_old_report(
    tmp_path: Path, job: Conditions, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], place: str
) -> None:
    rows = synthetic_main_job()
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
        write_report(target, rows, job, captures={})
    assert contents(target) == before
    assert [path.name for path in target.parent.iterdir()] == ["report"]


def test_failure_leaves_nothing_where_nothing_was(tmp_path: Path, job: Conditions) -> None:
    rows = synthetic_main_job()
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
