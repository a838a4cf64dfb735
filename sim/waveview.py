"""Views of the waveforms for GTKWave and Surfer, which group the NIC's signals by the stage of a packet's way.

The signals are found in the generated Verilog, so the views fit the NIC as it is. Names of stages are those of
``docs/life-of-a-packet.md``.
"""

import re
from pathlib import Path

from vcd.gtkw import GTKWSave

__all__ = ["STAGES", "signals_by_stage", "write_views"]

STAGES = {
    "host: registers": ("file", "io_window", "window"),
    "host: DMA": ("arbiter", "memory"),
    "transmit: descriptors": ("transmit.prefetch", "transmit.ring", "transmit_ring", "transmit.write_back"),
    "transmit: gather, segment, checksum": ("transmit",),
    "transmit: MAC": ("mac_transmit", "line"),
    "receive: MAC": ("mac_receive", "detection"),
    "receive: filter, checksum, buffer": ("receive", "flow_control"),
    "interrupt: causes, timers, throttle": ("interrupts",),
}
"""Each stage, and how the names of its instances below the NIC begin; the first stage that fits has the instance."""

_WINDOW = (1600, 900)
_ZOOM = -19.0
"""GTKWave's, a logarithm to base 2. So some 3 ms are seen at first."""
_TOP = ("clk", "rst", "interrupt")
_SHOWN = re.compile(r"(valid|ready|state|level|head|tail|count|interval|pin|irq|first|last)$|__(valid|ready)$")
"""Signals of which a stage's behaviour can be read; the rest is in the file too."""
_MODULE = re.compile(r"^module (\\\S+|\w+)\s*\((.*?)\);(.*?)^endmodule", re.S | re.M)
_INSTANCE = re.compile(r"^\s*(\\\S+|\w+)\s+(\\\S+|\w+)\s*\($", re.M)
_SIGNAL = re.compile(
    r"^\s*(?:input|output|wire|reg)\b(?: (?:wire|reg)\b)?(?: signed\b)? *(\[\d+:0\])? *(\\\S+ |\w+)", re.M
)


def _plain(name: str) -> str:
    return name.strip().removeprefix("\\")


def signals_by_stage(verilog: str, *, top: str = "nic") -> dict[str, list[str]]:
    """Paths of signals below ``top`` by stage, from the Verilog's text."""
    modules = {_plain(found[1]): found[3] for found in _MODULE.finditer(verilog)}
    stages: dict[str, list[str]] = {stage: [] for stage in STAGES}

    def walk(module: str, path: tuple[str, ...]) -> None:
        body = modules[module]
        if path:
            stage = next((stage for stage, starts in STAGES.items() if ".".join(path).startswith(starts)), None)
            if stage is not None:
                for width, name in _SIGNAL.findall(body):
                    plain = _plain(name)
                    if _SHOWN.search(plain) and "$" not in plain:
                        stages[stage].append(".".join((*path, plain + width)))
        for kind, instance in _INSTANCE.findall(body):
            if _plain(kind) in modules:
                walk(_plain(kind), (*path, _plain(instance)))

    walk(top, ())
    return {stage: list(dict.fromkeys(names)) for stage, names in stages.items() if names}


def write_views(folder: Path, verilog: Path, *, wave: str = "dump.fst", scope: str = "bench.nic") -> None:
    """Write ``dump.gtkw`` (GTKWave) and ``dump.sucl`` (a command file of Surfer) beside the waveform in ``folder``.

    ``gtkwave dump.gtkw`` and ``surfer --command-file dump.sucl dump.fst`` open them.
    """
    stages = {"clock and pin": list(_TOP), **signals_by_stage(verilog.read_text())}
    with (folder / "dump.gtkw").open("w", encoding="utf-8") as file:
        gtkwave = GTKWSave(file)
        gtkwave.dumpfile(wave, abspath=False)
        gtkwave.timestart(0)
        gtkwave.size(*_WINDOW)
        gtkwave.zoom_markers(_ZOOM)
        gtkwave.signals_width(420)
        gtkwave.sst_expanded(False)
        for stage, names in stages.items():
            with gtkwave.group(stage):
                for name in names:
                    # GTKWave shows what comes after a name's last dot, and that is alike for many.
                    alias = name.replace(".", "/")
                    gtkwave.trace(f"{scope}.{name}", alias=alias, datafmt="hex" if "[" in name else "bin")
    surfer = [f"load_file {wave}"]
    for stage, names in stages.items():
        surfer.append(f"divider_add {stage}")
        surfer += [f"variable_add {scope}.{name.split('[')[0]}" for name in names]
    (folder / "dump.sucl").write_text("\n".join(surfer) + "\n")
