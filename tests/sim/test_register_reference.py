"""The register reference in docs/ is what the tables say."""

from pathlib import Path

from hw.registers import REGISTERS
from sim.register_reference import markdown

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "registers.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == markdown(), "run: .venv/bin/python -m sim.register_reference > docs/registers.md"


def test_every_register_and_field_is_in_it() -> None:
    text = markdown()
    for register in REGISTERS:
        section = text.split(f"### {register.name}\n")[1].split("###")[0]
        assert all(f"| {item.name} | {item.access.value} |" in section for item in register.fields)


def test_descriptors_are_drawn_without_gaps() -> None:
    for section in markdown().split("## Descriptors")[1].split("### ")[1:]:
        expected = 0
        for row in section.splitlines():
            if row.startswith("| ") and row[2].isdigit():
                high, _, low = row.split("|")[1].strip().partition(":")
                assert int(low or high) == expected
                expected = int(high) + 1
        assert expected == 128
