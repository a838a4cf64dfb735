"""Software's side of a ``RegisterPort``, for cocotb benches."""

from typing import Any

from cocotb.triggers import RisingEdge

from hw.interfaces import RegisterRequest

__all__ = ["Registers"]


class Registers:
    """Reads and writes through the port of this name of ``dut``; one access at a time. ``layout`` is that of its
    requests."""

    def __init__(self, dut: Any, *, port: str = "port", layout: Any = RegisterRequest) -> None:
        self._layout = layout
        self._clock = dut.clk
        self._request = {part: getattr(dut, f"{port}__request__{part}") for part in ("valid", "ready", "payload")}
        self._response = {part: getattr(dut, f"{port}__response__{part}") for part in ("valid", "ready", "payload")}
        self.forget()

    def forget(self) -> None:
        """Take back what is offered, for the sake of an access that was given up."""
        self._request["valid"].value = 0
        self._response["ready"].value = 0

    async def request(self, **values: int) -> None:
        """Returns at the end of the cycle in which the request (fields of ``layout``) is taken."""
        port = self._request
        port["payload"].value = sum(values[name] << item.offset for name, item in self._layout if name in values)
        port["valid"].value = 1
        while True:
            await RisingEdge(self._clock)
            if int(port["valid"].value) and int(port["ready"].value):
                break
        port["valid"].value = 0

    async def write(self, address: int, data: int) -> None:
        """Returns when the write is taken, which is before it is performed."""
        await self.request(address=address, write=1, data=data)

    async def read(self, address: int) -> int:
        await self.request(address=address)
        port = self._response
        port["ready"].value = 1
        while True:
            await RisingEdge(self._clock)
            if int(port["valid"].value) and int(port["ready"].value):
                break
        port["ready"].value = 0
        return int(port["payload"].value)
