"""Whatever arrives is counted and dropped: nothing raises out of the stack, and it goes on working."""

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import checksum

from stack.socket import AF_INET, SOCK_DGRAM, SOCK_STREAM
from stack.tcp.parameters import TcpParameters
from tests.stack.invariants import check
from tests.stack.network import MS, A, B, Network
from tests.stack.scripted import Script

ETHER = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01")
VALID = [
    bytes(packet)
    for packet in (
        ETHER / ARP(op=1, psrc=B, pdst=A, hwsrc="02:00:00:00:00:02"),
        ETHER / ARP(op=2, psrc=B, pdst=A, hwsrc="02:00:00:00:00:02"),
        ETHER / IP(src=B, dst=A) / ICMP(type=8) / b"echo",
        ETHER / IP(src=B, dst=A) / ICMP(type=3, code=3) / IP(src=A, dst=B) / UDP(sport=9, dport=9),
        ETHER / IP(src=B, dst=A) / ICMP(type=3, code=3) / IP(src=A, dst=B) / TCP(sport=80, dport=4000),
        ETHER / IP(src=B, dst=A) / UDP(sport=9, dport=9) / b"datagram",
        ETHER / IP(src=B, dst=A, options=[b"\x07\x07\x04abcd\x00"]) / UDP(sport=9, dport=9) / b"options",
        ETHER / IP(src=B, dst=A) / TCP(sport=4001, dport=80, flags="S", options=[("MSS", 1460), ("WScale", 7)]),
        ETHER / IP(src=B, dst=A) / TCP(sport=4000, dport=80, flags="PA", seq=1001) / b"data",
        ETHER / IP(src=B, dst=A) / TCP(sport=4000, dport=80, flags="FA", seq=1001),
        ETHER / IP(src=B, dst=A) / TCP(sport=4000, dport=80, flags="R", seq=1001),
    )
]


def listening() -> Network:
    network = Network()

    async def main() -> None:
        datagrams = network.a.socket(AF_INET, SOCK_DGRAM)
        await datagrams.bind(("", 9))
        listener = network.a.socket(AF_INET, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()

    network.engine.run(main())
    return network


def with_good_checksums(frame: bytes) -> bytes:
    """The frame with the IPv4 header's and the transport's checksums made good, as far as they can be found."""
    made = bytearray(frame)
    if len(made) < 34 or made[12:14] != b"\x08\x00":
        return frame
    start = 14 + (made[14] & 0xF) * 4
    end = 14 + int.from_bytes(made[16:18], "big")
    if not 34 <= start <= end <= len(made):
        return frame
    made[24:26] = b"\0\0"
    made[24:26] = checksum(bytes(made[14:start])).to_bytes(2, "big")
    offset = {1: 2, 6: 16, 17: 6}.get(made[23])
    if offset is not None and start + offset + 2 <= end:
        field = slice(start + offset, start + offset + 2)
        pseudo = b"" if made[23] == 1 else bytes(made[26:34]) + bytes((0, made[23])) + (end - start).to_bytes(2, "big")
        made[field] = b"\0\0"
        made[field] = checksum(pseudo + bytes(made[start:end])).to_bytes(2, "big")
    return bytes(made)


def still_works(network: Network) -> None:
    network.engine.run_until(network.engine.now + 100 * MS)
    assert len(network.engine.run(network.b.ping(A, count=2))) >= 1


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=120), max_size=20))
def test_random_bytes(frames: list[bytes]) -> None:
    network = listening()
    for frame in frames:
        network.devices[0].arrive(frame)
        for prefix in (VALID[0][:14], VALID[2][:14], VALID[2][:34], VALID[5][:34], VALID[8][:34], VALID[8][:54]):
            network.devices[0].arrive(prefix + frame)
    still_works(network)


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(VALID),
            st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4),
            st.integers(-20, 20),
        ),
        max_size=12,
    )
)
def test_mutated_packets(steps: list[tuple[bytes, list[tuple[int, int]], int]]) -> None:
    network = listening()
    for packet, changes, cut in steps:
        frame = bytearray(packet)
        for position, value in changes:
            frame[position % len(frame)] = value
        mutated = bytes(frame[:cut]) if cut < 0 else bytes(frame) + bytes(cut)
        network.devices[0].arrive(mutated)
        # Again with checksums made good, so that the layers above see it too.
        network.devices[0].arrive(with_good_checksums(mutated))
    still_works(network)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 63),
            st.integers(-70_000, 70_000),
            st.integers(-70_000, 70_000),
            st.integers(0, 65535),
            st.binary(max_size=40),
            st.sampled_from([0, 0, 0, 1, 50 * MS, 2_000 * MS]),
        ),
        max_size=25,
    ),
    st.sampled_from([0, 0xFFFFFFF0]),
)
def test_any_segments_in_a_connection(steps: list[tuple[int, int, int, int, bytes, int]], initial: int) -> None:
    """Invariants of a connection hold after every segment."""
    script = Script()
    socket, iss = script.accepted(initial=initial)
    connection = socket._connected()
    script.call(socket.send(b"outgoing" * 500))
    sender, receiver = connection.sender, connection.receiver
    # Numbers near the window are the interesting ones: most offsets are made small.
    for flags, sequence, acknowledgment, window, data, pause in steps:
        edge = receiver.edge
        script.inject(
            "".join(name for bit, name in enumerate("FSRPAU") if flags >> bit & 1),
            receiver.nxt + (sequence if sequence % 3 == 0 else sequence % 7 - 3),
            sender.una + (acknowledgment if acknowledgment % 3 == 0 else acknowledgment % 4096),
            data=data,
            window=window,
        )
        script.run(pause)
        assert iss <= sender.una <= sender.nxt
        assert sender.nxt <= sender.end + sender.fin_queued or connection.closed()
        assert receiver.edge >= edge
        assert receiver.acknowledged <= receiver.nxt <= receiver.edge + 1
        assert len(receiver.buffer) <= receiver.limit
        assert sender.congestion.cwnd >= sender.mss
        if sender.una < sender.nxt and not connection.closed():
            assert sender.timer.deadline is not None, "something is on its way and nothing watches it"
        # What the stack answers must stay in proportion: no storm.
        assert len(script.sent) <= 40
        script.sent.clear()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", "A", "A", "EA", "FA", "CA"]),
            st.integers(-3, 12),
            st.lists(st.tuples(st.integers(-3, 14), st.integers(-3, 14)), max_size=4),
            st.integers(-5, 5),
            st.integers(-5, 5),
            st.sampled_from([0, 500, 65535]),
            st.sampled_from([0, 1 * MS, 50 * MS, 250 * MS, 2_000 * MS]),
        ),
        max_size=30,
    ),
    st.sampled_from([0, 0xFFFFFFF0]),
)
def test_any_acknowledgments(
    steps: list[tuple[str, int, list[tuple[int, int]], int, int, int, int]], initial: int
) -> None:
    """Selective and other ACKs, possible and impossible, in steps of half a segment, with any timestamps."""
    script = Script(tcp=TcpParameters(ecn=2))
    script.set_initial(initial)
    socket, iss = script.accepted(options=[("SAckOK", b""), ("Timestamp", (1000, 0))], round_trip=10 * MS)
    connection = socket._connected()
    script.start(socket.send(bytes(20_000)))
    tick = 1000
    for flags, ack, blocks, later, echo, window, pause in steps:
        tick += later
        edges = tuple(iss + 1 + edge * 724 & 0xFFFFFFFF for block in blocks for edge in block)
        stamp = ("Timestamp", (tick, connection.timestamps.value(script.engine.now) + echo & 0xFFFFFFFF))
        options: list[object] = [("NOP", None), ("NOP", None), stamp]
        if edges:
            options += [("NOP", None), ("NOP", None), ("SAck", edges[:6])]
        script.inject(flags, 1001, iss + 1 + ack * 724, window=window, options=options)
        check(connection)
        script.run(pause)
        check(connection)
        assert len(script.sent) <= 60
        script.sent.clear()
