"""One paragraph in plain words on what ran, made from the rows alone."""

from collections.abc import Sequence

from sim.report.cases import Case
from sim.results import DROP_CAUSES, Row

__all__ = ["paragraph"]

_BACKENDS = {"rtl": "the NIC's RTL", "model": "the NIC's model"}


def _count(count: int, name: str) -> str:
    return f"one {name}" if count == 1 else f"{count:,} {name}s"


def paragraph(rows: Sequence[Row], cases: Sequence[Case]) -> str:
    """The summary of at least one row."""
    runs = {(row.experiment, row.name): row for row in rows}
    simulated = sum(row.simulated_cycles for row in runs.values()) * 8e-9
    backends = " and ".join(_BACKENDS[name] for name in sorted({row.backend for row in rows}))
    kinds = list(dict.fromkeys(row.workload for row in rows))
    seeds = len({row.seed for row in rows})
    sentences = [
        f"{_count(len(runs), 'run').capitalize()} on {backends}, {simulated * 1e3:,.1f} ms of simulated time: "
        f"{', '.join(kinds)} in {_count(len({row.interrupt_throttle_rate for row in rows}), 'mode')}, "
        f"with {_count(seeds, 'seed')}."
    ]
    if "file" in kinds:
        sentences.append("Each file arrived with the SHA-256 with which it was sent, at both ends.")
        if any(row.sha256 and row.workload == "file" and not row.sent_bytes for row in rows if row.phase == "send"):
            sentences.append("The file is empty, so only the round trips say something.")
    lost = {cause: sum(row.drops[cause] for row in rows) for cause in DROP_CAUSES}
    found = [f"{count:,} by {cause}" for cause, count in lost.items() if count]
    sentences.append(f"Frames dropped: {', '.join(found)}." if found else "No frame was dropped.")
    again = sum(row.retransmissions for row in rows)
    sentences.append("No TCP segment was sent again." if again == 0 else f"{again:,} TCP segments were sent again.")
    return " ".join(sentences)
