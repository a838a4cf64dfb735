"""Plays one script against a stack of its own, in virtual time."""

import errno
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from sim.engine import EventEngine, Task
from sim.errors import DeadlockError
from sim.host import IDEAL, HostCpu
from sim.packetdrill.calls import LOCAL_PORT, Calls, describe
from sim.packetdrill.comparison import compare
from sim.packetdrill.flow import Flow, NeverSentError
from sim.packetdrill.information import variables
from sim.packetdrill.parser import parse
from sim.packetdrill.script import (
    Call,
    Code,
    Command,
    Event,
    IcmpPacket,
    Script,
    ScriptError,
    TcpPacket,
    TimeKind,
    UdpPacket,
    UnsupportedError,
)
from sim.packetdrill.shell import run_command
from sim.packetdrill.wire import (
    GATEWAY_MAC,
    IPV4,
    IPV6,
    ScriptDevice,
    SentPacket,
    encode_icmp,
    encode_tcp,
    joined,
)
from stack.address import parse_address
from stack.environment import CancelledError
from stack.host import NetworkStack

__all__ = ["Outcome", "Profile", "Result", "run"]

_NS = 1_000_000_000
_US = 1000
_START = 10 * _NS
"""When scripts begin: some of the stack's clocks should have come off zero."""
_SETTLE_STEPS = 64
_MASK = 0xFFFFFFFF
_LONGEST_WAIT = 4000 * _NS
_CLIENT_PORT = 50000
"""The peer's first connection comes from the port after this one; a script that names it means that connection."""


class Outcome(Enum):
    PASS = "pass"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Result:
    """``detail`` is empty for a pass; else what was expected and came, or the statement that cannot be done."""

    path: Path
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Under what conditions a suite is run. Its scripts' own sysctls come on top.

    ``push``: whether PSH is compared. RFC 9293 section 3.9.1.2 leaves it to the sender where it stands, and Linux sets
    it by how its buffers were cut. ``defines``: names that scripts leave to who runs them.
    """

    push: bool = True
    defines: Mapping[str, str]


class _MismatchError(Exception):
    """The stack has not done what the script says."""


def run(path: Path, profile: Profile) -> Result:
    """Run a script file. Raises ``OSError`` if it cannot be read."""
    text = path.read_text(errors="replace")
    try:
        for name, value in _defines(text, profile.defines).items():
            text = re.sub(rf"\b{name}\b", value, text)
        script = parse(text)
        if path.stem.endswith("v6"):
            # As the suite's own runner has it.
            script.options.setdefault("ip_version", "ipv6")
        env = EventEngine(seed=1)
        env.run(_Player(env, script, path.parent, profile).play())
    except UnsupportedError as error:
        return Result(path, Outcome.UNSUPPORTED, str(error))
    except (ScriptError, _MismatchError) as error:
        return Result(path, Outcome.FAIL, str(error))
    except DeadlockError:
        return Result(path, Outcome.FAIL, "nothing is left to happen, and the script still waits")
    return Result(path, Outcome.PASS)


def _defines(text: str, given: Mapping[str, str]) -> dict[str, str]:
    own = dict(re.findall(r"--define=(\w+)=\"?([^\"\s]*)", text))
    return {name: value for name, value in given.items() if name not in own} | own


class _Player:
    def __init__(self, env: EventEngine, script: Script, folder: Path, profile: Profile) -> None:
        self._env = env
        self._script = script
        self._folder = folder
        self._profile = profile
        cpu = HostCpu(env, IDEAL)
        options = script.options
        if options.get("ip_version", "ipv4") not in ("ipv4", "ipv6"):
            raise UnsupportedError(f"--ip_version={options['ip_version']}")
        ipv6 = options.get("ip_version") == "ipv6"
        given = {name: options[f"{name}_ip"] for name in ("local", "remote", "gateway") if f"{name}_ip" in options}
        addresses = self._addresses = replace(IPV6 if ipv6 else IPV4, **given)
        self._device = ScriptDevice(env, cpu, addresses)
        self._stack = NetworkStack(env, cpu)
        interface = self._stack.add_interface(self._device, addresses.local, 48 if ipv6 else 16)
        if ipv6:
            neighbour = interface.ndisc.neighbour(parse_address(addresses.gateway))
            assert neighbour is not None
            neighbour.set_permanent(GATEWAY_MAC)
        self._stack.add_route("::" if ipv6 else "0.0.0.0", 0, addresses.gateway)
        self._flow: Flow | None = None
        self._flows = 0
        self._blocked: tuple[Event, Task[Any], int] | None = None
        """A call that waits, and when it is to return."""
        self._tolerance = int(options.get("tolerance_usecs", "4000")) * _US
        self._calls = Calls(env, self._stack, addresses, started=_START, tolerance=self._tolerance)
        self._variables: dict[str, object] = {"print": lambda *words: None}
        """What the script's code has set itself."""
        self._tick = int(options.get("tcp_ts_tick_usecs", "0")) * _US
        self._now = _START
        """Time of the event at hand, as the script has it."""

    async def play(self) -> None:
        await self._device.open()
        await self._env.sleep(_START)
        for event in self._script.events:
            try:
                await self._play(event)
            except (UnsupportedError, _MismatchError) as error:
                raise type(error)(f"line {event.line}: {event.text}\n{error}") from None
        await self._return(None)

    async def _play(self, event: Event) -> None:
        before = self._now
        if event.kind is TimeKind.ABSOLUTE:
            self._now = _START + round(event.time * _NS)
        elif event.kind is TimeKind.RELATIVE:
            self._now += round(event.time * _NS)
        action = event.action
        if event.outbound:
            await self._expect(event, before)
            return
        if self._now > self._env.now:
            await self._env.sleep(self._now - self._env.now)
        self._now = max(self._now, self._env.now) if event.kind is TimeKind.RELATIVE else self._now
        if isinstance(action, Call):
            await self._call(event, action)
        elif isinstance(action, Command):
            run_command(self._stack, self._device, action.text, self._folder)
        elif isinstance(action, Code):
            self._code(action)
        else:
            self._inject(action)
            await self._settle()

    async def _settle(self) -> None:
        """Let all happen that happens at this moment."""
        for _ in range(_SETTLE_STEPS):
            await self._env.sleep(0)

    # Calls

    async def _call(self, event: Event, call: Call) -> None:
        await self._return(event)
        task = self._env.spawn(self._outcome(call))
        for _ in range(_SETTLE_STEPS):
            await self._env.sleep(0)
            if task.done():
                break
        if call.blocks_until is not None:
            end = self._now + round((call.blocks_until - event.time) * _NS)
            if event.kind is TimeKind.RELATIVE:
                end = self._now + round(call.blocks_until * _NS) - round(event.time * _NS)
            self._blocked = (event, task, end)
            return
        if not task.done():
            raise _MismatchError("the call does not return")
        self._check(call, task)

    async def _outcome(self, call: Call) -> Any:
        """What the call returns, or the exception that it raises: a task's failure would end the run."""
        try:
            return await self._calls.begin(call)
        except (AssertionError, OSError, UnsupportedError) as error:
            return error

    async def _return(self, event: Event | None) -> None:
        """The call that blocks has to return before the next."""
        if self._blocked is None:
            return
        blocked, task, end = self._blocked
        self._blocked = None
        assert isinstance(blocked.action, Call)
        deadline = self._env.call_at(end + self._tolerance + 1, task.cancel)
        try:
            await task
        except CancelledError:
            raise _MismatchError(f"line {blocked.line}: {blocked.text}\nthe call has not returned in time") from None
        deadline.cancel()
        self._check(blocked.action, task)

    def _check(self, call: Call, task: Task[Any]) -> None:
        found = task.result()
        if isinstance(found, UnsupportedError):
            raise found
        if isinstance(found, AssertionError):
            raise _MismatchError(str(found))
        if isinstance(found, OSError):
            # A script need not say which error.
            wrong = call.result != -1 or (call.errno is not None and getattr(errno, call.errno, None) != found.errno)
            text = describe(found)
        else:
            wrong = call.errno is not None or (call.result is not None and found != call.result)
            text = str(found)
        if wrong:
            expected = f"-1 {call.errno}" if call.errno else call.result
            raise _MismatchError(f"expected: = {expected}\nactual:   = {text}")

    def _code(self, code: Code) -> None:
        socket = self._calls.latest
        connection = socket.connection if socket is not None else None
        if connection is None:
            raise _MismatchError("there is no connection to ask")
        self._variables.update(variables(connection))
        try:
            exec(compile(textwrap.dedent(code.text).strip() + "\n\n", "code", "exec"), self._variables)
        except NameError as error:
            raise UnsupportedError(str(error)) from None
        except AssertionError as error:
            raise _MismatchError(f"actual:   {error}") from None
        except SyntaxError as error:
            raise ScriptError(f"code: {error.msg}") from None

    # Packets in

    def _inject(self, packet: "TcpPacket | UdpPacket | IcmpPacket") -> None:
        if isinstance(packet, UdpPacket):
            raise UnsupportedError("UDP")
        if isinstance(packet, IcmpPacket):
            flow = self._known_flow()
            sequence = packet.quoted[0] + flow.local_offset(syn=False)
            self._device.inject(encode_icmp(self._addresses, packet, sequence, flow.local_port, flow.remote_port))
            return
        same = self._flow is not None and packet.source_port == self._flow.remote_port
        if "S" in packet.flags and "." not in packet.flags and not same and not self._opening():
            self._flows += 1
            local = packet.destination_port or LOCAL_PORT
            self._flow = Flow(local, packet.source_port or _CLIENT_PORT + self._flows)
        flow = self._known_flow()
        try:
            live = flow.to_wire(packet, scaled="tcp_ts_ecr_scaled" in self._script.options)
        except NeverSentError as error:
            raise _MismatchError(str(error)) from None
        self._device.inject(encode_tcp(self._addresses, live, flow.remote_port, flow.local_port))

    def _opening(self) -> bool:
        """The connection at hand was opened by the stack and has no answer yet: a SYN from the peer crosses."""
        socket = self._calls.latest
        connection = socket.connection if socket is not None else None
        return self._flow is not None and connection is not None and connection.state.name == "SYN_SENT"

    def _known_flow(self) -> Flow:
        if self._flow is None:
            raise UnsupportedError("a packet before any connection")
        return self._flow

    # Packets out

    async def _expect(self, event: Event, before: int) -> None:
        if not isinstance(event.action, TcpPacket):
            raise UnsupportedError(str(event.action))
        expected = event.action
        if "S" in expected.flags and "." not in expected.flags:
            self._turn_to_new()
        sent = await self._sent(event, expected, before)
        flow = self._known_flow()
        packet = sent.packet
        if "S" in expected.flags and "S" in packet.flags:
            flow.sent_syn(packet.sequence, expected.sequence)
        actual = flow.to_script(packet, expected)
        self._check_time(event, sent.time, before, actual)
        if difference := compare(expected, actual, push=self._profile.push, slack=self._clock_slack()):
            raise _MismatchError(self._beside(event, sent.time, actual, difference))
        if event.kind is TimeKind.ANY or event.until is not None:
            self._now = sent.time

    def _turn_to_new(self) -> None:
        """A connection that the last call has opened is the script's from now on."""
        socket = self._calls.latest
        connection = socket.connection if socket is not None else None
        if connection is None or connection.opened_by_peer:
            return
        local_port, remote_port = connection.key.local_port, connection.key.remote_port
        if self._flow is None or self._flow.local_port != local_port:
            self._flow = Flow(local_port, remote_port)

    async def _sent(self, event: Event, expected: TcpPacket, before: int) -> SentPacket:
        """The next packet, put together from several up to the length expected."""
        strict = "strict_segments" in self._script.options
        whole = await self._next(event, before)
        while whole.packet.length < expected.length and not strict:
            following = await self._next(event, before, whole)
            both = joined(whole.packet, following.packet)
            if both is None:
                self._device.sent.appendleft(following)
                return whole
            whole = SentPacket(whole.time, both)
        return whole

    async def _next(self, event: Event, before: int, whole: SentPacket | None = None) -> SentPacket:
        device = self._device
        limit = _LONGEST_WAIT + self._env.now if event.kind is TimeKind.ANY else self._latest(event, before) + 1
        while True:
            # As packetdrill does, let go by what belongs to connections of before.
            while device.sent and self._foreign(device.sent[0].packet):
                device.sent.popleft()
            if device.sent:
                return device.sent.popleft()
            if self._env.now >= limit:
                so_far = f"\nactual:   {whole.packet}" if whole is not None else ""
                raise _MismatchError(
                    f"expected: {event.action}\nactual:   nothing up to {self._seconds(limit)}{so_far}"
                )
            device.arrived.clear()
            timer = self._env.call_at(limit, device.arrived.set)
            await device.arrived.wait()
            timer.cancel()

    def _foreign(self, packet: TcpPacket) -> bool:
        flow = self._flow
        return flow is not None and (packet.source_port, packet.destination_port) != (flow.local_port, flow.remote_port)

    def _seconds(self, time: int) -> str:
        return f"{(time - _START) / _NS:.6f} s"

    def _latest(self, event: Event, before: int) -> int:
        return self._range(event, before)[1] + self._slack(before)

    def _slack(self, before: int) -> int:
        """packetdrill allows four milliseconds, or an eighth of the time since the event before."""
        return max(self._tolerance, (self._now - before) // 8)

    def _range(self, event: Event, before: int) -> tuple[int, int]:
        if event.until is None:
            return self._now, self._now
        base = before if event.kind is TimeKind.RELATIVE else _START
        return self._now, base + round(event.until * _NS)

    def _check_time(self, event: Event, time: int, before: int, actual: TcpPacket) -> None:
        if event.kind is TimeKind.ANY:
            return
        first, last = self._range(event, before)
        slack = self._slack(before)
        if not first - slack <= time <= last + slack:
            wanted = self._seconds(first) + (f" to {self._seconds(last)}" if last != first else "")
            raise _MismatchError(self._beside(event, time, actual, f"its time, which should be {wanted}"))

    def _beside(self, event: Event, time: int, actual: TcpPacket, difference: str) -> str:
        return (
            f"expected: {self._seconds(self._now)} {event.action}\nactual:   {self._seconds(time)} {actual}\n"
            f"differs in {difference}"
        )

    def _clock_slack(self) -> int | None:
        """Ticks by which TS val may differ; None: as many as it likes, since the script does not say how fast the clock
        ticks."""
        return max(self._tolerance // self._tick, 1) if self._tick else None
