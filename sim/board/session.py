"""A board on a serial port, in real time: is it the right one, and driver and stack on it."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from driver.e1000 import E1000, E1000Parameters, probe
from hw.bridge.protocol import VERSION
from sim.board.bus import SerialBus
from sim.board.link import Identity, LinkError, LinkParameters
from sim.board.serial_port import SerialPort
from sim.errors import RunFailedError, UserError
from sim.realtime.engine import RealTimeCpu, RealTimeEngine
from stack.host import NetworkStack
from stack.napi import SoftIrq

__all__ = ["Session", "on_board"]

T = TypeVar("T")

_LINK = LinkParameters(connect_t1=40_000_000, attempts=5)
"""A board that does not answer is given up after a fifth of a second, so that with the program's start it is told of in
about one. An answer takes 10 ms at 9600 baud, and a USB adapter holds it for 16 ms at most."""

_CARRIER_LOOKS, _CARRIER_INTERVAL = 100, 50_000_000
"""Auto-negotiation takes some three seconds; a PHY that was just reset has to begin anew."""

_DESCRIPTORS = 80
"""The fewest that the driver takes: host memory is small."""

_LARGEST_BUFFER, _SMALLEST_BUFFER = 2048, 256


class Session:
    """A board with which a link is set up. ``port`` names it in messages."""

    def __init__(self, env: RealTimeEngine, port: SerialPort, *, baud: int, board: str, build_id: bytes) -> None:
        self.env = env
        self.cpu = RealTimeCpu(env)
        self.port = port
        self.board = board
        self.bus = SerialBus(env, self.cpu, port.write, parameters=replace(_LINK, baud=baud))
        self._build_id = build_id
        port.receive = self.bus.receive

    async def connect(self) -> Identity:
        """Set up the link. Raises ``UserError`` if nobody answers, or with another bitstream."""
        try:
            await self.bus.connect()
        except LinkError:
            raise UserError(
                f"{self.port.path}: no board answers; is the bitstream loaded (niclab board load {self.board}), "
                "and is it the right port and --baud?"
            ) from None
        identity = self.bus.link.identity
        assert identity is not None
        again = f"niclab board build {self.board}, then niclab board load {self.board}"
        if identity.version != VERSION:
            raise UserError(
                f"{self.port.path}: its bitstream has version {identity.version} of the bridge's protocol, "
                f"this niclab has {VERSION}: {again}"
            )
        if identity.build_id != self._build_id:
            raise UserError(
                f"{self.port.path}: its bitstream is build {identity.build_id.hex()}, "
                f"this niclab makes {self._build_id.hex()} for {self.board}: {again}"
            )
        return identity

    async def device(self) -> E1000:
        """The NIC as an interface that is down."""
        # Half of host memory for received frames, so that the other half has room for what is sent.
        buffer = _LARGEST_BUFFER
        while buffer > _SMALLEST_BUFFER and 2 * _DESCRIPTORS * buffer > len(self.bus.memory.array):
            buffer //= 2
        parameters = E1000Parameters(
            tx_descriptors=_DESCRIPTORS, rx_descriptors=_DESCRIPTORS, rx_buffer_size=buffer, check_eeprom=False
        )
        return await probe(self.bus, self.cpu, SoftIrq(self.env, self.cpu), parameters=parameters)

    async def bring_up(self, device: E1000, address: str, prefix: int) -> NetworkStack:
        """An interface with an address, and its link. Raises ``RunFailedError`` if there is none."""
        stack = NetworkStack(self.env, self.cpu)
        stack.add_interface(device, address, prefix)
        await device.open()
        for _ in range(_CARRIER_LOOKS):
            if device.carrier:
                return stack
            await self.env.sleep(_CARRIER_INTERVAL)
        raise RunFailedError(f"{self.port.path}: the board's Ethernet port has no link; is its cable plugged in?")


def on_board(
    path: str, *, baud: int, board: str, build_id: bytes, seed: int, main: Callable[[Session], Coroutine[Any, Any, T]]
) -> T:
    """Run a coroutine with a board. Raises ``UserError`` or ``RunFailedError``."""
    env = RealTimeEngine(seed=seed)
    port = SerialPort(env, path, baud=baud)
    try:
        session = Session(env, port, baud=baud, board=board, build_id=build_id)
        return env.run(main(session))
    except LinkError as error:
        raise RunFailedError(f"{path}: {error}; is the board still there?") from None
    finally:
        port.close()
