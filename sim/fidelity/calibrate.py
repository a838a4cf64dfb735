"""``make calibrate``: each parameter of the model's timing, from what a probe shows on the RTL.

For each there is a checkpoint: the time between two things that one probe shows. What the model shows there is made
equal to what the RTL shows. Then the other probes tell how far that holds.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from sim.errors import RunFailedError
from sim.fidelity.probe_bench import Seen
from sim.fidelity.probes import PROBES
from sim.fidelity.probing import probe_model, probe_rtl
from sim.measurement import commit
from sim.model.timing import Calibration, Timing, nic_digest
from sim.rtl import build

__all__ = ["CHECKPOINTS", "Checkpoint", "calibrate", "differences", "fit", "open_checkpoints"]

_BY_NAME = {probe.name: probe for probe in PROBES}
_ROUNDS = 3
_STEPS = 8


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
        time = _event(self, seen, self.edge, self.number)[0]
        return time - (_event(self, seen, *self.since)[0] if self.since else 0)


def _event(checkpoint: Checkpoint, seen: Seen, edge: str, number: int) -> tuple[int, int]:
    events = seen.get(edge, [])
    if not -len(events) <= number < len(events):
        raise RunFailedError(f"probe {checkpoint.probe} shows no event {number} at {edge}: {checkpoint.parameter}")
    return events[number]


CHECKPOINTS = (
    Checkpoint("register_access", "registers", "interrupt"),
    Checkpoint("register_answer", "accesses", "answers"),
    Checkpoint("register_write_busy", "accesses", "answers", 1),
    Checkpoint("register_block", "accesses", "answers", 2),
    Checkpoint("register_read_busy", "accesses", "answers", 3),
    Checkpoint("register_reset", "reset", "answers"),
    Checkpoint("prefetch_decide", "transmit 60", "reads"),
    Checkpoint("prefetch_burst", "saturate, short", "reads", 1),
    Checkpoint("prefetch_enable", "transmitter on", "reads"),
    Checkpoint("requester_burst", "transmit 600", "reads", 2, since=("reads", 1)),
    Checkpoint("requester_next", "transmit eight", "reads", 2, since=("reads", 1)),
    Checkpoint("prefetch_offer", "transmit 60", "reads", 1),
    Checkpoint("prefetch_taken", "transmit twice", "reads", 2),
    Checkpoint("receive_dma_request", "receive without descriptors", "end of data"),
    Checkpoint("receive_decide", "receive 64", "end of data"),
    Checkpoint("receive_search", "receive a runt", "end of data"),
    Checkpoint("receive_dma_burst", "receive 600", "end of data"),
    Checkpoint("receive_dma_status", "receive in groups", "interrupt"),
    Checkpoint("write_back_request", "receive 64", "rx descriptor 0"),
    Checkpoint("write_back_report", "receive 64", "interrupt"),
    Checkpoint("arbiter_early", "receive in pieces", "rx descriptor 0"),
    Checkpoint("receive_dma_again", "receive in pieces", "rx descriptor 1"),
    Checkpoint("receive_dma_next", "receive without descriptors", "rx descriptor 1"),
    Checkpoint("gather_word", "width 4, transmit", "tx descriptor 0"),
    Checkpoint("segment_chunk", "saturate, long", "tx descriptor 2", since=("tx descriptor 1", 0)),
    Checkpoint("gather_complete", "transmit 60", "tx descriptor 0"),
    Checkpoint("segment_plain", "transmit 60", "frames"),
    Checkpoint("segment_resume", "transmit eight", "tx descriptor 1"),
    Checkpoint("write_back_idle", "transmit in pieces", "tx descriptor 1"),
    Checkpoint("write_back_group", "transmit eight, whole descriptors", "tx descriptor 0"),
    Checkpoint("segment_frame", "segmentation", "frames"),
    Checkpoint("segment_drain", "segmentation in pieces", "tx descriptor 2", since=("tx descriptor 1", 0)),
    Checkpoint("segment_complete", "segmentation", "tx descriptor 1"),
    Checkpoint("requester_room", "saturate, long", "reads", 12),
    Checkpoint("mac_read", "saturate, long", "tx descriptor 12"),
    Checkpoint("mac_next", "saturate, short", "tx descriptor 85"),
    Checkpoint("mac_enable", "link lost", "frames"),
    Checkpoint("mac_loopback", "loopback", "interrupt"),
    Checkpoint("phy_link", "phy", "interrupt", 2),
    Checkpoint("mdic_end", "phy", "interrupt", -1),
)
"""In an order in which a parameter hangs on those before it. What is left of other ties takes more rounds."""


def fit(rtl: list[Seen], timing: Timing, *, on_progress: Callable[[int], None] = lambda done: None) -> Timing:
    """The timing with which the model shows at each checkpoint what the RTL does, or as near to it as can be: see
    ``open_checkpoints``."""
    by_name = {probe.name: seen for probe, seen in zip(PROBES, rtl, strict=True)}
    for _ in range(_ROUNDS):
        before = timing
        for done, checkpoint in enumerate(CHECKPOINTS):
            timing = _close(checkpoint, by_name[checkpoint.probe], timing)
            on_progress(done)
        if timing == before:
            break
    return timing


def open_checkpoints(rtl: list[Seen], timing: Timing) -> list[tuple[Checkpoint, int, int]]:
    """Checkpoints at which the model does not show what the RTL does: with what the RTL shows, and the model."""
    by_name = {probe.name: seen for probe, seen in zip(PROBES, rtl, strict=True)}
    shown = {probe.name: probe_model(probe, timing) for probe in PROBES}
    times = [(item, item.time(by_name[item.probe]), item.time(shown[item.probe])) for item in CHECKPOINTS]
    return [(item, wanted, there) for item, wanted, there in times if wanted != there]


def _close(checkpoint: Checkpoint, rtl: Seen, timing: Timing) -> Timing:
    """Change one parameter until the checkpoint shows what the RTL does, or nothing nearer to it."""
    probe, name = _BY_NAME[checkpoint.probe], checkpoint.parameter
    wanted = checkpoint.time(rtl)
    shown = checkpoint.time(probe_model(probe, timing))
    for _ in range(_STEPS):
        if shown == wanted:
            break
        value = asdict(timing)[name]
        step = 1 if wanted > shown else -1
        moved = checkpoint.time(probe_model(probe, replace(timing, **{name: value + step})))
        if moved == shown:
            break
        # What is shown may fall as the parameter rises.
        way = step if (wanted - shown) * (moved - shown) > 0 else -step
        distance = max(1, round(abs((wanted - shown) / (moved - shown)))) * way
        nearer = replace(timing, **{name: value + distance})
        there = checkpoint.time(probe_model(probe, nearer))
        if abs(there - wanted) >= abs(shown - wanted):
            break
        timing, shown = nearer, there
    return timing


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
    still_open = open_checkpoints(rtl, timing)
    left = {item.parameter: shown - wanted for item, wanted, shown in still_open}
    calibration = Calibration(commit=commit(), nic=nic_digest(), timing=timing, open=left)
    for checkpoint, wanted, shown in still_open:
        announce(
            f"{checkpoint.parameter} is not closed: {checkpoint.probe} shows {wanted} at {checkpoint.edge}, "
            f"the model {shown}"
        )
    for name, events in differences(rtl, timing).items():
        largest = max(abs(ours - theirs) for _, _, ours, theirs in events)
        announce(f"{name}: {len(events)} events differ, by at most {largest} cycles")
    calibration.save()
    return calibration
