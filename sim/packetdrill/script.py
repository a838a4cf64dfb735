"""What a packetdrill script says, as data (the language of github.com/google/packetdrill)."""

from dataclasses import dataclass, field
from enum import Enum

__all__ = [
    "Call",
    "Code",
    "Command",
    "Event",
    "IcmpPacket",
    "Packet",
    "Script",
    "ScriptError",
    "Structure",
    "TcpOption",
    "TcpPacket",
    "TimeKind",
    "UdpPacket",
    "UnsupportedError",
]


class ScriptError(Exception):
    """The text is no packetdrill script. Says where and what."""


class UnsupportedError(Exception):
    """The script asks for what cannot be done here. Names the statement."""


class TimeKind(Enum):
    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    """To the event before."""
    ANY = "any"


@dataclass(frozen=True)
class TcpOption:
    """``name`` as in scripts (``mss``, ``sack``, ...), ``values`` its numbers; ``data`` of an option that is bytes."""

    name: str
    values: tuple[int, ...] = ()
    data: bytes = b""

    def __str__(self) -> str:
        if self.name == "TS":
            return f"TS val {self.values[0]} ecr {self.values[1]}"
        if self.name == "sack":
            pairs = zip(self.values[::2], self.values[1::2], strict=True)
            return "sack " + " ".join(f"{left}:{right}" for left, right in pairs)
        return " ".join([self.name, *map(str, self.values), *([self.data.hex()] if self.data else [])])


@dataclass(frozen=True)
class Packet:
    """What all packets may say of IP."""

    ecn: str | None = None
    """``noecn``, ``ect0``, ``ect1``, ``ect01``, ``ce``; None: not looked at."""
    tos: int | None = None
    ttl: int | None = None
    source_port: int | None = None
    destination_port: int | None = None


@dataclass(frozen=True)
class TcpPacket(Packet):
    """Numbers as the script counts: relative to each side's first."""

    flags: frozenset[str] = frozenset()
    """Of F, S, R, P, ``.`` (ACK), U, E, W."""
    sequence: int = 0
    length: int = 0
    acknowledgment: int | None = None
    window: int | None = None
    urgent: int | None = None
    options: tuple[TcpOption, ...] | None = ()
    """None: not looked at."""

    def __str__(self) -> str:
        flags = "".join(flag for flag in "FSRPEWU." if flag in self.flags) or "-"
        text = f"{flags} {self.sequence}:{self.sequence + self.length}({self.length})"
        if self.ecn is not None:
            text = f"[{self.ecn}] {text}"
        if self.acknowledgment is not None:
            text += f" ack {self.acknowledgment}"
        if self.window is not None:
            text += f" win {self.window}"
        if self.urgent is not None:
            text += f" urg {self.urgent}"
        if self.options is None:
            return text + " <...>"
        return text + (f" <{','.join(map(str, self.options))}>" if self.options else "")


@dataclass(frozen=True)
class UdpPacket(Packet):
    length: int = 0

    def __str__(self) -> str:
        return f"udp ({self.length})"


@dataclass(frozen=True)
class IcmpPacket(Packet):
    """``kind`` and ``code`` by name; ``quoted`` the TCP bytes that it speaks of: (sequence, length)."""

    kind: str = ""
    code: str = ""
    mtu: int = 0
    quoted: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return f"icmp {self.kind} {self.code}"


@dataclass(frozen=True)
class Structure:
    """``{name=value, ...}``, a ``name(value)`` written as ``name``."""

    fields: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A system call. ``errno`` is its name if the call is to fail."""

    name: str
    arguments: list[object]
    result: object
    errno: str | None
    blocks_until: float | None
    """Seconds (relative to its time if that is): the call is to block until then."""


@dataclass(frozen=True)
class Command:
    text: str


@dataclass(frozen=True)
class Code:
    text: str


@dataclass(frozen=True)
class Event:
    line: int
    text: str
    kind: TimeKind
    time: float
    """Seconds."""
    until: float | None
    """End of the range in which an expected packet may come."""
    outbound: bool | None
    """Of a packet: whether it is expected rather than injected."""
    action: TcpPacket | UdpPacket | IcmpPacket | Call | Command | Code


@dataclass(frozen=True)
class Script:
    options: dict[str, str]
    events: list[Event]
