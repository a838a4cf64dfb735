"""TCP of one host: who gets a segment (RFC 9293 section 3.10.7), ports, and answers to what nobody wants."""

import errno
from typing import Final

from stack.address import any_of
from stack.checksum import checksum, fold, is_valid, store
from stack.counters import Counters, DropReason
from stack.environment import Cause, Cpu, Environment
from stack.ip.errors import ERRNO, IcmpError
from stack.ip.interface import Interface
from stack.ports import Binding, FourTuple, PortTable, ephemeral_ports
from stack.skbuff import IpSummed, SkBuff
from stack.tcp import passive_open
from stack.tcp.active_open import ActiveFastOpen
from stack.tcp.algorithms import ALGORITHMS
from stack.tcp.connection import Connection
from stack.tcp.fast_open import FastOpen
from stack.tcp.input import segment_arrives
from stack.tcp.listener import Listener
from stack.tcp.memory import TcpMemory
from stack.tcp.network import Network, Path
from stack.tcp.parameters import SocketOptions, TcpParameters
from stack.tcp.segment import ACK, CHECKSUM_OFFSET, FIN, HEADER, HEADER_BYTES, RST, SYN, Segment, parse
from stack.tcp.sequence import MASK, unwrap
from stack.tcp.state import State
from stack.tcp.syn_cookies import SynCookies

__all__ = ["IPPROTO_TCP", "Tcp"]

IPPROTO_TCP: Final = 6


class Tcp:
    """``ports`` knows the connections and the listeners."""

    def __init__(
        self, env: Environment, cpu: Cpu, network: Network, counters: Counters, parameters: TcpParameters
    ) -> None:
        if parameters.congestion_control not in ALGORITHMS:
            known = ", ".join(sorted(ALGORITHMS))
            raise ValueError(f"congestion_control {parameters.congestion_control!r} is not one of {known}")
        self.env = env
        self.cpu = cpu
        self.network = network
        self.counters = counters
        self.parameters = parameters
        self.memory = TcpMemory(counters)
        self.cookies = SynCookies(env.random)
        self.fast_open = FastOpen(env.random)
        self.ports: PortTable[Connection, Listener] = PortTable(env.random)
        self.connections = self.ports.exact
        network.handlers[IPPROTO_TCP] = self.input
        network.error_handlers[IPPROTO_TCP] = self._unreachable

    # Ports

    def bind(self, wanted: Binding) -> Binding | int:
        """Take a port (0: any). Returns what was taken, or an errno."""
        if wanted.address != any_of(wanted.address) and not self.network.is_local(wanted.address):
            return errno.EADDRNOTAVAIL
        return self.ports.bind(wanted)

    def listen(self, binding: Binding, backlog: int, options: SocketOptions) -> Listener | int:
        """Passive open on a bound port, or an errno."""
        if self.ports.listened(binding):
            return errno.EADDRINUSE
        listener = Listener(self, binding, backlog, options)
        self.ports.listen(binding, listener)
        return listener

    def connect(
        self, address: int, port: int, remote: int, remote_port: int, options: SocketOptions, *, fast: bool = False
    ) -> Connection | int:
        """Active open from a bound port, or any if ``port`` is 0. Returns an errno if that is impossible. ``fast``: the
        SYN waits for data, see ``ActiveFastOpen``."""
        path = None
        if not self.network.is_group(remote):
            path = self.network.path(
                remote, IPPROTO_TCP, address, interface=options.interface, hop_limit=options.hop_limit
            )
        if path is None:
            return errno.ENETUNREACH
        for candidate in (port,) if port else ephemeral_ports(self.env.random):
            key = FourTuple(path.source, candidate, path.destination, remote_port)
            if key in self.connections or (not port and self.ports.conflict(Binding(path.source, candidate))):
                continue
            connection = Connection(self, key, path, options)
            connection.fast_open = ActiveFastOpen(connection) if fast else None
            self.ports.connect(key, connection)
            connection.connect()
            return connection
        return errno.EADDRNOTAVAIL

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        self.ports.disconnect(connection.key, connection)

    # Input

    def input(self, skb: SkBuff, source: int, destination: int) -> None:
        """One segment."""
        counters = self.counters
        mib = counters.mib
        mib["Tcp.InSegs"] += 1
        data = skb.data
        length = len(data)
        segment = parse(data)
        if segment is None:
            mib["Tcp.InErrs"] += 1
            counters.drop(DropReason.PKT_TOO_SMALL)
            return
        key = (destination, segment.destination_port, source, segment.source_port)
        connection = self.connections.get(key)
        if skb.ip_summed is not IpSummed.UNNECESSARY:
            self.cpu.charge(Cause.CHECKSUM, size=length)
            # The pseudo-header's sum is the same both ways.
            pseudo = (
                connection.pseudo_sum
                if connection is not None
                else self.network.pseudo_sum(source, destination, IPPROTO_TCP)
            )
            if not is_valid(data, pseudo + length):
                mib["Tcp.InErrs"] += 1
                mib["Tcp.InCsumErrors"] += 1
                counters.drop(DropReason.TCP_CSUM)
                return
        if connection is not None and (
            connection.state is not State.TIME_WAIT or not self._reopens(connection, segment)
        ):
            reason = segment_arrives(connection, segment, self.cpu.now, skb.dsfield)
            connection.account()
        elif self.network.is_group(destination) or (len(skb.mac_header) and skb.mac_header[0] & 1):
            # RFC 9293 MUST-57: TCP is between two.
            reason = DropReason.OTHERHOST
        else:
            reason = self._no_connection(FourTuple(*key), segment, skb.interface)
        if reason is not None:
            counters.drop(reason)

    def _reopens(self, connection: Connection, segment: Segment) -> bool:
        """A SYN beyond the old connection's numbers or timestamps may replace it in TIME-WAIT (RFC 9293 section
        3.10.7.4, RFC 6191 section 2)."""
        if segment.flags & (SYN | ACK | RST | FIN) != SYN or self.ports.listening(connection.key) is None:
            return False
        timestamps = connection.timestamps
        newer = timestamps.enabled and 0 < (segment.tsval - timestamps.recent & MASK) < 1 << 31
        if unwrap(segment.sequence, connection.receiver.nxt) <= connection.receiver.nxt and not (
            newer and segment.tsval >= 0
        ):
            return False
        connection.finish(0)
        return True

    def _no_connection(self, key: FourTuple, segment: Segment, arrived: Interface | None) -> DropReason | None:
        """States LISTEN and CLOSED (sections 3.10.7.1 and 3.10.7.2)."""
        listener = self.ports.listening(key)
        flags = segment.flags
        if flags & RST:
            return DropReason.NO_SOCKET
        interface = hop_limit = None
        if listener is not None:
            interface, hop_limit = listener.options.interface, listener.options.hop_limit
            if interface is not None and interface is not arrived:
                listener = interface = None
        path = self.network.path(key.remote, IPPROTO_TCP, key.local, interface=interface, hop_limit=hop_limit)
        if path is None:
            return DropReason.IP_OUTNOROUTES
        if listener is None:
            self.reset(path, key, segment)
            return DropReason.NO_SOCKET
        if flags & ACK:
            return passive_open.cookie_arrives(listener, path, key, segment, self.cpu.now)
        if not flags & SYN or flags & FIN:
            return DropReason.TCP_FLAGS
        return passive_open.syn_arrives(listener, path, key, segment, self.cpu.now)

    def reset(self, path: Path, key: FourTuple, segment: Segment) -> None:
        """Answer a segment that belongs to no connection with a RST that its sender will accept (section 3.5.2)."""
        flags = segment.flags
        if flags & RST:
            return
        if flags & ACK:
            sequence, acknowledgment, answer = segment.acknowledgment, 0, RST
        else:
            length = len(segment.payload) + (flags & SYN != 0) + (flags & FIN)
            sequence, acknowledgment, answer = 0, segment.sequence + length & MASK, RST | ACK
        self.counters.mib["Tcp.OutRsts"] += 1
        header = HEADER.pack(
            key.local_port, key.remote_port, sequence, acknowledgment, HEADER_BYTES << 10 | answer, 0, 0, 0
        )
        self.send_bare(path, header)

    def send_bare(self, path: Path, header: bytes) -> None:
        """Send a segment of no connection: a header with its options, checksum still zero."""
        self.counters.mib["Tcp.OutSegs"] += 1
        self.cpu.charge(Cause.CHECKSUM, size=len(header))
        pseudo = fold(path.pseudo_sum + len(header))
        skb = SkBuff(b"", head=store(header, CHECKSUM_OFFSET, checksum(header, pseudo)))
        path.send(skb, self.network.next_identification())

    def _unreachable(
        self, error: IcmpError, local: int, remote: int, header: memoryview, mtu: int, offender: int
    ) -> None:
        """ICMP says that a segment did not arrive. RFC 5927: only a connection that opens gives up, and only if the
        quoted number is one that is on its way."""
        local_port = header[0] << 8 | header[1]
        remote_port = header[2] << 8 | header[3]
        connection = self.connections.get((local, local_port, remote, remote_port))
        if connection is None:
            return
        sender = connection.sender
        sequence = unwrap(int.from_bytes(header[4:8], "big"), sender.una)
        oldest = sender.una if connection.handshake is None else sender.initial
        if not oldest <= sequence < sender.nxt:
            self.counters.mib["TcpExt.OutOfWindowIcmps"] += 1
            return
        if error is IcmpError.PACKET_TOO_BIG:
            connection.mtu_reduced()
        elif connection.state in (State.SYN_SENT, State.SYN_RECEIVED):
            refused = error in (IcmpError.PORT_UNREACHABLE, IcmpError.PROTOCOL_UNREACHABLE)
            connection.finish(errno.ECONNREFUSED if refused else ERRNO[error])
