"""``niclab ethtool``: what its words ask for, and what is said of those that cannot be."""

import json
import subprocess
import sys
from typing import Any

import pytest

from sim import ethtool_script
from sim.ethtool_actions import LETTERS, Action, parse
from sim.model.session import run_script
from sim.model.timing import CALIBRATION, Timing


@pytest.mark.parametrize(
    ("words", "actions"),
    [
        ("", []),
        ("-c -k -g -a -S -d", [Action(letter) for letter in "ckgaSd"]),
        ("-t", [Action("t", {"offline": True})]),
        ("-t offline -t online", [Action("t", {"offline": True}), Action("t", {"offline": False})]),
        ("-C rx-usecs 125", [Action("C", {"rx_usecs": 125})]),
        ("-C adaptive-rx off rx-usecs 0", [Action("C", {"adaptive_rx": False, "rx_usecs": 0})]),
        ("-K tso off gro on", [Action("K", {"tcp-segmentation-offload": False, "generic-receive-offload": True})]),
        ("-G rx 512 tx 80 -g", [Action("G", {"rx": 512, "tx": 80}), Action("g")]),
        ("-A autoneg on rx off", [Action("A", {"autoneg": True, "rx": False})]),
        ("-s wol ug", [Action("s", {"wol": "ug"})]),
    ],
)
def test_words(words: str, actions: list[Action]) -> None:
    assert parse(words.split()) == actions


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("eth0", "ethtool takes -c, .*, not 'eth0'"),
        ("-x", "ethtool takes .*, not '-x'"),
        ("-c rx-usecs", "-c takes no 'rx-usecs'"),
        ("-t both", "-t takes offline or online, not 'both'"),
        ("-C", "-C changes coalescing: .*; '' is not that"),
        ("-C rx-usecs", "'rx-usecs' is not that"),
        ("-C rx-usecs many", "rx-usecs takes a number, not 'many'"),
        ("-C rx-usecs 5", "rx-usecs takes 0, 1, 3, 4 or 10..10000 us, not 5"),
        ("-C tx-usecs 5", "-C changes coalescing: .*, not 'tx-usecs'"),
        ("-K lro on", "there is no feature 'lro'; there are rx-checksumming, "),
        ("-K tso yes", "tso takes on or off, not 'yes'"),
        ("-G rx 81", "rx takes a multiple of 8 in 80..4096, not 81"),
        ("-A pause on", "-A changes pause frames: .*, not 'pause'"),
        ("-s wol x", "wol takes letters of pumbg, or d, not 'x'"),
        ("-s speed 100", "-s changes wake on LAN: .*, not 'speed'"),
    ],
)
def test_words_that_cannot_be(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse(words.split())
    assert "\n" not in str(caught.value)


def test_every_letter_is_known_to_both_sides() -> None:
    settings: dict[str, Any] = {"C": "rx-usecs 3", "K": "gro on", "G": "rx 80", "A": "rx on", "s": "wol g"}
    for letter in LETTERS:
        [action] = parse([f"-{letter}", *settings.get(letter, "").split()])
        assert action.letter == letter


def show(words: str, *, workload: str = "none") -> dict[str, Any]:
    """What is printed, on the model; the cycles of a stage do not matter here."""
    timing = Timing(**json.loads(CALIBRATION.read_text())["timing"])
    actions = [action.to_json() for action in parse(words.split())]
    result: dict[str, Any] = run_script(
        "sim.ethtool_script:run", {"actions": actions, "workload": workload}, timing=timing
    )
    return result


def test_changes_come_first_and_then_what_is_to_be_seen() -> None:
    result = show("-S -C rx-usecs 100 -G rx 512 -K tso off -s wol g -A rx on -d -c", workload="transfer")
    assert result["good"]
    statistics, coalescing, rings, features, wake, pause, registers = result["texts"]
    packets = int(statistics.split("tx_packets: ")[1].split()[0])
    assert packets > ethtool_script.TRANSFER // 1500
    assert "tx_tcp_seg_good: 0" in statistics
    assert coalescing == "Coalesce parameters for eth0:\nAdaptive RX: off\nrx-usecs: 100"
    assert rings.endswith("Current hardware settings:\nRX:\t\t512\nTX:\t\t256")
    assert "tcp-segmentation-offload: off" in features
    assert "tx-checksumming: on" in features
    assert wake.endswith("\tWake-on: g")
    assert pause.endswith("RX in force:\ton\nTX in force:\toff")
    assert "0x02808: RDLEN                  0x00002000" in registers


def test_the_self_test_s_outcome() -> None:
    result = show("-t")
    assert result["good"]
    [text] = result["texts"]
    assert text.startswith("The test result is PASS\nThe test extra info:\nRegister")
    assert text.count("\t 0") == 5


def test_changes_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="tcp-segmentation-offload needs tx-checksumming"):
        show("-K tx off tso on")


def test_the_command_refuses_in_one_line() -> None:
    command = [sys.executable, "-m", "sim.cli", "ethtool", "-t", "now"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "niclab: -t takes offline or online, not 'now'\n"
