"""The description of rows as Markdown: ``python -m sim.report.fields > docs/results.md``."""

from sim.results import DROP_CAUSES, FORMAT_VERSION, describe

__all__ = ["markdown"]

_HEAD = f"""# Rows: results.json and Parquet

A row is one phase of one run. `niclab report` leaves all rows of a report beside the page, as `rows.parquet` and as
`results.json`; `niclab sweep` collects those of an experiment in `build/experiments/NAME.parquet`.

`results.json` is one JSON object:

| key | content |
| --- | --- |
| `format` | version of this description: {FORMAT_VERSION} |
| `conditions` | by section and name: `value`, `unit` and `text`; runs, link, hosts, costs of the host model, versions |
| `fields` | the table below, as a list of `name`, `unit` and `text` |
| `runs` | one object per row, with the fields below |

In Parquet `cpu` and `drops` are a column per cause, `cpu.copy` and so on, and the lists are lists of values or of
structures. Host A has the NIC under test. A field without a unit is a count, a ratio or a name.

| field | unit | meaning |
| --- | --- | --- |
"""


def markdown() -> str:
    """The content of ``docs/results.md``."""
    fields = "".join(f"| `{name}` | {unit} | {text} |\n" for name, unit, text in describe())
    causes = "".join(f"| `{name}` | {text} |\n" for name, text in DROP_CAUSES.items())
    return f"{_HEAD}{fields}\nCauses of drops:\n\n| cause | meaning |\n| --- | --- |\n{causes}"


if __name__ == "__main__":
    print(markdown(), end="")
