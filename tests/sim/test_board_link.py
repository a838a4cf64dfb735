"""The host's end of the link to a board against a model of the other end: bit errors, loss, and what is no answer."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driver.e1000 import E1000Parameters, probe
from hw.bridge.framing import Unframer, enframe
from hw.bridge.protocol import FLAG, MODULUS, VERSION, between
from hw.registers import BY_NAME
from sim.board.bus import SerialBus
from sim.board.link import LinkError, LinkParameters
from sim.board.messages import MemoryWritten, MessageParser, RegisterValue, StatusChanged
from sim.engine import EventEngine
from sim.host import IDEAL, HostCpu
from stack.napi import SoftIrq
from tests.sim.board_model import BUILD_ID, MAC, BoardModel

OCTET_TIME = 3333
"""ns at 3 Mbaud."""
PARAMETERS = LinkParameters(t1=3_000_000, connect_t1=5_000_000, attempts=50)


class Line:
    """One way of a serial line: takes time, and flips bits. A flip of a start or stop bit loses the octet."""

    def __init__(self, env: EventEngine, *, error_rate: float) -> None:
        self.receive: Any = None
        self.flipped = 0
        self._env = env
        self._error_rate = error_rate
        self._free_at = 0

    def write(self, octets: bytes) -> None:
        arrived = bytearray()
        for octet in octets:
            flips = [bit for bit in range(10) if self._error_rate and self._env.random.random() < self._error_rate]
            self.flipped += len(flips)
            if not any(bit in (0, 9) for bit in flips):
                arrived.append(octet ^ sum(1 << bit - 1 for bit in flips))
        self._free_at = max(self._free_at, self._env.now) + len(octets) * OCTET_TIME
        self._env.call_at(self._free_at, lambda: self.receive(bytes(arrived)))


class Rig:
    """A host and a board on a line."""

    def __init__(self, *, seed: int = 1, error_rate: float = 0.0, **board: Any) -> None:
        self.env = EventEngine(seed=seed)
        self.down, self.up = (Line(self.env, error_rate=error_rate) for _ in range(2))
        self.cpu = HostCpu(self.env, IDEAL)
        self.bus = SerialBus(self.env, self.cpu, self.down.write, parameters=PARAMETERS)
        self.board = BoardModel(
            self.env, self.up.write, parameters=LinkParameters(t1=5_000_000, attempts=1_000_000), **board
        )
        self.down.receive = self.board.receive
        self.up.receive = self.bus.receive


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=300), st.binary(max_size=30))
def test_frames(frame: bytes, noise: bytes) -> None:
    """A frame comes through whole, whatever noise is in front of it, and no flag or escape is left in it."""
    line = enframe(frame)
    assert line[0] == line[-1] == FLAG
    assert FLAG not in line[1:-1]
    unframer = Unframer()
    assert list(unframer.receive(noise.replace(bytes([FLAG]), b"") + line)) == [frame]


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.integers(0, 10_000))
def test_damaged_frames(frame: bytes, place: int) -> None:
    """One bit wrong, and there is no frame."""
    line = bytearray(enframe(frame))
    bit = place % (8 * len(line))
    line[bit // 8] ^= 1 << bit % 8
    assert frame not in list(Unframer().receive(bytes(line) + enframe(b"next")))[:-1]


def test_between() -> None:
    for low in range(MODULUS):
        inside = {(low + step) % MODULUS for step in range(8)}
        assert {number for number in range(MODULUS) if between(low, number, (low + 7) % MODULUS)} == inside


def test_messages_in_pieces() -> None:
    parser = MessageParser()
    octets = bytes.fromhex("83 01  81 112233 0300 aabbcc  82 78563412")
    found = [message for octet in octets for message in parser.receive(bytes([octet]))]
    assert found == [StatusChanged(1), MemoryWritten(0x332211, b"\xaa\xbb\xcc"), RegisterValue(0x12345678)]
    with pytest.raises(ValueError, match="0x7f"):
        list(parser.receive(b"\x7f"))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from([0.0, 1e-4, 5e-4]))
def test_nothing_is_lost(seed: int, error_rate: float) -> None:
    """Writes of both sides come once, in order, whatever the line does; reads have the value of their time."""
    rig = Rig(seed=seed, error_rate=error_rate)
    rng = random.Random(seed)
    ral = BY_NAME["RAL"]
    written: list[int] = []
    model = bytearray(256 * 1024)

    async def host() -> None:
        bus = rig.bus
        await bus.connect()
        for _ in range(15):
            address, data = rng.randrange(100_000), rng.randbytes(rng.randint(1, 700))
            bus.memory.write(address, data)
            model[address : address + len(data)] = data
            written.append(rng.getrandbits(32))
            bus.write32(ral.offset, written[-1])
            address, data = 128 * 1024 + rng.randrange(100_000), rng.randbytes(rng.randint(1, 700))
            rig.board.memory.write(address, data)
            model[address : address + len(data)] = data
            if rng.random() < 0.5:
                assert await bus.read32(ral.offset) == written[-1]
                assert bus.memory.read(address, len(data)) == data
        await bus.read32(ral.offset)

    rig.env.run(host())
    assert [value for kind, _, value in rig.board.requests if kind == 1] == written
    assert bytes(rig.bus.memory.array) == bytes(model) == bytes(rig.board.memory.array)
    counters = rig.bus.link.counters
    if not error_rate:
        assert counters.frames_resent == counters.timeouts == counters.frames_damaged == 0


def test_bit_errors_cost_time() -> None:
    """The same work at 1e-4 takes longer, and no more than a few times as long."""
    durations = {}
    for error_rate in (0.0, 1e-4):
        rig = Rig(seed=3, error_rate=error_rate)

        async def host(rig: Rig = rig) -> None:
            await rig.bus.connect()
            for number in range(100):
                rig.bus.memory.write(1000 * number, bytes(1000))
                rig.bus.write32(0x5400, number)
            await rig.bus.read32(0x5400)

        rig.env.run(host())
        durations[error_rate] = rig.env.now
        assert bool(rig.down.flipped) == bool(error_rate)
    assert durations[0.0] < durations[1e-4] < 4 * durations[0.0]


def test_driver_on_the_model() -> None:
    """Probe and open over the line."""
    rig = Rig()

    async def host() -> None:
        await rig.bus.connect()
        device = await probe(rig.bus, rig.cpu, SoftIrq(rig.env, rig.cpu), parameters=E1000Parameters(rx_descriptors=80))
        assert device.address == MAC
        await device.open()
        await rig.env.sleep(20_000_000)
        assert device.carrier
        await device.stop()

    rig.env.run(host())


def test_identity() -> None:
    rig = Rig(version=9, memory_kib=64)

    async def host() -> None:
        await rig.bus.connect()

    rig.env.run(host())
    identity = rig.bus.link.identity
    assert identity is not None
    assert (identity.version, identity.build_id, identity.memory_kib) == (9, BUILD_ID, 64)
    assert VERSION != 9


def test_no_answer() -> None:
    """Is told of in bounded time."""
    rig = Rig()
    rig.down.receive = lambda octets: None

    async def host() -> None:
        with pytest.raises(LinkError, match="50 attempts"):
            await rig.bus.connect()

    rig.env.run(host())
    assert 50 * PARAMETERS.connect_t1 <= rig.env.now < 51 * PARAMETERS.connect_t1


def test_line_is_cut() -> None:
    """Who waits for a register, and who asks later, is told."""
    rig = Rig()

    async def host() -> None:
        await rig.bus.connect()
        rig.up.receive = lambda octets: None
        for _ in range(2):
            with pytest.raises(LinkError):
                await rig.bus.read32(0)

    rig.env.run(host())


def test_late_answer_to_an_earlier_attempt() -> None:
    """The board answers each SABME with its octet; only the answer to the last one counts."""
    rig = Rig()
    tokens: list[int] = []
    answers: list[bytes] = []
    unframer = Unframer()

    def receive(octets: bytes) -> None:
        for frame in unframer.receive(octets):
            tokens.append(frame[1])
            answers.append(enframe(bytes([0x73, frame[1], VERSION]) + BUILD_ID + b"\x40\x00"))
            if len(answers) == 2:
                rig.bus.receive(answers[0])
                assert rig.bus.link.identity is None
                rig.bus.receive(answers[1])

    rig.down.receive = receive

    async def host() -> None:
        await rig.bus.connect()

    rig.env.run(host())
    assert len(set(tokens)) == 2
