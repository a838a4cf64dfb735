"""What TCP does on a path in simulated time: throughput, fairness, the average window. ``sim.tcp_tables`` prints it."""

from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

from sim.netsim import FAR, Netsim
from stack.socket import AF_INET, SHUT_WR, SOCK_STREAM, StreamSocket
from stack.tcp.algorithms import ALGORITHMS
from stack.tcp.congestion import INFINITE, CongestionControl
from stack.tcp.cubic import Cubic
from stack.tcp.parameters import TcpParameters
from stack.tcp.rate import RateSample

__all__ = ["NETSIM", "SHARED", "AverageWindow", "Bottleneck", "average_window", "fairness", "throughput"]

_MS = 1_000_000
_SECOND = 1_000 * _MS
_PORT = 5001
_MEBIBYTE = 1 << 20
_FRAME_HEADERS = 66
"""Ethernet, IPv4, TCP with timestamps."""


def _fixed(buffer: int, **more: object) -> TcpParameters:
    """Buffers that do not grow."""
    return TcpParameters(
        send_buffer=buffer,
        send_buffer_maximum=buffer,
        receive_buffer=buffer,
        receive_buffer_maximum=buffer,
        moderate_receive_buffer=False,
        **more,  # type: ignore[arg-type]
    )


async def _send(netsim: Netsim, size: int) -> None:
    socket = netsim.near.socket(AF_INET, SOCK_STREAM)
    await socket.connect((FAR, _PORT))
    await socket.sendall(bytes(size))
    await socket.shutdown(SHUT_WR)


async def _receive(netsim: Netsim, size: int) -> None:
    listener = netsim.far.socket(AF_INET, SOCK_STREAM)
    await listener.bind((FAR, _PORT))
    await listener.listen()
    socket, _ = await listener.accept()
    got = 0
    while got < size:
        data = await socket.recv(_MEBIBYTE)
        if not data:
            raise ValueError("the connection ended early")
        got += len(data)


def throughput(
    *, size: int, buffer: int, loss: float, round_trip: int = 100 * _MS, control: str = "cubic", seed: int = 1
) -> float:
    """Bytes/s of one transfer of ``size`` bytes over a path that loses at random in both directions, its rate without
    limit."""
    retries = {"syn_retries": 20, "synack_retries": 20, "retries": 100, "maximum_rto": 60 * _SECOND}
    parameters = _fixed(buffer, congestion_control=control, **retries)
    netsim = Netsim(seed=seed, delay=round_trip // 2, parameters=parameters)
    netsim.lose_at_random(loss)

    async def main() -> None:
        receiving = netsim.engine.spawn(_receive(netsim, size))
        await netsim.engine.sleep(1)
        sending = netsim.engine.spawn(_send(netsim, size))
        await receiving
        sending.cancel()

    netsim.engine.run(main())
    return size * _SECOND / netsim.engine.now


@dataclass(frozen=True, kw_only=True)
class Bottleneck:
    """What flows share: ``rate`` in bit/s, ``queue`` in bytes; their own are the buffers, in bytes, and round trips, in
    ns, spread evenly between the two. As in smoltcp's netsim unless said otherwise."""

    rate: int = 200_000_000
    queue: int = 64 * 1024
    buffer: int = 256 * 1024
    round_trips: tuple[int, int] = (50 * _MS, 150 * _MS)
    pacing: bool = False


NETSIM = Bottleneck()
SHARED = Bottleneck(rate=40_000_000, queue=250_000, buffer=4 * _MEBIBYTE, round_trips=(50 * _MS, 50 * _MS))
"""Nothing but congestion control shares it: buffers do not limit, the queue holds what the path does."""


def fairness(
    flows: int,
    *,
    duration: int,
    settle: int = 0,
    control: str = "cubic",
    bottleneck: Bottleneck = NETSIM,
    seed: int = 1,
) -> tuple[float, float, float]:
    """(bytes/s of all flows, share of frames dropped at the queue, Jain's index), counted for ``duration`` from
    ``settle`` after the last flow is connected."""
    delays: dict[int, int] = {}
    shortest, longest = bottleneck.round_trips

    def delay(frame: bytes) -> int:
        ports = int.from_bytes(frame[34:36], "big"), int.from_bytes(frame[36:38], "big")
        return delays.get(ports[0] if ports[1] == _PORT else ports[1], shortest // 2)

    parameters = _fixed(bottleneck.buffer, congestion_control=control, pacing=bottleneck.pacing)
    netsim = Netsim(seed=seed, delay=delay, parameters=parameters, rate=bottleneck.rate, queue=bottleneck.queue)
    received = [0] * flows

    async def send(number: int) -> None:
        socket = netsim.near.socket(AF_INET, SOCK_STREAM)
        port = 40_000 + number
        delays[port] = (shortest + (longest - shortest) * number // max(flows - 1, 1)) // 2
        await socket.bind(("", port))
        await socket.connect((FAR, _PORT))
        while True:
            await socket.send(bytes(64 * 1024))

    async def receive(socket: StreamSocket, number: int) -> None:
        while data := await socket.recv(_MEBIBYTE):
            received[number] += len(data)

    async def main() -> None:
        listener = netsim.far.socket(AF_INET, SOCK_STREAM)
        await listener.bind((FAR, _PORT))
        await listener.listen(4096)
        tasks = [netsim.engine.spawn(send(number)) for number in range(flows)]
        for _ in range(flows):
            socket, (_, port, *_) = await listener.accept()
            tasks.append(netsim.engine.spawn(receive(socket, port - 40_000)))
        await netsim.engine.sleep(settle)
        begun = netsim.engine.now
        received[:] = [0] * flows
        await netsim.engine.sleep(duration)
        elapsed.append(netsim.engine.now - begun)
        for task in tasks:
            task.cancel()

    elapsed: list[int] = []
    netsim.engine.run(main())
    total = sum(received)
    jain = total**2 / (flows * sum(count**2 for count in received)) if total else 0.0
    return total * _SECOND / elapsed[0], netsim.forth.overflowed / max(netsim.forth.sent, 1), jain


class Uncontrolled(CongestionControl):
    """No congestion control: the buffers alone bound what is on its way. For comparison with stacks that have none."""

    name = "none"

    @property
    def cwnd(self) -> int:
        """Nothing changes it."""
        return INFINITE

    @cwnd.setter
    def cwnd(self, value: int) -> None:
        """See ``cwnd``."""

    def threshold(self, flight: int, now: int) -> int:
        return INFINITE

    def on_ack(self, sample: RateSample) -> None:
        """It does not grow."""


class Alone(Cubic):
    """As RFC 9438 section 4.7 wants it for a flow that never shares its path, and as section 5.1 reckons."""

    name = "cubic-alone"
    fast_convergence = False


for _control in (Uncontrolled, Alone):
    ALGORITHMS[_control.name] = _control


class AverageWindow(NamedTuple):
    """In segments."""

    always: float
    avoidance: float
    """Without fast recovery, in which PRR sets the window and not the algorithm."""


def average_window(
    *, packets_per_loss: int, round_trip: int, skipped: int, epochs: int, control: str = "cubic"
) -> AverageWindow:
    """Average congestion window if every so many data packets one is lost: over time, after ``skipped`` losses and over
    ``epochs`` of them; the round trip in ns."""
    parameters = TcpParameters(
        congestion_control=control,
        send_buffer=64 * _MEBIBYTE,
        send_buffer_maximum=64 * _MEBIBYTE,
        receive_buffer=64 * _MEBIBYTE,
        receive_buffer_maximum=64 * _MEBIBYTE,
    )
    netsim = Netsim(seed=1, delay=round_trip // 2, parameters=parameters)
    counted = 0

    def loses(frame: bytes) -> bool:
        nonlocal counted
        if len(frame) < _FRAME_HEADERS + 100:
            return False
        counted += 1
        return counted % packets_per_loss == 0

    netsim.forth.loses = loses
    avoidance: list[float] = []
    recovery: list[float] = []

    async def main() -> None:
        receiving = netsim.engine.spawn(_receive(netsim, 1 << 40))
        await netsim.engine.sleep(1)
        socket = netsim.near.socket(AF_INET, SOCK_STREAM)
        await socket.connect((FAR, _PORT))

        async def fill() -> None:
            while True:
                await socket.send(bytes(4 * _MEBIBYTE))

        sending = netsim.engine.spawn(fill())
        while counted < (epochs + skipped) * packets_per_loss:
            await netsim.engine.sleep(round_trip // 4)
            if counted >= skipped * packets_per_loss:
                info = socket.tcp_info()
                (recovery if info.in_recovery else avoidance).append(info.snd_cwnd / info.snd_mss)
        sending.cancel()
        receiving.cancel()

    netsim.engine.run(main())
    return AverageWindow(mean(avoidance + recovery), mean(avoidance))
