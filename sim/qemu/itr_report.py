"""The guest driver's interrupt throttling beside that of ours: a table, and a figure."""

from collections.abc import Sequence
from pathlib import Path

from plotly.subplots import make_subplots

from sim.qemu.itr_history import Poll, replay

__all__ = ["compare", "write_figure"]


def compare(polls: list[Poll], setting: int) -> list[int]:
    """The polls in which the guest's driver and ``driver.itr`` (InterruptThrottleRate ``setting``) differ."""
    pairs = zip(polls, replay(polls, setting), strict=True)
    return [index for index, (poll, ours) in enumerate(pairs) if poll.itr != ours]


def write_figure(polls: list[Poll], setting: int, path: Path) -> None:
    """ITR over the polls as both write it, and the packets that each poll found, as one page of HTML."""
    ours = replay(polls, setting)
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.06,
        subplot_titles=("ITR in force, in units of 256 ns", "packets cleaned in a poll"),
    )
    number = list(range(len(polls)))
    for values, name, line in (
        ([poll.itr for poll in polls], "stock driver", {"shape": "hv", "width": 4, "color": "#9ecae1"}),
        (ours, "driver/itr.py", {"shape": "hv", "width": 1.5, "color": "#d62728", "dash": "dot"}),
    ):
        figure.add_scatter(x=number, y=_held(values), name=name, line=line, row=1, col=1)
    for packets, name in (
        ([poll.rx_packets for poll in polls], "received"),
        ([poll.tx_packets for poll in polls], "sent"),
    ):
        figure.add_scatter(x=number, y=packets, name=name, mode="markers", marker={"size": 4}, row=2, col=1)
    writes = sum(poll.itr is not None for poll in polls)
    figure.update_layout(
        title=f"InterruptThrottleRate={setting} in a Linux guest: {len(polls)} polls, {writes} writes to ITR, "
        f"{len(compare(polls, setting))} differ from what driver/itr.py would have written",
        template="plotly_white",
    )
    figure.update_xaxes(title_text="poll", row=2, col=1)
    figure.write_html(path, include_plotlyjs=True)


def _held(values: Sequence[int | None]) -> list[int]:
    """What is in force after each poll; 0 before the first write."""
    held, last = [], 0
    for value in values:
        last = last if value is None else value
        held.append(last)
    return held
