"""Software's side of a ``RegisterPort``, for cocotb benches."""

from typing import Any

from cocotb.triggers import RisingEdge

from hw.interfaces import RegisterRequest

__all__ = ["Registers"]


class Registers:
    """Reads and writes through the port called ``port`` of ``dut``; one access at a time."""

    def __init__(self, dut: Any) -> None:
        self._dut = dut
        dut.port__request__valid.value = 0
        dut.port__response__ready.value = 0

    async def request(self, **values: int) -> None:
        """Returns at the end of the cycle in which the request (fields of ``RegisterRequest``) is taken."""
        dut = self._dut
        dut.port__request__payload.value = sum(
            values[name] << item.offset for name, item in RegisterRequest if name in values
        )
        dut.port__request__valid.value = 1
        while True:
            await RisingEdge(dut.clk)
            if int(dut.port__request__valid.value) and int(dut.port__request__ready.value):
                break
        dut.port__request__valid.value = 0

    async def write(self, address: int, data: int) -> None:
        """Returns when the write is taken, which is before it is performed."""
        await self.request(address=address, write=1, data=data)

    async def read(self, address: int) -> int:
        await self.request(address=address)
        dut = self._dut
        dut.port__response__ready.value = 1
        while True:
            await RisingEdge(dut.clk)
            if int(dut.port__response__valid.value) and int(dut.port__response__ready.value):
                break
        dut.port__response__ready.value = 0
        return int(dut.port__response__payload.value)
