"""The description of ``results.json`` as Markdown: ``python -m sim.report.fields > docs/results.md``."""

from sim.results import FORMAT_VERSION, describe

__all__ = ["markdown"]

_HEAD = f"""# results.json

`make report` leaves it beside the page. It is one JSON object:

| key | content |
| --- | --- |
| `format` | version of this description: {FORMAT_VERSION} |
| `conditions` | by section and name: `value`, `unit` and `text`; file, seed, link, costs of the host model, versions |
| `fields` | the table below, as a list of `name`, `unit` and `text` |
| `runs` | one object per run, with the fields below |

Host A has the NIC under test. It sends the file to host B (`send`), which then returns it (`receive`). A field without
a unit is a count, a ratio or a name.

| field | unit | meaning |
| --- | --- | --- |
"""


def markdown() -> str:
    """The content of ``docs/results.md``."""
    return _HEAD + "".join(f"| `{name}` | {unit} | {text} |\n" for name, unit, text in describe())


if __name__ == "__main__":
    print(markdown(), end="")
