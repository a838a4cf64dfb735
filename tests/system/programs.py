"""Programs that no driver would run, for Hypothesis to draw."""

import random
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.system.lockstep import REST, Program, Step, Store, fields
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

__all__ = ["descriptor_programs", "register_programs"]

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
