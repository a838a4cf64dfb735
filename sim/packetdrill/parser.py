"""Reads packetdrill scripts: a recursive descent over the text."""

import re

from sim.packetdrill.script import (
    Call,
    Code,
    Command,
    Event,
    IcmpPacket,
    Script,
    ScriptError,
    Structure,
    TcpOption,
    TcpPacket,
    TimeKind,
    UdpPacket,
    UnsupportedError,
)

__all__ = ["parse"]

_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/|\#[^\n]*)*", re.DOTALL)
_OPTION = re.compile(r"--([a-z0-9_]+)(?:=(\"[^\"]*\"|\S+))?")
_BACKQUOTED = re.compile(r"`([^`]*)`")
_CODE = re.compile(r"%\{(.*?)\}%", re.DOTALL)
_SECONDS = re.compile(r"\d+\.\d+|\.\d+|\d+(?:\.(?!\.))?")
_ECN = re.compile(r"\[(noecn|ect0|ect1|ect01|ce)\]|\((ce|ect0|ect1|noecn)\)")
_FLAGS = re.compile(r"[FSRPUEWA.0-9]+(?=\s)|-(?=\s)")
_SEQUENCE = re.compile(r"(\d+):(\d+)\((\d+)\)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"-?(?:0x[0-9a-fA-F]+|\d+)")
_STRING = re.compile(r"\"((?:[^\"\\]|\\.)*)\"")
_HEX = re.compile(r"[0-9a-fA-F]+")
_TUNNEL = re.compile(r"(?:ipv4|ipv6|gre|mpls|spi)\b")
_ONE_NUMBER_OPTIONS = ("mss", "wscale")
_EMPTY_OPTIONS = ("nop", "eol", "sackOK")
_BYTES_OPTIONS = ("FO", "FOEXP", "md5", "exp-md5")


def parse(text: str) -> Script:
    """The script in ``text``. Raises ``ScriptError`` for what it is not, ``UnsupportedError`` for tunnels."""
    return _Parser(text).script()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    # Tools

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _match(self, pattern: "re.Pattern[str]") -> "re.Match[str] | None":
        """Take what matches here, if anything, with space before it."""
        self._skip()
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _take(self, literal: str) -> bool:
        self._skip()
        if not self._text.startswith(literal, self._at):
            return False
        end = self._at + len(literal)
        if literal[-1].isalnum() and end < len(self._text) and (self._text[end].isalnum() or self._text[end] == "_"):
            return False
        self._at = end
        return True

    def _expect(self, literal: str) -> None:
        if not self._take(literal):
            raise self._error(f"expected {literal!r}")

    def _line(self, position: int) -> int:
        return self._text.count("\n", 0, position) + 1

    def _error(self, message: str) -> ScriptError:
        rest = self._text[self._at :].split("\n", 1)[0][:40]
        return ScriptError(f"line {self._line(self._at)}: {message}, found {rest!r}")

    def _integer(self) -> int:
        match = self._match(_NUMBER)
        if match is None:
            raise self._error("expected a number")
        return int(match[0], 0) if "x" in match[0] else int(match[0])

    # Script

    def script(self) -> Script:
        options: dict[str, str] = {}
        while match := self._match(_OPTION):
            options[match[1]] = (match[2] or "").strip('"')
        events = []
        start = self._start()
        if match := self._match(_BACKQUOTED):
            events.append(self._event(start, TimeKind.RELATIVE, 0.0, None, None, Command(match[1])))
        self._skip()
        while self._at < len(self._text):
            start = self._start()
            if match := self._match(_BACKQUOTED):
                # Cleaning up after the test, which has no clock any more.
                events.append(self._event(start, TimeKind.RELATIVE, 0.0, None, None, Command(match[1])))
            else:
                events.append(self._timed())
            self._skip()
        return Script(options, events)

    def _start(self) -> int:
        self._skip()
        return self._at

    def _event(
        self,
        start: int,
        kind: TimeKind,
        time: float,
        until: float | None,
        outbound: bool | None,
        action: TcpPacket | UdpPacket | IcmpPacket | Call | Command | Code,
    ) -> Event:
        text = " ".join(self._text[start : self._at].split())
        return Event(self._line(start), text, kind, time, until, outbound, action)

    def _seconds(self) -> float:
        match = self._match(_SECONDS)
        if match is None:
            raise self._error("expected a time")
        return float(match[0])

    def _timed(self) -> Event:
        start = self._start()
        kind, time, until = TimeKind.ABSOLUTE, 0.0, None
        if self._take("*"):
            kind = TimeKind.ANY
        else:
            if self._take("+"):
                kind = TimeKind.RELATIVE
            time = self._seconds()
            if self._take("~"):
                self._take("+")
                until = self._seconds()
        blocks = self._seconds() if self._take("...") else None
        if self._take("<"):
            outbound, action = False, self._packet()
        elif self._take(">"):
            outbound, action = True, self._packet()
        elif match := self._match(_BACKQUOTED):
            return self._event(start, kind, time, until, None, Command(match[1]))
        elif match := self._match(_CODE):
            return self._event(start, kind, time, until, None, Code(match[1]))
        else:
            return self._event(start, kind, time, until, None, self._call(blocks))
        return self._event(start, kind, time, until, outbound, action)

    # Packets

    def _packet(self) -> TcpPacket | UdpPacket | IcmpPacket:
        ecn: str | None = None
        tos = ttl = source = destination = None
        while True:
            if match := self._match(_ECN):
                ecn = match[1] or match[2]
            elif self._take("tos"):
                tos = self._integer()
            elif self._take("ttl"):
                ttl = self._integer()
            else:
                break
            self._take(",")
        if match := self._match(_TUNNEL):
            raise UnsupportedError(f"line {self._line(self._at)}: encapsulation {match[0]}")
        if self._take("icmp"):
            return self._icmp()
        if self._take("udp"):
            self._expect("(")
            length = self._integer()
            self._expect(")")
            return UdpPacket(ecn, tos, ttl, None, None, length)
        if match := self._match(re.compile(r"(\d+)\s*>\s*(\d+)\b")):
            source, destination = int(match[1]), int(match[2])
        return self._tcp(ecn, tos, ttl, source, destination)

    def _tcp(
        self, ecn: str | None, tos: int | None, ttl: int | None, source: int | None, destination: int | None
    ) -> TcpPacket:
        match = self._match(_FLAGS)
        if match is None:
            raise self._error("expected TCP flags")
        if set(match[0]) & set("A0123456789"):
            raise UnsupportedError(f"line {self._line(self._at)}: AccECN's field in the flags {match[0]!r}")
        flags = frozenset(match[0]) - {"-"}
        match = self._match(_SEQUENCE)
        if match is None:
            raise self._error("expected numbers as 1:1001(1000)")
        sequence, _, length = map(int, match.groups())
        acknowledgment = self._integer() if self._take("ack") else None
        window = self._integer() if self._take("win") else None
        urgent = self._integer() if self._take("urg") else None
        options: tuple[TcpOption, ...] | None = ()
        if self._take("<"):
            options = None if self._take("...") else self._options()
            self._expect(">")
        return TcpPacket(
            ecn, tos, ttl, source, destination, flags, sequence, length, acknowledgment, window, urgent, options
        )

    def _options(self) -> tuple[TcpOption, ...]:
        options = []
        while not self._text.startswith(">", self._start()):
            options.append(self._option())
            if not self._take(","):
                break
        return tuple(options)

    def _option(self) -> TcpOption:
        for name in _EMPTY_OPTIONS:
            if self._take(name):
                return TcpOption(name)
        for name in _ONE_NUMBER_OPTIONS:
            if self._take(name):
                return TcpOption(name, (self._integer(),))
        if self._take("TS"):
            self._expect("val")
            value = self._integer()
            self._expect("ecr")
            return TcpOption("TS", (value, self._integer()))
        if self._take("sack"):
            edges: list[int] = []
            while match := self._match(re.compile(r"(\d+):(\d+)")):
                edges += map(int, match.groups())
            return TcpOption("sack", tuple(edges))
        for name in _BYTES_OPTIONS:
            if self._take(name):
                match = self._match(_HEX)
                digits = match[0] if match else ""
                return TcpOption(name, (), bytes.fromhex(digits + "0" * (len(digits) & 1)))
        match = self._match(_NAME)
        if match is not None and match[0].startswith(("ACCECN", "ECN", "e0b", "ceb", "e1b")):
            raise UnsupportedError(f"line {self._line(self._at)}: TCP option {match[0]}")
        raise self._error("unknown TCP option")

    def _icmp(self) -> IcmpPacket:
        names = []
        mtu = 0
        quoted = (0, 0)
        while match := self._match(_NAME):
            if match[0] == "mtu":
                mtu = self._integer()
                continue
            names.append(match[0])
        if self._take("["):
            match = self._match(_SEQUENCE)
            if match is None:
                raise self._error("expected numbers as 1:1001(1000)")
            quoted = (int(match[1]), int(match[3]))
            self._expect("]")
        return IcmpPacket(kind=names[0], code=names[1] if len(names) > 1 else "", mtu=mtu, quoted=quoted)

    # Calls

    def _call(self, blocks: float | None) -> Call:
        match = self._match(_NAME)
        if match is None:
            raise self._error("expected a packet, a call, a command or code")
        name = match[0]
        self._expect("(")
        arguments = self._list(")")
        self._expect("=")
        result = self._expression()
        errno: str | None = None
        if match := self._match(re.compile(r"E[A-Z0-9]+\b")):
            errno = match[0]
        self._match(re.compile(r"\((?:[^()\n]|\([^()\n]*\))*\)"))
        return Call(name, arguments, result, errno, blocks)

    def _list(self, end: str) -> list[object]:
        """Expressions with commas up to ``end``, which is taken."""
        values: list[object] = []
        while not self._take(end):
            if values:
                self._expect(",")
            values.append(self._expression())
        return values

    def _expression(self) -> object:
        value = self._term()
        while self._take("|"):
            value = f"{value}|{self._term()}"
        return value

    def _term(self) -> object:
        if self._take("..."):
            return None
        if self._take("["):
            return self._list("]")
        if self._take("{"):
            return self._structure()
        if match := self._match(_STRING):
            parts = [match[1]]
            while match := self._match(_STRING):
                parts.append(match[1])
            try:
                return "".join(parts).encode("latin-1").decode("unicode_escape").encode("latin-1")
            except UnicodeError:
                raise self._error("bad escape in a string") from None
        if match := self._match(_NUMBER):
            return int(match[0], 0) if "x" in match[0] else int(match[0])
        match = self._match(_NAME)
        if match is None:
            raise self._error("expected a value")
        if self._take("("):
            return self._function(match[0])
        return match[0]

    def _function(self, name: str) -> object:
        arguments = self._list(")")
        if name == "htons" or name == "inet_addr":
            return arguments[0]
        raise self._error(f"unknown function {name}")

    def _structure(self) -> Structure:
        fields: dict[str, object] = {}
        while not self._take("}"):
            if fields:
                self._expect(",")
            match = self._match(_NAME)
            if match is None:
                # {onoff, linger} and other positional forms.
                fields[str(len(fields))] = self._expression()
                continue
            name = match[0]
            if self._take("("):
                self._list(")")
            if self._take("="):
                fields[name] = self._expression()
            else:
                fields[name] = name
        return Structure(fields)
