"""Adding up Verilator's counts."""

from pathlib import Path

import pytest

from sim.coverage import check, figures, read, uncovered_text
from sim.errors import RunFailedError

VERILOG = """module \\nic.interrupts (clk);
  always @* begin
    if (\\$auto$1 ) begin end
    \\$7  = state;
    if (go) begin
      \\$7  = 2'h1;
    end
  end
  always @(posedge clk)
    state <= \\$7 ;
endmodule
"""


def point(count: int, **fields: str) -> str:
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in fields.items()) + f"' {count}\n"


def line(count: int, lines: str) -> str:
    return point(count, t="line", h="nic.interrupts", o="block", l="1", S=lines)


def toggle(count: int, module: str, signal: str) -> str:
    return point(count, t="toggle", h=module, o=f"{signal}:0->1", l="1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "nic"
    folder.mkdir()
    (folder / "nic.v").write_text(VERILOG)
    return folder


def test_a_line_that_one_run_reached_is_covered(folder: Path) -> None:
    (folder / "tests.a.dat").write_text("# header\n" + line(0, "3") + line(1, "4-5,7") + line(0, "6"))
    (folder / "tests.b.dat").write_text(line(0, "4-5,7") + line(0, "6"))
    coverage = read(folder)
    assert coverage.uncovered() == [6]  # not line 3, which only wakes
    lines, _, _ = figures(coverage)
    assert (lines.value, lines.conditions["of"]) == (75, 4)
    assert "75.00 %" in check([lines])
    assert "| nic.interrupts | 6 | `state` | `\\$7  = 2'h1;` |" in uncovered_text(coverage)


def test_all_reached(folder: Path) -> None:
    (folder / "tests.a.dat").write_text(line(0, "6"))
    (folder / "tests.b.dat").write_text(line(2, "6"))
    assert not check(figures(read(folder)))


def test_functional_points(folder: Path) -> None:
    seen = [
        toggle(1, "nic.interrupts", "causes[0]"),
        toggle(1, "nic.interrupts", "causes[3]"),  # RXSEQ: of fibre
        toggle(0, "nic.interrupts", "causes[7]"),
        toggle(1, "nic.file", "itr___05Fvalue__02Einterval[0]"),
        toggle(0, "nic.file", "itr___05Fvalue__02Einterval[1]"),
        toggle(0, "nic.receive", "drops__02Evlan"),
        toggle(2, "nic.receive.dma", "frames___05Fready"),
        toggle(2, "nic.receive.dma", "burst[1]"),
    ]
    (folder / "tests.a.dat").write_text("".join(seen))
    assert read(folder).functional() == {
        "cause TXDW": True,
        "cause RXT0": False,
        "register ITR.INTERVAL": True,
        "dropped vlan": False,
        "held back nic.receive.dma.frames": True,
    }


def test_no_counts(folder: Path) -> None:
    with pytest.raises(RunFailedError, match="make coverage"):
        read(folder)
