"""The model's registers are those of the table, and do what the driver's self-test asks of them (manual 16.1)."""

import pytest

from hw.registers import REGISTERS, Access, Register
from sim.engine import EventEngine
from sim.fidelity.machines import machine
from sim.fidelity.scenario import Scenario
from sim.model.bus import ModelBus

_PATTERNS = (0x5A5A5A5A, 0xA5A5A5A5, 0x00000000, 0xFFFFFFFF)
_ACT = ("CTRL", "CTRL_EXT", "MDIC", "EERD", "EECD", "TCTL", "ICS", "IMS", "PBA")
"""Writing any pattern to these does something."""


def _plain() -> list[Register]:
    return [
        register
        for register in REGISTERS
        if register.name not in _ACT
        and register.writable_mask
        and all(item.access in (Access.RW, Access.RO) for item in register.fields)
    ]


def _bus(env: EventEngine) -> ModelBus:
    return machine(env, Scenario(name="registers"))[0]


@pytest.mark.parametrize("register", _plain(), ids=lambda register: register.name)
def test_patterns(register: Register) -> None:
    env = EventEngine(seed=1)
    bus = _bus(env)

    async def run() -> None:
        for pattern in _PATTERNS:
            for offset in (register.offset, register.offset + (register.count - 1) * register.stride):
                bus.write32(offset, pattern)
                assert await bus.read32(offset) & register.writable_mask == pattern & register.writable_mask

    env.run(run())


def test_reset_values() -> None:
    env = EventEngine(seed=1)
    bus = _bus(env)

    async def run() -> None:
        for register in REGISTERS:
            if register.count == 1 and not any(item.loaded for item in register.fields) and register.name != "STATUS":
                value = await bus.read32(register.offset)
                stored = sum(item.mask for item in register.fields if item.access is Access.RW)
                assert value & stored == register.reset & stored, register.name

    env.run(run())


def test_a_hole_reads_0() -> None:
    env = EventEngine(seed=1)
    bus = _bus(env)

    async def run() -> None:
        bus.write32(0x4, 0)
        bus.write32(0x1F000, 0xFFFFFFFF)
        assert await bus.read32(0x1F000) == 0

    env.run(run())


@pytest.mark.parametrize("offset", [1, 2, 0x20000, -4, 0xFFFFF])
def test_odd_offsets_are_refused(offset: int) -> None:
    env = EventEngine(seed=1)
    bus = _bus(env)

    async def run() -> None:
        bus.write32(offset, 0)

    with pytest.raises(ValueError, match="aligned to 4 bytes and below 0x20000 is allowed") as error:
        env.run(run())
    assert "\n" not in str(error.value)
