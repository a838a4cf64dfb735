"""``--waves`` on the RTL: the views name signals that are in the waveform, and with their widths."""

import re
from pathlib import Path

import pytest
import pywellen

from sim.outputs import Outputs
from sim.rtl.launch import simulate
from sim.run import Run

pytestmark = [pytest.mark.slow, pytest.mark.rtl]


def test_every_signal_of_the_views_is_in_the_waveform(tmp_path: Path) -> None:
    workload = {"kind": "ping-pong", "duration": 20_000, "warm_up": 10_000}
    run = Run.model_validate({"backend": "rtl", "workload": workload})
    simulate(run, tmp_path, Outputs(waves=True, timeline=True))
    waveform = pywellen.Waveform(str(tmp_path / "dump.fst"))
    assert waveform.file_format == "FST"
    widths = {signal.full_name: signal.bitwidth for signal in waveform.all_vars()}

    commands = (tmp_path / "dump.sucl").read_text().splitlines()
    assert commands[0] == "load_file dump.fst"
    surfer = [command.split()[1] for command in commands if command.startswith("variable_add ")]
    assert [name for name in surfer if name not in widths] == []
    assert len([command for command in commands if command.startswith("divider_add ")]) == 9

    lines = (tmp_path / "dump.gtkw").read_text().splitlines()
    assert '[dumpfile] "dump.fst"' in lines
    gtkwave = [line for line in lines if line.startswith("+")]
    assert len(gtkwave) == len(surfer) > 400
    for line, name in zip(gtkwave, surfer, strict=True):
        found = re.fullmatch(r"\+\{(.+)\} (.+?)(?:\[(\d+):0\])?", line)
        assert found is not None
        assert (found[2], int(found[3] or 0) + 1) == (name, widths[name])
        # GTKWave cuts a label at its last dot.
        assert "." not in found[1]
    # It is the run's: the handler's interrupt is seen on the pin.
    [pin] = [signal for signal in waveform.all_vars() if signal.full_name == "bench.nic.interrupt"]
    assert {value for _, value in pin.signal} == {0, 1}
    assert (tmp_path / "timeline.json").exists()
