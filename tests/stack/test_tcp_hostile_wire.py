"""Two stacks over a hostile wire, driven by Hypothesis: whatever is lost, doubled, reordered or damaged, all data
arrives exactly once and in order, or both ends learn of an error; and every invariant holds after every step."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stack.net_device import Features
from stack.socket import (
    AF_INET,
    SHUT_WR,
    SO_RCVBUF,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT,
)
from stack.socket.stream import StreamSocket
from stack.tcp.fast_open import FastOpenMode
from stack.tcp.parameters import TcpParameters
from stack.tcp.tcp import IPPROTO_TCP
from tests.stack.invariants import check
from tests.stack.network import MS, OFFLOADS, SECOND, B, Faults, Network

WITHOUT_COOKIES = FastOpenMode.CLIENT_ENABLE | FastOpenMode.CLIENT_NO_COOKIE
WITHOUT_COOKIES |= FastOpenMode.SERVER_ENABLE | FastOpenMode.SERVER_COOKIE_NOT_REQD
PROBABILITIES = st.sampled_from([0.0, 0.02, 0.1, 0.3])


class End:
    """One program: writes what it is given, reads whenever it is allowed to."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.socket: StreamSocket | None = None
        self.to_send: deque[bytes] = deque()
        self.wake = network.engine.event()
        self.may_read = network.engine.event()
        self.may_read.set()
        self.written = bytearray()
        self.received = bytearray()
        self.shut = False
        self.ended = False
        self.errors: list[OSError] = []

    def run(self, socket: StreamSocket) -> None:
        self.socket = socket
        self.network.engine.spawn(self._write(socket))
        self.network.engine.spawn(self._read(socket))

    async def _write(self, socket: StreamSocket) -> None:
        try:
            while True:
                await self.wake.wait()
                self.wake.clear()
                while self.to_send:
                    data = self.to_send.popleft()
                    self.written += data
                    await socket.sendall(data)
                if self.shut:
                    await socket.shutdown(SHUT_WR)
                    return
        except OSError as error:
            self.errors.append(error)

    async def _read(self, socket: StreamSocket) -> None:
        try:
            while True:
                await self.may_read.wait()
                data = await socket.recv(50_000)
                if not data:
                    self.ended = True
                    return
                self.received += data
        except OSError as error:
            self.errors.append(error)


class HostileWire(RuleBasedStateMachine):
    """The last step heals the wire and lets both ends finish."""

    @initialize(
        seed=st.integers(0, 1 << 16),
        initial=st.sampled_from([0, 0xFFFFFFFF, 0xFFFFF000, 0x7FFFFF00]),
        sack=st.booleans(),
        timestamps=st.booleans(),
        ecn=st.booleans(),
        control=st.sampled_from(["reno", "cubic"]),
        offloads=st.booleans(),
        buffer=st.sampled_from([None, 4096, 40_000]),
        pacing=st.booleans(),
        fast=st.booleans(),
        faults=st.tuples(PROBABILITIES, PROBABILITIES, PROBABILITIES, PROBABILITIES),
    )
    def connect(
        self,
        seed: int,
        initial: int,
        sack: bool,
        timestamps: bool,
        ecn: bool,
        control: str,
        offloads: bool,
        buffer: int | None,
        pacing: bool,
        fast: bool,
        faults: tuple[float, float, float, float],
    ) -> None:
        parameters = TcpParameters(
            sack=sack,
            timestamps=timestamps,
            ecn=int(ecn),
            congestion_control=control,
            pacing=pacing,
            retries=8,
            fast_open=WITHOUT_COOKIES if fast else 0,
        )
        self.network = Network(seed=seed, tcp=parameters, features=OFFLOADS if offloads else Features.NONE)
        random = self.network.engine.random
        original = random.getrandbits
        random.getrandbits = lambda bits: initial if bits == 32 else original(bits)  # type: ignore[method-assign]
        self.a, self.b = End(self.network), End(self.network)
        if fast:
            # The handshake too is at the mercy of the wire.
            self.weather(*faults)
        self.network.engine.run(self._connect(buffer, fast=fast))
        self.weather(*faults)

    async def _connect(self, buffer: int | None, *, fast: bool) -> None:
        listener = self.network.b.socket(AF_INET, SOCK_STREAM)
        socket = self.network.a.socket(AF_INET, SOCK_STREAM)
        if buffer is not None:
            listener.setsockopt(SOL_SOCKET, SO_RCVBUF, buffer)
            socket.setsockopt(SOL_SOCKET, SO_RCVBUF, buffer)
        await listener.bind(("", 80))
        if fast:
            listener.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, 8)
            socket.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        await listener.listen()
        await socket.connect((B, 80))
        if fast:
            self.a.run(socket)
            self.a.to_send.append(b"with the SYN")
            self.a.wake.set()
            self.network.engine.spawn(self._accept(listener))
        else:
            self.a.run(socket)
            await self._accept(listener)

    async def _accept(self, listener: StreamSocket) -> None:
        accepted, _ = await listener.accept()
        self.b.run(accepted)

    def _run(self, duration: int) -> None:
        self.network.engine.run_until(self.network.engine.now + duration)

    def _end(self, at_a: bool) -> End:
        return self.a if at_a else self.b

    @rule(at_a=st.booleans(), size=st.sampled_from([1, 500, 5000, 60_000, 200_000]))
    def write(self, at_a: bool, size: int) -> None:
        end = self._end(at_a)
        if not end.shut:
            end.to_send.append(self.network.engine.random.randbytes(size))
            end.wake.set()
            self._run(0)

    @rule(at_a=st.booleans())
    def shut(self, at_a: bool) -> None:
        end = self._end(at_a)
        end.shut = True
        end.wake.set()
        self._run(0)

    @rule(at_a=st.booleans(), reads=st.booleans())
    def read(self, at_a: bool, reads: bool) -> None:
        end = self._end(at_a)
        (end.may_read.set if reads else end.may_read.clear)()
        self._run(0)

    @rule(duration=st.sampled_from([1, MS // 2, MS, 3 * MS, 50 * MS, 300 * MS, 2 * SECOND]))
    def wait(self, duration: int) -> None:
        self._run(duration)

    @rule(loss=PROBABILITIES, duplication=PROBABILITIES, reordering=PROBABILITIES, corruption=PROBABILITIES)
    def weather(self, loss: float, duplication: float, reordering: float, corruption: float) -> None:
        self.network.wire.faults = Faults(loss, duplication, reordering, corruption)

    @rule(at_a=st.booleans())
    def one_way_only(self, at_a: bool) -> None:
        silent = "a" if at_a else "b"
        self.network.wire.drop = lambda sender, frame: sender == silent

    @rule()
    def both_ways(self) -> None:
        self.network.wire.drop = lambda sender, frame: False

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "network"):
            return
        for end, other in ((self.a, self.b), (self.b, self.a)):
            assert end.received == other.written[: len(end.received)], "a byte is wrong, twice, or out of order"
            if end.socket is not None:
                connection = end.socket.connection
                if connection is not None and not connection.deferred():
                    check(connection)

    def teardown(self) -> None:
        if not hasattr(self, "network"):
            return
        self.both_ways()
        self.weather(0.0, 0.0, 0.0, 0.0)
        for end in (self.a, self.b):
            end.may_read.set()
            end.shut = True
            end.wake.set()
        for _ in range(400):
            self._run(SECOND)
            self.holds()
        for end, other in ((self.a, self.b), (self.b, self.a)):
            if not end.errors and not other.errors:
                assert end.ended
                assert end.received == other.written
        if self.a.errors or self.b.errors:
            # Whoever was given up on has waited longer than the retries take; the other learns it from a RST.
            assert self._failed(self.a)
            assert self._failed(self.b)

    def _failed(self, end: End) -> bool:
        connection = end.socket.connection if end.socket is not None else None
        return bool(end.errors) or connection is None or connection.closed()


TestHostileWire = HostileWire.TestCase
TestHostileWire.settings = settings(max_examples=25, stateful_step_count=25)
