"""The serial line of a bench: cocotbext-uart at the pins, the host's bus on top, and noise."""

from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import Timer
from cocotbext.uart import UartSink, UartSource

from tests.hw.cocotb_engine import CocotbEngine

__all__ = ["SerialLine", "disturb"]


class SerialLine:
    """``rx`` and ``tx`` as the board names them. ``write`` sends; what comes is given to ``receive``, in the engine."""

    def __init__(self, engine: CocotbEngine, rx: Any, tx: Any, *, baud: int) -> None:
        self.octets = 0
        """Sent and received."""
        self.receive: Callable[[bytes], None] = lambda octets: None
        self._engine = engine
        self._source = UartSource(rx, baud=baud)
        self._sink = UartSink(tx, baud=baud)
        self._source.log.setLevel("WARNING")
        self._sink.log.setLevel("WARNING")
        cocotb.start_soon(self._run())

    def write(self, octets: bytes) -> None:
        self.octets += len(octets)
        self._source.write_nowait(octets)

    async def _run(self) -> None:
        while True:
            octets = bytes(await self._sink.read())
            self.octets += len(octets)
            self._engine.post(lambda octets=octets: self.receive(octets))


async def disturb(engine: CocotbEngine, flip: Any, *, baud: int, error_rate: float) -> None:
    """Invert the line for the time of a bit, at random times: so many bits in one are wrong on the mean. For ever."""
    bit = round(1e9 / baud)
    flip.value = 0
    while True:
        await Timer(max(1, round(engine.random.expovariate(error_rate / bit))), "ns")
        flip.value = 1
        await Timer(bit, "ns")
        flip.value = 0
