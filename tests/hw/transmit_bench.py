"""Host memory, descriptor ring and MAC around ``TransmitPath`` under cocotb."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hw.interfaces import MAX_BURST_BYTES, TransmitInfo
from tests.hw.memory import fields
from tests.hw.simulate import CLOCK_PERIOD_NS
from tests.hw.transmit_model import Chain

__all__ = ["PULSES", "Bench", "check"]

RING_BASE = 0x0000_00FF_FFFF_F000
"""The address of descriptor 256 carries over bit 40."""

PULSES = ("written", "empty", "cut_short", "oversize")


@dataclass
class Bench:
    """Host memory, ring and MAC around the path, advanced clock by clock."""

    dut: Any
    chain: Chain
    seed: int = 0
    read_latency: tuple[int, int] = (0, 0)
    """Least and most cycles from a request to its first word."""
    busy: float = 0.0
    """Share of the cycles in which memory refuses a request, or sends no word."""
    mac_busy: float = 0.0
    """Share of the cycles in which the MAC takes no word."""
    wire: bool = False
    """The MAC takes time as the wire does, with preamble, FCS and gap of 24 bytes in all; else as fast as it can."""
    ring_entries: int = 256
    first_index: int = 0

    frames: list[tuple[bytes, dict[str, int]]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    """Cycles at which the MAC took the info of each frame."""
    late: int = 0
    """Words that were not there when the wire wanted them."""
    reported: list[int] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    pulses: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PULSES, 0))
    outstanding: int = 0

    async def start(self, *, clock: bool = True) -> None:
        """Reset, and first of all the clock, if there is none yet."""
        dut = self.dut
        if clock:
            Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
        for name in ("descriptors", "memory__read_data"):
            getattr(dut, f"{name}__valid").value = 0
        for name in ("memory__read_request", "memory__write_request", "memory__write_data", "info", "packets"):
            getattr(dut, f"{name}__ready").value = 0
        dut.base.value = RING_BASE
        dut.length.value = 16 * self.ring_entries
        dut.tail.value = (self.first_index + len(self.chain.descriptors)) % self.ring_entries
        dut.head_value.value = self.first_index
        dut.head_written.value = 0
        for name in ("thresholds", "timer_running", "flush"):
            getattr(dut, name).value = 0
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        dut.head_written.value = 1
        await RisingEdge(dut.clk)
        dut.head_written.value = 0

    async def run(self, *, frames: int, limit: int) -> None:
        """Until this many frames were sent and every descriptor is complete; fails after ``limit`` cycles."""
        dut = self.dut
        generator = random.Random(self.seed)
        descriptors = deque(
            (int.from_bytes(raw, "little"), (self.first_index + n) % self.ring_entries)
            for n, raw in enumerate(self.chain.descriptors)
        )
        # Words that must have come before a descriptor may be reported.
        needed, total = [], 0
        for raw in self.chain.descriptors:
            total += self.chain.words(raw)
            needed.append(total)
        answers: deque[tuple[int, bytes, bool]] = deque()
        write_addresses: deque[int] = deque()
        infos: deque[dict[str, int]] = deque()
        packet = bytearray()
        delivered = asked = completed = 0
        wire_free = word_due = 0
        in_packet = False
        final_head = (self.first_index + len(descriptors)) % self.ring_entries
        last_head = self.first_index
        offered = request_ready = write_ready = data_ready = info_ready = word_ready = False

        for now in range(limit):
            await RisingEdge(dut.clk)
            if offered and int(dut.descriptors__ready.value):
                descriptors.popleft()
                offered = False
            if request_ready and int(dut.memory__read_request__valid.value):
                request = int(dut.memory__read_request__payload.value)
                address, length = request & (1 << 64) - 1, request >> 64 & 0x3FF
                assert 1 <= length <= MAX_BURST_BYTES
                assert address // MAX_BURST_BYTES == (address + length - 1) // MAX_BURST_BYTES
                first = address - address % 8
                words = (address % 8 + length + 7) // 8
                content = bytearray(self.chain.read(address, length))
                # Lanes that were not asked for hold anything.
                content[:0] = generator.randbytes(address - first)
                content += generator.randbytes(8 * words - len(content))
                due = now + generator.randint(*self.read_latency)
                answers += ((due, bytes(content[8 * n : 8 * n + 8]), n == words - 1) for n in range(words))
                asked += words
                self.outstanding = max(self.outstanding, asked - delivered)
            if write_ready and int(dut.memory__write_request__valid.value):
                request = int(dut.memory__write_request__payload.value)
                assert request >> 64 == 1
                write_addresses.append(request & (1 << 64) - 1)
            if data_ready and int(dut.memory__write_data__valid.value):
                data = int(dut.memory__write_data__payload.value)
                address = write_addresses.popleft()
                lane = address % 8
                assert data >> 64 & 0xFF == 1 << lane
                assert data >> 72 == 1
                assert data >> 8 * lane & 0xFF == 1
                index, byte = divmod(address - RING_BASE, 16)
                assert byte == 12
                self.reported.append(index)
                assert delivered >= needed[(index - self.first_index) % self.ring_entries]
            if info_ready and int(dut.info__valid.value):
                info = int(dut.info__payload.value)
                infos.append(fields(TransmitInfo, info))
                self.starts.append(now)
                wire_free = now + max(infos[-1]["length"], 60) + 24
                word_due = now + 8
                in_packet = True
            if word_ready:
                if int(dut.packets__valid.value):
                    word = int(dut.packets__payload.value)
                    count, last = word >> 64 & 0xF, word >> 68
                    assert count == 8 or (last and 1 <= count <= 8)
                    packet += (word & (1 << 64) - 1).to_bytes(8, "little")[:count]
                    word_due += 8
                    if last:
                        info = infos.popleft()
                        assert info.pop("length") == len(packet)
                        self.frames.append((bytes(packet), info))
                        packet = bytearray()
                        in_packet = False
                elif self.wire:
                    self.late += 1
            for name in PULSES:
                self.pulses[name] += int(getattr(dut, name).value)
            head = int(dut.head.value)
            if head != last_head:
                assert head == (last_head + 1) % self.ring_entries
                last_head = head
                completed += 1
                self.heads.append(head)
            if len(self.frames) >= frames and completed == len(needed):
                assert head == final_head
                break

            if not offered and descriptors and generator.random() >= self.busy:
                raw, index = descriptors[0]
                dut.descriptors__payload.value = raw | index << 128
                offered = True
            dut.descriptors__valid.value = offered
            request_ready = generator.random() >= self.busy
            dut.memory__read_request__ready.value = request_ready
            if answers and answers[0][0] <= now and generator.random() >= self.busy:
                _, content, last = answers.popleft()
                dut.memory__read_data__payload.value = int.from_bytes(content, "little") | last << 66
                dut.memory__read_data__valid.value = 1
                delivered += 1
            else:
                dut.memory__read_data__valid.value = 0
            write_ready = generator.random() >= self.busy
            dut.memory__write_request__ready.value = write_ready
            data_ready = generator.random() >= self.busy
            dut.memory__write_data__ready.value = data_ready
            if self.wire:
                info_ready = not in_packet and now + 1 >= wire_free
                word_ready = in_packet and now + 1 >= word_due
            else:
                info_ready = not in_packet and generator.random() >= self.mac_busy
                word_ready = in_packet and generator.random() >= self.mac_busy
            dut.info__ready.value = info_ready
            dut.packets__ready.value = word_ready
        else:
            raise AssertionError(
                f"after {limit} cycles {len(self.frames)} of {frames} frames, {completed} of {len(needed)} descriptors"
            )
        # Nothing more may come.
        dut.info__ready.value = 0
        for _ in range(200):
            await RisingEdge(dut.clk)
            assert not int(dut.info__valid.value)
            assert not int(dut.memory__read_request__valid.value)


def _reports(bench: Bench) -> list[int]:
    """Indices of the descriptors with RS, which must have been reported in this order."""
    return [
        (bench.first_index + n) % bench.ring_entries for n, raw in enumerate(bench.chain.descriptors) if raw[11] & 0x08
    ]


async def check(bench: Bench, expected: list[tuple[bytes, dict[str, int]]], *, limit: int, clock: bool = True) -> None:
    """Runs the bench until ``expected``, frames and what else the MAC is told of them, have been sent; they and the
    reports must be right."""
    await bench.start(clock=clock)
    await bench.run(frames=len(expected), limit=limit)
    assert len(bench.frames) == len(expected)
    for number, ((frame, info), (wanted, wanted_info)) in enumerate(zip(bench.frames, expected, strict=True)):
        assert info == wanted_info, f"options of frame {number}"
        assert len(frame) == len(wanted), f"length of frame {number}"
        differing = [(at, got, want) for at, (got, want) in enumerate(zip(frame, wanted, strict=True)) if got != want]
        assert not differing, f"frame {number}, {len(differing)} bytes (offset, got, wanted): {differing[:20]}"
    assert bench.reported == _reports(bench)
    assert bench.pulses["written"] == len(bench.reported)
    assert bench.pulses["empty"] == 1
