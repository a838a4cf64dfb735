"""The driver on both NICs: what ethtool sees and changes, and what a host may ask of a network device.

Each script of ``driver_scripts`` is one run of a simulator.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from hw.registers import BY_NAME
from sim.errors import RunFailedError
from sim.model import session
from sim.model.timing import CALIBRATION, Timing
from sim.rtl.session import run_script

Script = Callable[..., Any]


def on_model(name: str, **arguments: Any) -> Any:
    # The cycles of a stage do not matter here, so the calibration may be of an older NIC.
    timing = Timing(**json.loads(CALIBRATION.read_text())["timing"])
    return session.run_script(f"tests.system.driver_scripts:{name}", arguments, timing=timing)


def on_rtl(name: str, **arguments: Any) -> Any:
    return run_script(f"tests.system.driver_scripts:{name}", arguments)


@pytest.fixture(
    params=[
        pytest.param(on_model, id="model"),
        pytest.param(on_rtl, id="rtl", marks=[pytest.mark.rtl, pytest.mark.slow]),
    ]
)
def run(request: pytest.FixtureRequest) -> Script:
    script: Script = request.param
    return script


def test_the_self_test_passes_and_leaves_the_device_as_it_was(run: Script) -> None:
    result = run("tests")
    assert result["results"] == dict.fromkeys(("register", "eeprom", "interrupt", "loopback", "link"), 0)
    assert result["online"] == {"link": 0}
    assert result["after"] == 20_000
    registers = result["registers"]
    assert BY_NAME["STATUS"]["LU"].get(registers["STATUS"]) == 1
    assert BY_NAME["RCTL"]["EN"].get(registers["RCTL"]) == 1
    assert (registers["RDLEN"], registers["TDLEN"], registers["TIDV"]) == (4096, 4096, 8)
    assert (registers["PHY specific control"], registers["PHY specific status"]) == (0x0360, 0xAC00)


def test_filters(run: Script) -> None:
    assert run("filters") == {
        "address": [1, 5],
        "group": [1, 3, 5],
        "all groups": [1, 3, 4, 5],
        "hashed group": [1, 4, 5],
        "second address": [1, 2, 4, 5],
        "promiscuous": [1, 2, 3, 4, 5],
        "after a reset": [1, 2, 4, 5],
    }


def test_vlans(run: Script) -> None:
    assert run("vlans") == {
        # A tag of VLAN 0 tells a priority alone, but the filter does not let it in.
        "filtered": [[5, 99], [5]],
        "with help": 30_000,
        "segmented": True,
        "no filter": [1, [5]],
        "tag taken off by the stack": 10_000,
        "tags": True,
    }


def test_mtu(run: Script) -> None:
    result = run("jumbo")
    assert (result["before"], result["after"], result["back"]) == (20_000, 100_000, 20_000)
    assert result["longest"] == 9018
    assert result["long frames refused"] == 0


def test_pause(run: Script) -> None:
    result = run("pause")
    # The partner offers nothing; who offered to heed pause frames does so all the same.
    assert result["negotiated"] == [True, False]
    assert result["forced"] == [False, True, True, True, True]
    quanta, frame = 1000 * 512, 12_400
    assert quanta - 4_000 < result["held"] < quanta + frame
    assert result["xoff received"] == 1
    assert result["xoff sent"] > 0


def test_wake_on_lan(run: Script) -> None:
    # The magic packet is a broadcast, too.
    assert run("wake") == {"g": ["g"], "u": ["u"], "m": ["m"], "b": ["g", "b"], "up": 10_000}


def test_resets_lose_nothing(run: Script) -> None:
    assert run("resets", count=3) == {"transferred": 400_000, "datagrams": True, "lost": 0, "resets": 4}


def test_rings_coalescing_and_features(run: Script) -> None:
    result = run("rings")
    assert (result["first"], result["second"], result["third"]) == (20_000,) * 3
    assert result["rings"] == [4096, 4096, 512, 128]
    assert result["lengths"] == [512, 128]
    assert result["itr"] == 1_000_000_000 // (10_000 * 256)
    off = ("rx-checksumming", "tx-checksumming", "tcp-segmentation-offload", "generic-receive-offload")
    assert not any(result["features"][name] for name in off)
    assert result["segmented"] == 0


def test_a_script_that_fails_says_what_it_raised(run: Script) -> None:
    with pytest.raises((RunFailedError, ValueError), match=r"eth0: a VLAN identifier is 1\.\.4094, not 4095"):
        run("refused")
