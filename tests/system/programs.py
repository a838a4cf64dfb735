"""Programs that no driver would run, for Hypothesis to draw."""

import random
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from sim.clock import CYCLE_NS
from tests.system.program_frames import PAUSE_TYPE, arrivals, floods
from tests.system.program_registers import (
    eeprom_accesses,
    eeprom_reads,
    hole_accesses,
    phy_accesses,
    register_reads,
    register_writes,
    resets,
    writes_of,
)
from tests.system.program_rings import TRANSMIT_BUFFERS, bits, receive_rings, short_transmit_rings, transmit_rings
from tests.system.program_steps import REST, Program, Step, Store, Wait, fields

__all__ = ["descriptor_programs", "register_programs", "traffic_programs"]

_controls = st.sampled_from(
    [
        fields("CTRL", SLU=1, FD=1, SPEED=2),
        fields("CTRL", SLU=1, FD=1, SPEED=2, VME=1),
        fields("CTRL", SLU=1, FD=1, SPEED=2, RFCE=1),
        fields("CTRL", SLU=1, FD=1, SPEED=2, VME=1, RFCE=1, TFCE=1),
    ]
)


def _program(parts: list[list[Step]], handler: bool, latencies: tuple[int, int], width: int, seed: int) -> Program:
    filling = random.Random(seed).randbytes(0x8000)
    return Program(
        [Store(TRANSMIT_BUFFERS, filling), *(step for part in parts for step in part)],
        handler=handler,
        read_latency=latencies[0],
        write_latency=latencies[1],
        width=width,
    )


def _programs(parts: SearchStrategy[list[list[Step]]]) -> SearchStrategy[Program]:
    return st.builds(
        _program,
        parts,
        st.booleans(),
        st.sampled_from(((160, 80), (160, 80), (8, 8), (800, 300), (4000, 2000))),
        st.sampled_from((8, 8, 8, 4, 1)),
        st.integers(0, 0xFFFF),
    )


_APART = 32
"""Cycles between what software does while the NIC is at work: by a few cycles less or more nothing else should happen.
"""

_part: Callable[..., SearchStrategy[list[Step]]] = st.one_of

register_programs = _programs(
    st.lists(
        _part(
            register_writes,
            register_writes,
            register_writes,
            register_writes,
            register_reads,
            register_reads,
            hole_accesses,
            resets,
            phy_accesses,
            eeprom_reads,
            eeprom_accesses,
            arrivals,
            _controls.map(lambda write: [write, REST]),
            receive_rings,
            short_transmit_rings,
            short_transmit_rings,
        ),
        min_size=5,
        max_size=30,
    )
)
"""Random registers, with a few frames between."""

_flow_control = st.builds(
    lambda low, high, xon, time: [
        fields("FCAL", VALUE=0x00C28001),
        fields("FCAH", VALUE=0x100),
        fields("FCT", VALUE=PAUSE_TYPE),
        fields("FCTTV", TTV=0 if high else time),
        fields("FCRTL", RTL=low, XONE=xon),
        fields("FCRTH", RTH=high),  # what follows from it happens at once
        REST,
    ],
    low=st.integers(0, 300),
    high=st.one_of(st.just(0), st.integers(0, 30), st.integers(0, 600)),
    xon=bits,
    time=st.integers(0, 3),
)
_tweaks = st.sampled_from(
    (
        "RDTR",
        "RADV",
        "RSRPD",
        "TIDV",
        "TADV",
        "ITR",
        "IMS",
        "RXCSUM",
        "VET",
        "TIPG",
        "FCRTL",
        "FCRTH",
        "FCT",
        "RDT",
        "TDT",
        "RDH",
        "TDH",
        "RXDCTL",
        "TXDCTL",
        "RCTL",
        "TCTL",
    )
).flatmap(writes_of)

descriptor_programs = _programs(
    st.builds(
        lambda control, more, parts: [[control, REST, *more], *parts],
        _controls,
        st.sampled_from([[], [fields("IMS", TXDW=1, TXQE=1, RXT0=1, RXDMT0=1, RXO=1, TXD_LOW=1, SRPD=1)]]),
        st.lists(
            _part(
                receive_rings,
                transmit_rings,
                transmit_rings,
                arrivals,
                arrivals,
                floods,
                _tweaks,
                register_reads,
                _flow_control,
            ),
            min_size=2,
            max_size=15,
        ),
    )
)
"""Random descriptors and rings in odd states, with frames both ways."""

_waits = st.one_of(st.integers(_APART, 200), st.integers(_APART, 3000)).map(lambda cycles: Wait(CYCLE_NS * cycles))
_changes = st.one_of(
    _tweaks,
    st.sampled_from(("RAL", "RAH", "MTA", "VFTA", "RCTL", "RXCSUM", "IMC", "ICS")).flatmap(writes_of),
    resets,
    _controls.map(lambda write: [write, REST]),
)


def _meanwhile(steps: SearchStrategy[list[Step]]) -> SearchStrategy[list[Step]]:
    """Software does not wait for the NIC to come to rest, but for a time."""
    return st.builds(lambda several, wait: [*several[:-1], wait], steps, _waits)


def _with_link(rings: SearchStrategy[list[Step]]) -> SearchStrategy[list[Step]]:
    """A reset may have ended it, and without one the buffer would be full for ever."""
    return st.builds(lambda control, steps: [REST, control, REST, *steps], _controls, rings)


traffic_programs = _programs(
    st.builds(
        lambda control, more, receive, parts: [[control, REST, *more], receive, *parts, [REST]],
        _controls,
        st.sampled_from([[], [fields("IMS", TXDW=1, TXQE=1, RXT0=1, RXDMT0=1, RXO=1, TXD_LOW=1, SRPD=1)]]),
        receive_rings,
        st.lists(
            _part(
                _meanwhile(arrivals),
                _meanwhile(arrivals),
                _meanwhile(_with_link(transmit_rings)),
                _meanwhile(_with_link(short_transmit_rings)),
                _meanwhile(receive_rings.map(lambda steps: [REST, *steps])),
                _meanwhile(_changes),
                _meanwhile(_changes),
                st.just([REST]),
            ),
            min_size=5,
            max_size=25,
        ),
    )
)
"""Registers changed while frames come and go."""
