"""The model does what the RTL does whatever software writes, into any register and as any descriptor."""

from collections.abc import Iterator
from pathlib import Path

import cocotb
import pytest
from cocotb.handle import HierarchyObject, LogicObject

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE, TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.mac.fcs import append_fcs
from hw.registers import BY_NAME
from sim.clock import CYCLE_NS
from sim.model.nic import MAC_ADDRESS
from sim.rtl import build
from sim.rtl.engine import RtlEngine
from sim.rtl.shared import Bench
from sim.rtl.simulator import run_module
from tests.hw.explore import explore
from tests.system.lockstep import Rtl
from tests.system.lockstep_tally import tell
from tests.system.program_steps import REST, Arrive, Program, Read, Step, Store, Wait, Write, fields
from tests.system.programs import descriptor_programs, register_programs

_EXAMPLES = 100
_RING, _BUFFER = 0x10000, 0x40000
_LINK = fields("CTRL", SLU=1, FD=1, SPEED=2)
_LINKED = (_LINK, REST)
_ON = fields("TCTL", EN=1)


_played: list[Rtl] = []
"""In this simulator."""


def _rtl(dut: HierarchyObject) -> Rtl:
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    _played.append(Rtl(RtlEngine(Bench(), wake, seed=1), _played[-1] if _played else None))
    return _played[-1]


@cocotb.test()
async def any_registers(dut: HierarchyObject) -> None:
    rtl = _rtl(dut)
    await explore(register_programs, rtl.check, examples=_EXAMPLES)
    rtl.tally.leave("any_registers")


@cocotb.test()
async def any_descriptors(dut: HierarchyObject) -> None:
    rtl = _rtl(dut)
    await explore(descriptor_programs, rtl.check, examples=_EXAMPLES)
    rtl.tally.leave("any_descriptors")


def _queue(*descriptors: bytes) -> Iterator[Step]:
    for number, raw in enumerate(descriptors):
        yield Store(_RING + DESCRIPTOR_BYTES * number, raw)
    yield fields("TDBAL", BASE=_RING >> 4)
    yield Write(BY_NAME["TDLEN"].offset, 0x100)
    yield fields("TDT", TAIL=len(descriptors))
    yield REST


def _transmit(*buffers: tuple[int, int]) -> Iterator[Step]:
    """Frames of one descriptor each, by their buffers' addresses and lengths."""
    return _queue(
        *(TRANSMIT_LEGACY.pack(address=address, length=length, eop=1, ifcs=1, rs=1) for address, length in buffers)
    )


def _pieces(*lengths: int, **fields: int) -> Iterator[Step]:
    """Descriptors of a packet that has no end yet."""
    return _queue(*(TRANSMIT_LEGACY.pack(address=_BUFFER, length=length, rs=1, **fields) for length in lengths))


def _two_frames() -> list[Step]:
    """The transmitter is off."""
    return [*_transmit((_BUFFER, 30), (_BUFFER + 5, 31))]


def _segments(octets: int) -> Iterator[Step]:
    """Frames of as long a header as there may be, and one octet each, which takes the segmenter long."""
    return _queue(
        TRANSMIT_CONTEXT.pack(dext=1, tse=1, paylen=octets, hdrlen=240, mss=1),
        TRANSMIT_DATA.pack(dext=1, dtyp=1, tse=1, address=_BUFFER, dtalen=240 + octets, eop=1, ifcs=1, rs=1),
    )


def _flood(octets: int, count: int) -> list[Step]:
    """More frames than the receive buffer holds, without a descriptor."""
    frame = append_fcs(MAC_ADDRESS + bytes(octets - len(MAC_ADDRESS) - 4))
    return [_LINK, REST, fields("RCTL", EN=1), REST, *[Arrive(frame)] * count, REST]


def _receive(address: int, frame: bytes) -> list[Step]:
    """One descriptor, and a frame of which it is not waited for the end."""
    return [
        *(_LINK, Store(_RING, RECEIVE.pack(address=address)), fields("RDBAL", BASE=_RING >> 4)),
        *(Write(BY_NAME["RDLEN"].offset, 0x100), fields("RDT", TAIL=1), fields("RCTL", EN=1), REST, Arrive(frame)),
    ]


_TAGGED = append_fcs(MAC_ADDRESS + bytes(6) + b"\x81\x00\x00\x07" + bytes(range(100)))

_GROUP = append_fcs(bytes.fromhex("010000001000") + bytes(80))
"""Its address is bit 1 of the multicast table."""

_FULL = 16280
"""Bytes of a frame that takes nearly all of the transmit buffer."""


def _fill(spare: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two frames of so many words more than the buffer's 2,046."""
    return (_BUFFER, 8 * (2046 + spare) - _FULL), (_BUFFER, _FULL)


_FOUND: dict[str, list[Step]] = {
    "the pins' direction is reset": [fields("CTRL", SWDPIN=15, SWDPIO=15, RST=1), REST],
    "a link that goes down in the reset is no cause": [_LINK, REST, fields("CTRL", RST=1, PHY_RST=1), REST],
    "a frame waits for the link": [_ON, *_transmit((_BUFFER, 100), (_BUFFER, 60))],
    "a frame that is too long waits for room": [_ON, *_transmit((_BUFFER, 150), (_BUFFER, 16289))],
    "a buffer goes on at address 0": [_LINK, _ON, REST, *_transmit(((1 << 64) - 60, 100))],
    "a pause frame is none of the buffer's": [
        *(_LINK, REST, _ON, *_transmit((_BUFFER, 100))),
        *(fields("TCTL", EN=1, SWXOFF=1), REST),
    ],
    "the receive buffer's reader holds six words": _flood(224, 214),
    "the last frame does not fit": _flood(192, 250),
    "segments without a link": [_ON, *_segments(40), Read(BY_NAME["TSCTC"].offset), Read(BY_NAME["ICR"].offset)],
    "segments without a link before a reset": [_ON, *_segments(40), fields("CTRL", RST=1), REST],
    "loopback begins between two frames": [
        *(_LINK, REST, _ON, *list(_transmit((_BUFFER, 1500)))[:-1]),
        *(Wait(6_000), fields("RCTL", LBM=1), REST),
    ],
    "a reset ends the writing of a frame": [
        *(*_receive(_BUFFER, append_fcs(MAC_ADDRESS + bytes(range(1, 195)) * 7)), Wait(13_000)),
        *(fields("CTRL", RST=1), REST),
    ],
    "a full buffer takes three words more": [_ON, *_transmit(*_fill(3)), Read(BY_NAME["TDFPC"].offset)],
    "and what is behind it six": [_ON, *_transmit(*_fill(9)), Read(BY_NAME["TDH"].offset)],
    "but no more": [_ON, *_transmit(*_fill(10)), Read(BY_NAME["TDH"].offset)],
    "a packet waits for room word by word": [_ON, *_transmit((_BUFFER, _FULL), (_BUFFER, _FULL))],
    "a context does not wait for the packet before": [
        *(_ON, *_transmit(*_fill(9)), Store(_RING + 2 * DESCRIPTOR_BYTES, TRANSMIT_CONTEXT.pack(dext=1, rs=1))),
        *(fields("TDT", TAIL=3), REST, Read(BY_NAME["TDH"].offset)),
    ],
    "a ring is made shorter than where its descriptors wait": [
        *(fields("TXDCTL", GRAN=1, WTHRESH=8), fields("TDH", HEAD=4), fields("TIDV", DELAY=30)),
        Store(_RING + 4 * DESCRIPTOR_BYTES, TRANSMIT_LEGACY.pack(rs=1, ide=1)),
        *(fields("TDBAL", BASE=_RING >> 4), Write(BY_NAME["TDLEN"].offset, 0x800), fields("TDT", TAIL=5), REST),
        *(_ON, Wait(10_000), Write(BY_NAME["TDLEN"].offset, 0x30), REST),
    ],
    "a dropped frame fills the buffer, too": [
        *(fields("CTRL", SLU=1, FD=1, SPEED=2, TFCE=1), _ON, fields("FCRTL", XONE=1), fields("FCRTH", RTH=4), REST),
        *(Arrive(append_fcs(bytes(60))), REST),
    ],
    "a frame that is shorter than an address is a broadcast if it is all ones": [
        *(_LINK, _ON, REST),
        *_queue(*(TRANSMIT_LEGACY.pack(address=1 << 32, length=length, eop=1) for length in (1, 5, 6, 7))),
    ],
    "what software asks for goes behind a pause frame that waits for the transmitter": [
        *(fields("CTRL", SLU=1, FD=1, SPEED=2, TFCE=1), fields("FCRTL", RTL=130, XONE=1), fields("FCRTH", RTH=26)),
        *(REST, Arrive(append_fcs(bytes(300))), REST, fields("TCTL", EN=1, SWXOFF=1), REST),
    ],
    "an address is changed behind its search": [
        *(*_receive(_BUFFER, append_fcs(MAC_ADDRESS + bytes(80))), Wait(1_000), Write(BY_NAME["RAL"].offset, 1), REST),
    ],
    "an address is changed before its search": [
        *(*_receive(_BUFFER, append_fcs(MAC_ADDRESS + bytes(80))), Wait(400), Write(BY_NAME["RAL"].offset, 1), REST),
    ],
    "the first byte of the checksum is changed in the midst of a frame": [
        *(*_receive(_BUFFER, append_fcs(MAC_ADDRESS + bytes(range(200)))), Wait(1_500)),
        *(fields("RXCSUM", PCSS=20), REST, Arrive(append_fcs(MAC_ADDRESS + bytes(range(200)))), Wait(1_500)),
        *(fields("RXCSUM", PCSS=3), REST),
    ],
    "the receiver is disabled while a descriptor is on offer": [
        *(*_receive(_BUFFER, append_fcs(MAC_ADDRESS + bytes(80))), Wait(800), fields("RCTL"), REST),
    ],
    "a table is changed right before the decision": [
        *(*_receive(_BUFFER, _GROUP), Wait(1_330), Write(BY_NAME["MTA"].offset, 2), REST),
    ],
    "descriptors of one packet follow each other": [
        *(fields("TXDCTL", GRAN=1, WTHRESH=58), *_pieces(240, 1, 500, 0, 180), _ON),
        *(Wait(1_680), fields("CTRL", RST=1), REST),
    ],
    "a descriptor is used while others are being written": [
        *(fields("TXDCTL", GRAN=1, WTHRESH=58), *_pieces(100, 0, 0, 180, 0, ide=1), _ON),
        *(Wait(1_160), fields("CTRL", RST=1), REST),
    ],
    "a timer's flush ends with the group, whatever has been used meanwhile": [
        fields("TXDCTL", GRAN=1, WTHRESH=58),
        *_queue(
            TRANSMIT_LEGACY.pack(address=_BUFFER, length=100, rs=1, ide=1),
            *(TRANSMIT_LEGACY.pack(rs=rs) for rs in (1, 0, 1, 0)),
        ),
        *(_ON, REST),
    ],
    **{
        f"{name}, as the MAC takes a frame": [*_LINKED, *_two_frames(), _ON, Wait(CYCLE_NS * cycle), write, REST]
        for name, cycle, write in (
            ("a reset", 133, fields("CTRL", RST=1)),
            ("the transmitter is disabled", 134, fields("TCTL")),
            ("the link is lost", 134, fields("CTRL", FD=1, SPEED=2)),
            ("software asks for a pause frame", 133, fields("TCTL", EN=1, SWXOFF=1)),
        )
    },
    "a reset comes when the last byte of a frame has left the MAC": [
        *(*_LINKED, *_two_frames(), _ON, Wait(CYCLE_NS * 121), fields("CTRL", RST=1), REST),
    ],
    **{
        f"{name} comes when a status has been asked for": [
            *(*_receive(_BUFFER, append_fcs(MAC_ADDRESS + bytes(range(80)))), Wait(CYCLE_NS * 211), write, REST),
        ]
        for name, write in (("a reset", fields("CTRL", RST=1)), ("another head", fields("RDH", HEAD=3)))
    },
    "tags are to be taken out, in the midst of a frame with one": [
        *(Write(BY_NAME["VET"].offset, 0x8100), *_receive(_BUFFER, _TAGGED), Wait(1_200)),
        *(fields("CTRL", SLU=1, FD=1, SPEED=2, VME=1), REST, Arrive(_TAGGED), Wait(1_200), _LINK, REST),
    ],
    "the EEPROM is loaded again behind a word that has been read": [
        *(fields("EERD", START=1, ADDR=5), REST, fields("CTRL_EXT", EE_RST=1), REST),
    ],
}
"""What random programs have found."""


def _ahead_of_rest() -> Program:
    """The handler is at work when software begins to wait."""
    done = TRANSMIT_DATA.pack(dext=1, dtyp=1, address=_BUFFER, dtalen=100, rs=1)
    steps = [*_queue(TRANSMIT_CONTEXT.pack(dext=1, rs=1), done, done)][:-1]
    return Program([fields("IMS", TXDW=1, TXQE=1), _ON, REST, *steps, Wait(960), REST], True, 8, 8)


_FOUND_ON_HOSTS = {
    **{
        f"the turns of a narrow bus, {apart} cycles later": Program(
            [
                Wait(CYCLE_NS * apart),
                *(*_receive(_BUFFER, append_fcs(MAC_ADDRESS + bytes(range(1, 195)) * 7)), Wait(14_003 - 8 * apart)),
                *(fields("CTRL", RST=1), REST),
            ],
            width=1,
        )
        for apart in (0, 3, 6)
    },
    "the handler is ahead of software": _ahead_of_rest(),
}
"""The same, where the host matters."""


@cocotb.test()
async def found_programs(dut: HierarchyObject) -> None:
    rtl = _rtl(dut)
    wrong: list[str] = []
    for name, program in {**{name: Program(steps) for name, steps in _FOUND.items()}, **_FOUND_ON_HOSTS}.items():
        try:
            await rtl.check_exactly(program)
        except AssertionError as error:
            wrong.append(f"{name}: {str(error).splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.rtl
def test_any_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_module(build.bench(), __name__, tmp_path)
    tell(tmp_path, capsys)
