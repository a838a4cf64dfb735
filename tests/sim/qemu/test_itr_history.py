"""Interrupt throttling of the stock driver, as seen from outside, against ours.

``stock_itr.json`` is the history of Debian's kernel 6.12.117 in the driver's default mode, on the Verilated NIC:
opening, pings, 300 small echo requests one after the other, TCP echo of 1 MB (``niclab qemu --itr``; docs/qemu.md).
"""

from dataclasses import replace
from pathlib import Path

import pytest

from hw.descriptors import RECEIVE, TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.registers import BY_NAME
from sim.engine import EventEngine
from sim.qemu.itr_history import ItrHistory, Poll, read_history, replay
from sim.qemu.itr_report import compare, write_figure
from sim.vfio_user.function import Access
from tests.sim.vfio_user.serving import PAGE, CopyingNic, memory

HISTORY = Path(__file__).parent / "stock_itr.json"
CONSERVATIVE, DYNAMIC = 3, 1
BASE = {"TD": 0x1000, "RD": 0x2000}
COUNT = 64


@pytest.fixture(scope="module")
def polls() -> list[Poll]:
    return read_history(HISTORY)


def test_our_driver_writes_what_the_stock_driver_wrote(polls: list[Poll]) -> None:
    assert compare(polls, CONSERVATIVE) == []
    written = [poll.itr for poll in polls if poll.itr is not None]
    assert len(written) == 48
    # From the start rate to that of an unknown link, up the ramp, and through the classes low and bulk (e1000_set_itr).
    assert written[:6] == [195, 976, 434, 279, 205, 195]
    assert written.count(976) == 11


def test_another_mode_would_have_been_noticed(polls: list[Poll]) -> None:
    assert compare(polls, DYNAMIC)
    assert len(compare([replace(poll, rx_bytes=poll.rx_bytes // 2) for poll in polls], CONSERVATIVE)) > 5


def test_the_figure_says_how_many_differ(polls: list[Poll], tmp_path: Path) -> None:
    page = tmp_path / "itr.html"
    write_figure(polls[:40], CONSERVATIVE, page)
    assert "40 polls" in page.read_text()
    assert "0 differ" in page.read_text()


class _Driver:
    """Does what the stock driver does to its rings and registers."""

    def __init__(self, history: ItrHistory, nic: CopyingNic) -> None:
        self._history = history
        self._nic = nic
        self._tails = {"TD": 0, "RD": 0}

    async def write(self, name: str, value: int) -> None:
        await self._history.observe(Access(True, False, BY_NAME[name].offset, value))
        self._nic.write32(BY_NAME[name].offset, value)

    async def read(self, name: str, value: int) -> None:
        await self._history.observe(Access(False, False, BY_NAME[name].offset, value))

    async def open(self) -> None:
        for ring, base in BASE.items():
            await self.write(f"{ring}BAL", base)
            await self.write(f"{ring}LEN", COUNT * 16)
            await self.write(f"{ring}T", 0)
        await self.write("ITR", 195)
        await self.write("RDT", COUNT - 2)
        self._tails["RD"] = COUNT - 2
        self._nic.write32(BY_NAME["STATUS"].offset, BY_NAME["STATUS"].value(SPEED=2))
        await self.write("TCTL", BY_NAME["TCTL"].mask("EN"))

    async def send(self, *descriptors: bytes) -> None:
        for descriptor in descriptors:
            self._nic.memory.write(BASE["TD"] + self._tails["TD"] * 16, descriptor)
            self._tails["TD"] = (self._tails["TD"] + 1) % COUNT
        await self.write("TDT", self._tails["TD"])

    async def poll(self, *, received: list[int], head: int, itr: int | None, interrupted: bool = False) -> None:
        """An interrupt, in whose poll frames of some lengths (without FCS) were received; TDH is ``head``."""
        await self.read("ICR", 0x80)
        await self.write("IMC", 0xFFFFFFFF)
        for length in received:
            place = (self._tails["RD"] + 2) % COUNT
            self._nic.memory.write(BASE["RD"] + place * 16, RECEIVE.pack(address=0x4000, length=length + 4))
            self._tails["RD"] = (self._tails["RD"] + 1) % COUNT
        if received:
            await self.write("RDT", self._tails["RD"])
        if interrupted:
            await self.read("ICR", 0x80)
            await self.write("IMC", 0xFFFFFFFF)
            await self.write("IMS", 0x9D)
        self._nic.write32(BY_NAME["TDH"].offset, head)
        if itr is not None:
            await self.write("ITR", itr)
        await self.write("IMS", 0x9D)


def test_what_the_driver_counts_is_seen_from_outside(tmp_path: Path) -> None:
    env = EventEngine(seed=1)
    nic = CopyingNic()
    with memory(16 * PAGE) as descriptor:
        nic.memory.map(0, 16 * PAGE, descriptor=descriptor, offset=0, readable=True, writable=True)
    nic.memory.enabled = True
    history = ItrHistory(env, nic, tmp_path / "itr.json")
    legacy = TRANSMIT_LEGACY.pack(address=0x8000, length=60, eop=1, rs=1)
    context = TRANSMIT_CONTEXT.pack(dext=1, tse=1, tcp=1, paylen=3000, hdrlen=66, mss=1448)
    plain = TRANSMIT_CONTEXT.pack(dext=1, tcp=1, tucso=50)
    first = TRANSMIT_DATA.pack(address=0x8000, dtalen=66, dtyp=1, dext=1, tse=1)
    last = TRANSMIT_DATA.pack(address=0x9000, dtalen=3000, dtyp=1, dext=1, tse=1, eop=1, rs=1)
    whole = TRANSMIT_DATA.pack(address=0x9000, dtalen=500, dtyp=1, dext=1, eop=1, rs=1)

    async def main() -> None:
        driver = _Driver(history, nic)
        await driver.open()
        await driver.send(legacy)
        await driver.send(context, first, last)
        await driver.poll(received=[100, 1514], head=1, itr=None, interrupted=True)
        await driver.poll(received=[], head=4, itr=434)
        await driver.send(plain, whole, legacy)
        # The last is complete, but the driver has not looked at it: its DD is still there.
        nic.memory.write(BASE["TD"] + 6 * 16, TRANSMIT_LEGACY.pack(address=0x8000, length=60, eop=1, rs=1, dd=1))
        await driver.poll(received=[60] * 20, head=7, itr=279)
        await driver.read("ICR", 0)
        await driver.write("IMC", 0xFFFFFFFF)  # no interrupt of ours: nothing begins
        await driver.write("IMS", 0x9D)
        await driver.write("RCTL", 0)
        history.close()

    env.run(main())
    seen = read_history(tmp_path / "itr.json")
    assert [(poll.tx_packets, poll.tx_bytes, poll.rx_packets, poll.rx_bytes, poll.itr) for poll in seen] == [
        (0, 0, 0, 0, 195),
        (1, 60, 2, 1614, None),
        (3, 3066 + 2 * 66, 0, 0, 434),
        (1, 500, 20, 20 * 60, 279),
    ]
    assert [poll.opened for poll in seen] == [True, False, False, False]
    assert {poll.link_speed for poll in seen[1:]} == {1000}
    assert len(replay(seen, CONSERVATIVE)) == len(seen)
