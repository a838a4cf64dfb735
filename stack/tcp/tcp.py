"""TCP of one host: who gets a segment (RFC 9293 section 3.10.7), ports, and answers to what nobody wants."""

import errno

from stack.checksum import checksum, fold, is_valid, pseudo_header, store
from stack.counters import Counters, DropReason
from stack.environment import Cause, Cpu, Environment
from stack.icmp import FRAGMENTATION_NEEDED, PORT_UNREACHABLE, PROTOCOL_UNREACHABLE, Icmp
from stack.ipv4 import Ipv4, Path
from stack.ports import ephemeral_ports
from stack.skbuff import IpSummed, SkBuff
from stack.tcp.connection import Connection
from stack.tcp.input import segment_arrives
from stack.tcp.listener import Listener
from stack.tcp.parameters import FourTuple, SocketOptions, TcpParameters
from stack.tcp.segment import ACK, CHECKSUM_OFFSET, FIN, HEADER, HEADER_BYTES, RST, SYN, Segment, parse, parse_options
from stack.tcp.sequence import MASK, unwrap
from stack.tcp.state import State

__all__ = ["IPPROTO_TCP", "Tcp"]

IPPROTO_TCP = 6


class Tcp:
    """Connections by their four-tuple, listeners by (local address or 0, port)."""

    def __init__(
        self, env: Environment, cpu: Cpu, ipv4: Ipv4, icmp: Icmp, counters: Counters, parameters: TcpParameters
    ) -> None:
        self.env = env
        self.cpu = cpu
        self.ipv4 = ipv4
        self.counters = counters
        self.parameters = parameters
        self.connections: dict[tuple[int, int, int, int], Connection] = {}
        self.listeners: dict[tuple[int, int], Listener] = {}
        self._bound: dict[tuple[int, int], list[bool]] = {}
        """Ports taken by ``bind``: SO_REUSEADDR of each who took it."""
        ipv4.handlers[IPPROTO_TCP] = self.input
        icmp.unreachable[IPPROTO_TCP] = self._unreachable

    # Ports

    def bind(self, address: int, port: int, *, reuse: bool) -> int:
        """Take a port (0: any). Returns the port, or a negative errno."""
        if address and address not in self.ipv4.addresses:
            return -errno.EADDRNOTAVAIL
        for candidate in (port,) if port else ephemeral_ports(self.env.random):
            if not self._conflict(address, candidate, reuse=reuse and bool(port)):
                self._bound.setdefault((address, candidate), []).append(reuse)
                return candidate
        return -errno.EADDRINUSE

    def unbind(self, address: int, port: int, *, reuse: bool) -> None:
        """Give back what ``bind`` took."""
        holders = self._bound[address, port]
        holders.remove(reuse)
        if not holders:
            del self._bound[address, port]

    def _conflict(self, address: int, port: int, *, reuse: bool) -> bool:
        """SO_REUSEADDR as in Linux: all who share a port must have set it, and none may listen. Connections left from
        an earlier socket (TIME-WAIT) count only without it."""
        for (other, used), holders in self._bound.items():
            overlaps = used == port and (not address or not other or address == other)
            if overlaps and not (reuse and all(holders)):
                return True
        if any(used == port and (not address or not other or address == other) for other, used in self.listeners):
            return True
        return not reuse and any(key[1] == port and (not address or key[0] == address) for key in self.connections)

    def listen(self, address: int, port: int, backlog: int, options: SocketOptions) -> Listener | int:
        """Passive open on a bound port, or an errno."""
        if any(used == port and (not address or not other or address == other) for other, used in self.listeners):
            return errno.EADDRINUSE
        listener = self.listeners[address, port] = Listener(self, address, port, backlog, options)
        return listener

    def unlisten(self, listener: Listener) -> None:
        """The port is closed to new connections."""
        self.listeners.pop((listener.address, listener.port), None)

    def connect(
        self, address: int, port: int, remote: int, remote_port: int, options: SocketOptions
    ) -> Connection | int:
        """Active open from a bound port, or any if ``port`` is 0. Returns an errno if that is impossible."""
        path = None if self.ipv4.is_broadcast(remote) else self.ipv4.path(remote, IPPROTO_TCP, address)
        if path is None or not remote:
            return errno.ENETUNREACH
        for candidate in (port,) if port else ephemeral_ports(self.env.random):
            key = FourTuple(path.source, candidate, remote, remote_port)
            if key in self.connections or (not port and self._conflict(path.source, candidate, reuse=False)):
                continue
            connection = self.connections[key] = Connection(self, key, path, options)
            connection.connect()
            return connection
        return errno.EADDRNOTAVAIL

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        if self.connections.get(connection.key) is connection:
            del self.connections[connection.key]

    # Input

    def input(self, skb: SkBuff, source: int, destination: int) -> None:
        """One segment."""
        counters = self.counters
        mib = counters.mib
        mib["Tcp.InSegs"] += 1
        data = skb.data
        length = len(data)
        if skb.ip_summed is not IpSummed.UNNECESSARY:
            self.cpu.charge(Cause.CHECKSUM, size=length)
            if not is_valid(data, pseudo_header(source, destination, IPPROTO_TCP, length)):
                mib["Tcp.InErrs"] += 1
                mib["Tcp.InCsumErrors"] += 1
                counters.drop(DropReason.TCP_CSUM)
                return
        segment = parse(data)
        if segment is None:
            mib["Tcp.InErrs"] += 1
            counters.drop(DropReason.PKT_TOO_SMALL)
            return
        key = (destination, segment.destination_port, source, segment.source_port)
        connection = self.connections.get(key)
        if connection is not None and not self._reopens(connection, segment):
            reason = segment_arrives(connection, segment, self.cpu.now)
        elif self.ipv4.is_broadcast(destination) or skb.mac_header[0] & 1:
            # RFC 9293 MUST-57: TCP is between two.
            reason = DropReason.OTHERHOST
        else:
            reason = self._no_connection(FourTuple(*key), segment)
        if reason is not None:
            counters.drop(reason)

    def _reopens(self, connection: Connection, segment: Segment) -> bool:
        """A SYN beyond the old connection's numbers may replace it in TIME-WAIT (RFC 9293 section 3.10.7.4, and RFC
        6191)."""
        if connection.state is not State.TIME_WAIT or segment.flags & (SYN | ACK | RST) != SYN:
            return False
        if unwrap(segment.sequence, connection.receiver.nxt) <= connection.receiver.nxt:
            return False
        connection.finish(0)
        return True

    def _no_connection(self, key: FourTuple, segment: Segment) -> DropReason | None:
        """States LISTEN and CLOSED (sections 3.10.7.1 and 3.10.7.2)."""
        listener = self.listeners.get((key.local, key.local_port)) or self.listeners.get((0, key.local_port))
        flags = segment.flags
        if flags & RST:
            return DropReason.NO_SOCKET
        path = self.ipv4.path(key.remote, IPPROTO_TCP, key.local)
        if path is None:
            return DropReason.IP_OUTNOROUTES
        if listener is None or flags & ACK:
            self.reset(path, key, segment)
            return DropReason.NO_SOCKET
        if not flags & SYN or flags & FIN:
            return DropReason.TCP_FLAGS
        if listener.full():
            self.counters.mib["TcpExt.ListenOverflows"] += 1
            self.counters.mib["TcpExt.ListenDrops"] += 1
            return DropReason.SOCKET_BACKLOG
        self.counters.mib["Tcp.PassiveOpens"] += 1
        connection = self.connections[key] = Connection(self, key, path, listener.options)
        connection.listener = listener
        connection.opened_by_peer = True
        listener.opening.add(connection)
        connection.receiver.open(segment.sequence)
        connection.negotiate(parse_options(segment.options))
        connection.sender.window = connection.sender.maximum_window = segment.window
        connection.set_state(State.SYN_RECEIVED)
        connection.send_syn()
        return None

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
        self.counters.mib["Tcp.OutSegs"] += 1
        self.counters.mib["Tcp.OutRsts"] += 1
        header = HEADER.pack(
            key.local_port, key.remote_port, sequence, acknowledgment, HEADER_BYTES << 10 | answer, 0, 0, 0
        )
        self.cpu.charge(Cause.CHECKSUM, size=HEADER_BYTES)
        pseudo = pseudo_header(key.local, key.remote, IPPROTO_TCP, HEADER_BYTES)
        skb = SkBuff(b"", head=store(header, CHECKSUM_OFFSET, checksum(header, fold(pseudo))))
        path.send(skb, self.ipv4.next_identification())

    def _unreachable(self, code: int, local: int, remote: int, header: memoryview) -> None:
        """ICMP says that a segment did not arrive. RFC 5927: only a connection that opens gives up, and only if the
        quoted number is one that is on its way."""
        local_port = header[0] << 8 | header[1]
        remote_port = header[2] << 8 | header[3]
        connection = self.connections.get((local, local_port, remote, remote_port))
        if connection is None or code == FRAGMENTATION_NEEDED:
            return
        sender = connection.sender
        sequence = unwrap(int.from_bytes(header[4:8], "big"), sender.una)
        if not sender.una <= sequence < sender.maximum:
            return
        if connection.state in (State.SYN_SENT, State.SYN_RECEIVED):
            refused = code in (PORT_UNREACHABLE, PROTOCOL_UNREACHABLE)
            connection.finish(errno.ECONNREFUSED if refused else errno.EHOSTUNREACH)
