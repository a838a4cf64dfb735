"""``niclab packetdrill``: what it prints, its status, and the page of a suite."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sim.errors import RunFailedError, UserError
from sim.packetdrill.command import app
from sim.packetdrill.conformance import ACCEPTED, SUITES

GOOD = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
BAD = GOOD + "+0 close(3) = 5\n"
UNSUPPORTED = "0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3\n"
PAGE = Path("docs/conformance.md")


def invoke(*words: str) -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(app, words)
    return result.output, result.exception


def script(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.pkt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_scripts_and_folders_of_scripts(tmp_path: Path) -> None:
    script(tmp_path / "inside", "good", GOOD)
    output, failure = invoke(str(tmp_path / "inside"), script(tmp_path, "unsupported", UNSUPPORTED))
    assert failure is None
    assert "1 pass, 0 fail, 1 unsupported" in output
    assert "socket(None, SOCK_DGRAM, IPPROTO_UDP)" in output


def test_a_script_that_fails_is_the_status(tmp_path: Path) -> None:
    output, failure = invoke(script(tmp_path, "bad", BAD))
    assert isinstance(failure, RunFailedError)
    assert "expected: = 5\n    actual:   = 0" in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give scripts, or --suite"),
        (("no-such.pkt",), "no-such.pkt: No such file or directory"),
        (("--suite", "."), "none of the suites"),
        (("-D", "pear", "x.pkt"), "write it as NAME=value"),
    ],
)
def test_what_a_user_can_put_right(words: tuple[str, ...], message: str) -> None:
    _, failure = invoke(*words)
    assert isinstance(failure, UserError)
    assert message in str(failure)


def test_a_suite_makes_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "clone" / SUITES[0].folder
    script(folder, "ts_recent/invalid_ack", BAD)
    script(folder, "good", GOOD)
    script(folder, "other", UNSUPPORTED)
    page = tmp_path / "page.md"
    _, failure = invoke("--suite", str(tmp_path / "clone"), "--write", str(page))
    assert failure is None
    text = page.read_text()
    assert "3 scripts, 1 pass, 1 differ, 1 ask for what is not built" in text
    assert f"| ts_recent/invalid_ack | {ACCEPTED['ts_recent/invalid_ack']} |" in text
    # An accepted difference that is none any more, and a new one.
    script(folder, "ts_recent/invalid_ack", GOOD)
    script(folder, "new", BAD)
    _, failure = invoke("--suite", str(tmp_path / "clone"))
    assert isinstance(failure, RunFailedError)
    assert "2 not as expected: new, ts_recent/invalid_ack" in str(failure)


def test_the_page_has_the_differences_that_are_accepted() -> None:
    rows = dict(re.findall(r"^\| (\S+) \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE))
    assert {name: rows.get(name) for name in ACCEPTED} == dict(ACCEPTED)
    assert "to be mended" not in PAGE.read_text()
