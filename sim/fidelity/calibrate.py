"""``make calibrate``: each parameter of the model's timing, from what a probe shows on the RTL.

For each there is a checkpoint: the time between two things that one probe shows. What the model shows there is made
equal to what the RTL shows. Then the other probes tell how far that holds.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sim.errors import RunFailedError
from sim.fidelity.probe_bench import Probe, Seen
from sim.fidelity.probes import PROBES
from sim.fidelity.probing import probe_model, probe_rtl
from sim.measurement import commit
from sim.model.timing import Calibration, Timing, nic_digest
from sim.rtl import build

__all__ = ["CHECKPOINTS", "Checkpoint", "calibrate", "differences", "fit"]

_BY_NAME = {probe.name: probe for probe in PROBES}
_ROUNDS = 3


@dataclass(frozen=True)
class Checkpoint:
    """Which parameter follows from which event: the ``number`` th at an edge in a probe, counted from the last if
    negative, less that of ``since``."""

    parameter: str
    probe: str
    edge: str
    number: int = 0
    since: tuple[str, int] | None = None

    def time(self, seen: Seen) -> int:
        """Raises ``RunFailedError`` if there is no such event."""
        return _time(self, seen, self.edge, self.number) - (_time(self, seen, *self.since) if self.since else 0)


def _time(checkpoint: Checkpoint, seen: Seen, edge: str, number: int) -> int:
    events = seen.get(edge, [])
    if not -len(events) <= number < len(events):
        raise RunFailedError(f"probe {checkpoint.probe} shows no event {number} at {edge}: {checkpoint.parameter}")
    return events[number][0]


CHECKPOINTS = (
    Checkpoint("register_answer", "registers", "answers", 0),
    Checkpoint("register_read_busy", "registers", "answers", 1),
    Checkpoint("register_block", "registers", "answers", 2),
    Checkpoint("interrupt_pin", "registers", "interrupt", 0),
    Checkpoint("register_write_busy", "registers", "interrupt", 0),
)


def fit(rtl: list[Seen], timing: Timing, *, on_progress: Callable[[int], None] = lambda done: None) -> Timing:
    """The timing with which the model shows at each checkpoint what the RTL does.

    Raises ``RunFailedError`` if there is none.
    """
    by_name = {probe.name: seen for probe, seen in zip(PROBES, rtl, strict=True)}
    for _ in range(_ROUNDS):
        before = timing
        for done, checkpoint in enumerate(CHECKPOINTS):
            timing = _close(checkpoint, _BY_NAME[checkpoint.probe], by_name[checkpoint.probe], timing)
            on_progress(done)
        if timing == before:
            return timing
    raise RunFailedError(f"the checkpoints do not settle in {_ROUNDS} rounds")


def _close(checkpoint: Checkpoint, probe: Probe, rtl: Seen, timing: Timing) -> Timing:
    """Change one parameter until the checkpoint shows what the RTL does."""
    wanted = checkpoint.time(rtl)
    name = checkpoint.parameter
    for _ in range(8):
        shown = checkpoint.time(probe_model(probe, timing))
        if shown == wanted:
            return timing
        value = asdict(timing)[name]
        step = 1 if wanted > shown else -1
        moved = checkpoint.time(probe_model(probe, replace(timing, **{name: value + step})))
        if moved == shown:
            break
        timing = replace(timing, **{name: value + max(1, round((wanted - shown) / (moved - shown))) * step})
    raise RunFailedError(
        f"no {name} makes probe {checkpoint.probe} show {wanted} at {checkpoint.edge} {checkpoint.number}, "
        f"the nearest is {shown}"
    )


def differences(rtl: list[Seen], timing: Timing) -> dict[str, list[tuple[str, int, int, int]]]:
    """By probe, where the model shows something else: edge, number of the event, cycle on the RTL and on the model
    (-1 where there is none)."""
    result: dict[str, list[tuple[str, int, int, int]]] = {}
    for probe, wanted in zip(PROBES, rtl, strict=True):
        shown = probe_model(probe, timing)
        for edge in wanted:
            pairs = max(len(wanted[edge]), len(shown[edge]))
            for number in range(pairs):
                ours = wanted[edge][number] if number < len(wanted[edge]) else (-1, -1)
                theirs = shown[edge][number] if number < len(shown[edge]) else (-1, -1)
                if ours != theirs:
                    result.setdefault(probe.name, []).append((edge, number, ours[0], theirs[0]))
    return result


def calibrate(*, announce: Callable[[str], None]) -> Calibration:
    """Probe the RTL, fit, and write the calibration. The present file is where the search begins."""
    rtl = probe_rtl(build.BUILD / "probes")
    timing = fit(rtl, Calibration.begin(), on_progress=lambda done: None)
    calibration = Calibration(commit=commit(), nic=nic_digest(), timing=timing)
    for name, events in differences(rtl, timing).items():
        largest = max(abs(ours - theirs) for _, _, ours, theirs in events)
        announce(f"{name}: {len(events)} events differ, by at most {largest} cycles")
    calibration.save()
    return calibration


def folder() -> Path:
    return build.BUILD / "probes"
