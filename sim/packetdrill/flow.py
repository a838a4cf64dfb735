"""The numbers of one connection: a script's on one side, the wire's on the other."""

from dataclasses import replace

from sim.packetdrill.script import TcpOption, TcpPacket

__all__ = ["Flow", "NeverSentError"]

_MASK = 0xFFFFFFFF


class NeverSentError(Exception):
    """The script echoes a timestamp that the stack has not sent."""


class Flow:
    """A script gives sequence numbers of SYN as they are, all others relative to its side's SYN."""

    def __init__(self, local_port: int, remote_port: int) -> None:
        self.local_port = local_port
        self.remote_port = remote_port
        self._local: tuple[int, int] | None = None
        """The initial number of the stack: (on the wire, in the script)."""
        self._remote: int | None = None
        """The peer's, which is the same in both."""
        self._timestamps: dict[int, int] = {}
        """TSval of the stack: the script's to the wire's."""
        self._first: tuple[int, int] | None = None

    def sent_syn(self, sequence: int, expected: int) -> None:
        """The stack has sent a SYN with this number, where the script has ``expected``."""
        if self._local is None or self._local[0] != sequence:
            self._local = sequence, expected

    def local_offset(self, *, syn: bool) -> int:
        """From the script's numbers of the stack's side to the wire's."""
        return 0 if self._local is None else self._local[0] - self._local[1] * syn & _MASK

    def _remote_offset(self, *, syn: bool) -> int:
        return 0 if syn else self._remote or 0

    def to_wire(self, packet: TcpPacket, *, scaled: bool) -> TcpPacket:
        """A packet of the peer as it is injected. ``scaled``: echoes of timestamps that were not sent are reckoned from
        the first that was; else ``NeverSentError``."""
        syn = "S" in packet.flags
        if syn and self._remote is None:
            self._remote = packet.sequence
        acknowledgment = packet.acknowledgment
        if acknowledgment is None and "." in packet.flags:
            acknowledgment = 0
        return replace(
            packet,
            sequence=packet.sequence + self._remote_offset(syn=syn) & _MASK,
            acknowledgment=None if acknowledgment is None else acknowledgment + self.local_offset(syn=syn) & _MASK,
            options=tuple(self._live(option, packet, scaled=scaled) for option in packet.options or ()),
        )

    def _live(self, option: TcpOption, packet: TcpPacket, *, scaled: bool) -> TcpOption:
        if option.name == "sack":
            offset = self.local_offset(syn=False)
            return TcpOption("sack", tuple(edge + offset & _MASK for edge in option.values))
        if option.name == "TS" and "." in packet.flags:
            value, echo = option.values
            if echo in self._timestamps:
                echo = self._timestamps[echo]
            elif self._first is not None and scaled:
                echo = echo - self._first[0] + self._first[1] & _MASK
            elif self._first is not None or echo:
                raise NeverSentError(f"no packet with TS val {echo} has been sent")
            return TcpOption("TS", (value, echo))
        return option

    def to_script(self, packet: TcpPacket, expected: TcpPacket) -> TcpPacket:
        """A packet of the stack as the script counts, which has ``expected`` here."""
        options = []
        wanted = next((option for option in expected.options or () if option.name == "TS"), None)
        for option in packet.options or ():
            if option.name == "TS":
                value, echo = option.values
                if wanted is not None:
                    self._timestamps[wanted.values[0]] = value
                    self._first = self._first or (wanted.values[0], value)
                if self._first is not None:
                    value = value - self._first[1] + self._first[0] & _MASK
                option = TcpOption("TS", (value, echo))
            elif option.name == "sack":
                offset = self._remote_offset(syn=False)
                option = TcpOption("sack", tuple(edge - offset & _MASK for edge in option.values))
            options.append(option)
        syn = "S" in packet.flags
        acknowledgment = packet.acknowledgment
        if acknowledgment is not None:
            acknowledgment = acknowledgment - self._remote_offset(syn=syn) & _MASK
        sequence = packet.sequence - self.local_offset(syn=syn) & _MASK
        return replace(packet, sequence=sequence, acknowledgment=acknowledgment, options=tuple(options))
