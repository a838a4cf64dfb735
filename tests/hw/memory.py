"""Host memory behind a ``MemoryPort``, for cocotb benches. It checks the rules of the port on the way."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cocotb.triggers import First, RisingEdge
from cocotb.utils import get_sim_steps, get_sim_time

from hw.interfaces import MAX_BURST_BYTES, ReadData, ReadRequest, WriteData, WriteRequest
from tests.hw.simulate import CLOCK_PERIOD_NS

__all__ = ["HostMemory", "fields", "pattern"]


def fields(layout: Any, bits: int) -> dict[str, int]:
    """The fields of a struct layout out of its bits."""
    return {name: bits >> item.offset & (1 << item.width) - 1 for name, item in layout}


def pattern(address: int) -> int:
    """Contents of memory that never was written: 64 bits that differ at every address."""
    return (address // 8 + 1) * 0x9E3779B97F4A7C15 % (1 << 64)


@dataclass
class _Burst:
    address: int
    length: int
    due: int = 0
    word: int = 0

    def __post_init__(self) -> None:
        assert 1 <= self.length <= MAX_BURST_BYTES, f"a request of {self.length} bytes"
        last = self.address + self.length - 1
        assert self.address // MAX_BURST_BYTES == last // MAX_BURST_BYTES, f"{self.address:#x}+{self.length} crosses"

    @property
    def words(self) -> range:
        return range(self.address & ~7, self.address + self.length, 8)


@dataclass
class HostMemory:
    """Serves the port ``prefix`` of ``dut``; start ``run()``.

    ``latency`` is drawn in cycles for each read from its request to its first word; reads of different tags overtake
    one another, word by word. ``ready`` is the probability of each ready in each cycle.
    """

    dut: Any
    prefix: str
    latency: Callable[[], int]
    ready: float = 1.0
    seed: int = 1
    words: dict[int, int] = field(default_factory=dict)
    reads: list[tuple[int, int, int]] = field(default_factory=list)
    """Read requests taken, as (address, length, tag)."""
    writes: list[tuple[int, int]] = field(default_factory=list)
    """Write bursts completed, as (address, length)."""
    unanswered: dict[int, int] = field(default_factory=dict)
    """Reads taken whose last word was not sent, by tag."""
    _waiting: dict[int, deque[_Burst]] = field(default_factory=dict)
    _writing: deque[_Burst] = field(default_factory=deque)
    _received: deque[dict[str, int]] = field(default_factory=deque)

    def forget(self) -> None:
        """As after a reset of the whole machine: contents, records, and what is on its way are gone."""
        parts = (self.words, self.reads, self.writes, self.unanswered, self._waiting, self._writing, self._received)
        for part in parts:
            part.clear()

    def load(self, address: int, content: bytes) -> None:
        """Put bytes at an address that is a multiple of 8; so is their number."""
        for offset in range(0, len(content), 8):
            self.words[address + offset] = int.from_bytes(content[offset : offset + 8], "little")

    def word(self, address: int) -> int:
        """The 8 bytes at a multiple of 8."""
        return self.words.get(address, pattern(address))

    async def run(self) -> None:
        rng = random.Random(self.seed)
        port = {
            stream: {part: getattr(self.dut, f"{self.prefix}__{stream}__{part}") for part in ("valid", "payload")}
            for stream in ("read_request", "read_data", "write_request", "write_data")
        }
        for stream in ("read_request", "write_request", "write_data"):
            port[stream]["ready"] = getattr(self.dut, f"{self.prefix}__{stream}__ready")
            port[stream]["ready"].value = 0
        port["read_data"]["valid"].value = 0
        ready = dict.fromkeys(("read_request", "write_request", "write_data"), False)
        waiting, writing, received = self._waiting, self._writing, self._received
        edge = RisingEdge(self.dut.clk)
        # Nothing costs time like Python in every cycle: as long as nobody asks, this sleeps.
        request_edges = [RisingEdge(port[stream]["valid"]) for stream in ready]
        period = get_sim_steps(CLOCK_PERIOD_NS, "ns")
        offering = False
        while True:
            await edge
            now = int(get_sim_time("step"))
            valid = [stream for stream in ready if int(port[stream]["valid"].value)]
            taken = {stream: int(port[stream]["payload"].value) for stream in valid if ready[stream]}
            if "read_request" in taken:
                request = fields(ReadRequest, taken["read_request"])
                burst = _Burst(request["address"], request["length"], due=now + period * self.latency())
                waiting.setdefault(request["tag"], deque()).append(burst)
                self.unanswered[request["tag"]] = self.unanswered.get(request["tag"], 0) + 1
                self.reads.append((request["address"], request["length"], request["tag"]))
            if "write_request" in taken:
                request = fields(WriteRequest, taken["write_request"])
                writing.append(_Burst(request["address"], request["length"]))
            if "write_data" in taken:
                received.append(fields(WriteData, taken["write_data"]))
            while writing and received:
                self._write(writing, received.popleft())

            due = [tag for tag, bursts in waiting.items() if bursts and bursts[0].due <= now]
            if offering != bool(due):
                offering = bool(due)
                port["read_data"]["valid"].value = offering
            if due:
                tag = rng.choice(due)
                burst = waiting[tag][0]
                address = burst.words[burst.word]
                burst.word += 1
                last = burst.word == len(burst.words)
                bits = {"data": self.word(address), "tag": tag, "last": last}
                port["read_data"]["payload"].value = sum(bits[name] << item.offset for name, item in ReadData)
                if last:
                    waiting[tag].popleft()
                    self.unanswered[tag] -= 1
            for stream, before in ready.items():
                ready[stream] = self.ready == 1 or rng.random() < self.ready
                if ready[stream] != before:
                    port[stream]["ready"].value = ready[stream]
            if not (valid or offering or any(waiting.values())) and all(ready.values()):
                await First(*request_edges)

    def _write(self, writing: deque[_Burst], word: dict[str, int]) -> None:
        burst = writing[0]
        address = burst.words[burst.word]
        asked = sum(1 << lane for lane in range(8) if burst.address <= address + lane < burst.address + burst.length)
        assert not word["strobe"] & ~asked, f"strobes {word['strobe']:08b} outside {burst}"
        mask = sum(0xFF << 8 * lane for lane in range(8) if word["strobe"] >> lane & 1)
        self.words[address] = self.word(address) & ~mask | word["data"] & mask
        burst.word += 1
        assert word["last"] == (burst.word == len(burst.words)), (
            f"last is {word['last']} at word {burst.word} of {burst}"
        )
        if word["last"]:
            self.writes.append((burst.address, burst.length))
            writing.popleft()
