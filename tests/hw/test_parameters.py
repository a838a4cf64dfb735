"""Impossible parameters: every constructor of the gateware refuses them with a ``ValueError`` that quotes the value."""

import importlib
import inspect
import pkgutil
import re
from typing import Any

import pytest
from amaranth.lib.wiring import Component

import hw
from hw.boards.all import BOARDS
from hw.boards.parameters import BoardParameters
from hw.bridge.uart import BaudRate
from hw.checksum import InternetChecksum
from hw.interrupt import InterruptThrottle
from hw.registers import BY_NAME

MULTICAST = bytes.fromhex("010000000001")
CTRL = BY_NAME["CTRL"]

IMPOSSIBLE: dict[str, dict[str, tuple[Any, ...]]] = {
    "AxiNic": {"nic": (None, 3)},
    "BoardTop": {"board": (None, "ecpix5"), "parameters": (None, 5)},
    "DelayTimer": {"restarts": (2, None), "delay_bits": (0, -1)},
    "DescriptorWriteBack": {"status_byte": (0, 7, 16), "status_bytes": (0, -1, 9)},
    "DmaArbiter": {"clients": (0, -1, 5), "outstanding": (0, -3)},
    "Eeprom": {"words": ([], [0] * 63, [0] * 65, [0] * 63 + [1 << 16], [-1] + [0] * 63)},
    "HostMemory": {"size": (0, 32, 96, -64, 1 << 25)},
    "InternetChecksumProcessor": {"parameters": (None, 9)},
    "InterruptController": {"throttle": (None, InterruptThrottle(interval_bits=15))},
    "InterruptDelayTimers": {"rule": (None, 7)},
    "Leds": {"cycles_per_blink": (0, 1, -25)},
    "LinkReceiver": {"depth": (0, 1, -2, 3000)},
    "LinkTransmitter": {
        "build_id": (b"", bytes(9), "12345678"),
        "memory_kib": (0, -1, 16385),
        "t1_cycles": (0, -1),
        "depth": (0, 3),
    },
    "MacReceive": {"depth": (0, -16, 8, 24)},
    "MdioMaster": {"cycles_per_mdc": (0, -2, 6, 51)},
    "Nic": {
        "mac_address": (b"", bytes(5), bytes(7), MULTICAST),
        "semantics": (None, "sometimes"),
        "builtin_phy": (2, None),
        "partner": (None, 0xC1E1),
        "cycles_per_mdc": (0, 9),
    },
    "Phy": {"partner": (None, 5)},
    "PhyLink": {"partner": (None, 5)},
    "PhyMonitor": {"address": (-1, 32), "reset_cycles": (0,), "interval_cycles": (0,), "cycles_per_mdc": (9,)},
    "Pll": {"input_hz": (33333333.0, 1e6), "output_hz": (900e6, 11.0)},
    "ReceiveBuffer": {"words": (0, -1, 15), "bank_words": (0, -2, 3)},
    "ReceivePath": {"buffer_words": (0, -1, 15)},
    "RecordBuffer": {"depth": (0, 1, -4, 100)},
    "RegisterFile": {"registers": ((CTRL, CTRL),)},
    "RgmiiPins": {"ports": (None, 3)},
    "RingPrefetch": {"depth": (0, 1, -2, 3, 2048)},
    "SerialBridge": {"rate": (None, 3e6), "build_id": (b"",), "memory_kib": (0, 5), "t1_cycles": (0,)},
    "Stretch": {"cycles": (0, -1)},
    "ThrottleGate": {"throttle": (None, 5)},
    "TransmitBuffer": {"words": (0, -8, 4, 12), "packets": (0, 1, -2)},
    "TransmitPath": {
        "data_words": (0, 127),
        "items": (1, -1),
        "buffer_words": (0, 2047),
        "buffer_packets": (1, 0),
    },
    "TransmitRequester": {"data_words": (0, -512, 127), "items": (0, 1)},
    "UartReceiver": {"rate": (None, 3e6)},
    "UartTransmitter": {"rate": (None, 3e6)},
}
"""For each component with parameters, values that it must refuse, the others being as they should."""

PROPER: dict[str, dict[str, Any]] = {
    "BoardTop": {"board": BOARDS["ecpix5"], "parameters": BoardParameters()},
    "DelayTimer": {"restarts": True},
    "DescriptorWriteBack": {"status_byte": 8, "status_bytes": 1},
    "DmaArbiter": {"clients": 1},
    "LinkTransmitter": {"build_id": bytes(8), "memory_kib": 64},
    "PhyMonitor": {"address": 0},
    "Pll": {"input_hz": 100e6, "output_hz": 125e6},
    "SerialBridge": {"rate": BaudRate(baud=3e6), "build_id": bytes(8), "memory_kib": 64},
}
"""What has no default, where another parameter is the impossible one."""

QUOTED = {("RegisterFile", "registers"): "CTRL and CTRL are both at 0x00000"}
"""Where the value is too long to be quoted whole."""


def components() -> dict[str, type[Component]]:
    """All components of the gateware by name. Those of ``hw.formal`` are around it, in proofs."""
    found = {}
    for module in pkgutil.walk_packages(hw.__path__, "hw."):
        if module.name.startswith("hw.formal"):
            continue
        for name, item in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(item) and issubclass(item, Component) and item.__module__ == module.name:
                assert name not in found, f"two components are called {name}"
                found[name] = item
    return found


def parameters(component: type[Component]) -> set[str]:
    """The names of a constructor's parameters. All are keyword-only."""
    if "__init__" not in vars(component):
        return set()
    given = list(inspect.signature(component).parameters.values())
    assert all(item.kind is inspect.Parameter.KEYWORD_ONLY for item in given), component
    return {item.name for item in given}


def test_every_parameter_is_in_the_table() -> None:
    expected = {name: parameters(component) for name, component in components().items()}
    assert {name: set(table) for name, table in IMPOSSIBLE.items()} == {k: v for k, v in expected.items() if v}


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        (name, parameter, value)
        for name, table in IMPOSSIBLE.items()
        for parameter, values in table.items()
        for value in values
    ],
)
def test_impossible(name: str, parameter: str, value: Any) -> None:
    quoted = QUOTED.get((name, parameter), repr(value))
    others = {key: item for key, item in PROPER.get(name, {}).items() if key != parameter}
    with pytest.raises(ValueError, match=re.escape(quoted)):
        components()[name](**others, **{parameter: value})


@pytest.mark.parametrize("max_bytes", [0, -1, 65537])
def test_impossible_rules(max_bytes: int) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(max_bytes))):
        InternetChecksum(max_bytes=max_bytes)
