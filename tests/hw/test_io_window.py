"""The I/O window against its golden model, with the memory window in use at the same time."""

from typing import Any

from amaranth.sim import Simulator
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hw.io_window import IO_WINDOW_BYTES, IoWindow, IoWindowModel

ADDRESSES = (0x0, 0x8, 0x1_FFFC, 0x2_0000, 0x7_FFFC, 0x8_0000, 0xF_FFFC, 0x10_0008, 0xFFFF_FFFF)
offsets = st.sampled_from((0, 0, 4, 4, 4, 1, 8, IO_WINDOW_BYTES - 4, IO_WINDOW_BYTES - 1))
data = st.one_of(st.sampled_from(ADDRESSES), st.integers(0, 0xFFFF_FFFF))
accesses = st.tuples(st.booleans(), offsets, data, st.sampled_from((15, 15, 15, 7, 1, 0)))


class Registers:
    """What is behind: takes one access at a time, as the register file does, and answers after a while."""

    def __init__(self) -> None:
        self.values: dict[int, int] = {}
        self.log: list[tuple[str, int, int]] = []

    def read(self, address: int) -> int:
        self.log.append(("read", address, 0))
        return self.values.get(address, address ^ 0xA5A5_0000)

    def write(self, address: int, value: int) -> None:
        self.log.append(("write", address, value))
        self.values[address] = value


async def stream_put(context: Any, stream: Any, **values: int) -> None:
    for name, value in values.items():
        context.set(stream.payload[name], value)
    context.set(stream.valid, 1)
    while not (await context.tick().sample(stream.ready))[2]:
        pass
    context.set(stream.valid, 0)


async def stream_get(context: Any, stream: Any) -> int:
    context.set(stream.ready, 1)
    while True:
        _, _, valid, payload = await context.tick().sample(stream.valid, stream.payload)
        if valid:
            context.set(stream.ready, 0)
            return int(payload)


@settings(max_examples=60, deadline=None)
@given(st.lists(accesses, max_size=20), st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=20))
@example([(True, 0, 0x8, 15), (True, 4, 0x1234, 15), (False, 4, 0, 15)], [(False, 0)] * 10)
def test_both_windows(io: list[tuple[bool, int, int, int]], memory: list[tuple[bool, int]]) -> None:
    """Each window gets its own answers in its own order; nothing that is offered changes before it is taken."""
    assume(all(value & 0xF_FFFF != 0x1_0000 for _, _, value, _ in io))  # which is the memory window's
    dut = IoWindow()
    behind = Registers()
    simulator = Simulator(dut)
    simulator.add_clock(8e-9)
    from_io: list[int] = []
    from_memory: list[int] = []

    async def io_side(context: Any) -> None:
        for write, offset, value, strobe in io:
            await stream_put(context, dut.io.request, address=offset, write=write, data=value, strobe=strobe)
            if not write:
                from_io.append(await stream_get(context, dut.io.response))
        await context.tick().repeat(50)  # for what is taken, but not performed yet

    async def memory_side(context: Any) -> None:
        for write, pause in memory:
            await context.tick().repeat(pause + 1)
            await stream_put(context, dut.memory.request, address=0x1_0000, write=write, data=0x55)
            if not write:
                from_memory.append(await stream_get(context, dut.memory.response))

    async def registers(context: Any) -> None:
        request, response = dut.registers.request, dut.registers.response
        while True:
            context.set(request.ready, 1)
            _, _, valid, payload = await context.tick().sample(request.valid, request.payload)
            context.set(request.ready, 0)
            if not valid:
                continue
            address = payload.address
            if payload.write:
                behind.write(address, payload.data)
            else:
                value = behind.read(address)
                for _ in range(1 + address % 3):
                    await context.tick()
                context.set(response.payload, value)
                context.set(response.valid, 1)
                while not (await context.tick().sample(response.ready))[2]:
                    pass
                context.set(response.valid, 0)
            for _ in range(2):
                await context.tick()

    async def stability(context: Any) -> None:
        request = dut.registers.request
        offered = None
        async for _, _, valid, ready, payload in context.tick().sample(request.valid, request.ready, request.payload):
            assert offered is None or (valid and payload == offered)
            offered = payload if valid and not ready else None

    simulator.add_testbench(io_side)
    simulator.add_testbench(memory_side)
    simulator.add_testbench(registers, background=True)
    simulator.add_testbench(stability, background=True)
    simulator.run()

    golden = Registers()
    model = IoWindowModel(golden.read, golden.write)
    expected = []
    for write, offset, value, strobe in io:
        if write:
            model.write(offset, value, strobe)
        else:
            expected.append(model.read(offset))
    assert [item for item in behind.log if item[1] != 0x1_0000] == golden.log
    assert from_io == expected
    reads = sum(not write for write, _ in memory)
    assert len(from_memory) == reads
    assert set(from_memory) <= {0x1_0000 ^ 0xA5A5_0000, 0x55}


def test_ioaddr_keeps_twenty_bits() -> None:
    model = IoWindowModel(lambda address: address, lambda address, value: None)
    model.write(0, 0xFFF1_2345)
    assert (model.read(0), model.read(4), model.read(8)) == (0x1_2345, 0x1_2345, 0)
    model.write(0, 0x2_0000)
    assert model.read(4) == 0
