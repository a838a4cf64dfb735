"""Address resolution: who is asked when, what waits, and what happens when nobody answers."""

import errno

import pytest
from scapy.layers.l2 import ARP, Ether

from stack.counters import DropReason
from stack.ethernet import ETH_P_ARP
from stack.host import NetworkStack
from stack.ip.arp import Arp
from stack.ip.neighbour import NudState
from stack.ip.parameters import NeighbourParameters
from stack.socket import AF_INET, SOCK_DGRAM, SOCK_STREAM
from tests.stack.network import MS, SECOND, A, B, Network, WireEnd


def arp(stack: NetworkStack) -> Arp:
    """The neighbours on the wire; the loopback interface has index 1."""
    return stack.ip.interfaces[2].arp


def requests(network: Network, sender: str = "a") -> list[tuple[int, ARP]]:
    return [
        (time, Ether(frame)[ARP])
        for time, name, frame in network.wire.frames
        if name == sender and int.from_bytes(frame[12:14], "big") == ETH_P_ARP
    ]


def test_request_and_reply_as_scapy_reads_them() -> None:
    network = Network()
    assert network.engine.run(network.a.ping(B, count=3))
    (_, request), (_, reply) = requests(network, "a") + requests(network, "b")
    assert (request.op, request.hwsrc, request.psrc, request.hwdst, request.pdst) == (
        1,
        "02:00:00:00:00:01",
        A,
        "00:00:00:00:00:00",
        B,
    )
    assert (reply.op, reply.hwsrc, reply.psrc, reply.hwdst, reply.pdst) == (
        2,
        "02:00:00:00:00:02",
        B,
        "02:00:00:00:00:01",
        A,
    )
    frames = [Ether(frame) for _, _, frame in network.wire.frames[:2]]
    assert frames[0].dst == "ff:ff:ff:ff:ff:ff"
    assert frames[1].dst == "02:00:00:00:00:01"
    # The request told B where A is, but that was no answer: B answers while it doubts.
    assert arp(network.b).entries() == {A: ("02:00:00:00:00:01", NudState.DELAY)}
    assert arp(network.a).entries() == {B: ("02:00:00:00:00:02", NudState.REACHABLE)}


def test_three_requests_a_second_apart_then_unreachable() -> None:
    network = Network()
    network.wire.drop = lambda sender, frame: True

    async def main() -> None:
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        with pytest.raises(OSError, match=f"Errno {errno.EHOSTUNREACH}"):
            await socket.connect((B, 80))

    network.engine.run(main())
    assert [time for time, _ in requests(network)] == [0, SECOND, 2 * SECOND]
    assert network.engine.now == 3 * SECOND
    # The SYN and its repetitions at 1 and 3 s.
    assert network.a.counters.drops[DropReason.NEIGH_FAILED] == 3
    network.settle()
    assert network.engine.now < 4 * SECOND + 1


def test_a_failed_neighbour_is_asked_for_again() -> None:
    network = Network()
    network.wire.drop = lambda sender, frame: True
    assert network.engine.run(network.a.ping(B, timeout=5 * SECOND)) == []
    network.wire.drop = lambda sender, frame: False
    assert len(network.engine.run(network.a.ping(B))) == 1


def test_queue_is_bounded_and_the_oldest_gives_way() -> None:
    network = Network(neighbours=NeighbourParameters(queue_length=3))
    got: list[bytes] = []

    async def main() -> None:
        receiver = network.b.socket(AF_INET, SOCK_DGRAM)
        await receiver.bind(("", 9))
        sender = network.a.socket(AF_INET, SOCK_DGRAM)
        for number in range(5):
            await sender.sendto(bytes((number,)), (B, 9))
        for _ in range(3):
            got.append(await receiver.recv(10))

    network.engine.run(main())
    assert got == [b"\x02", b"\x03", b"\x04"]
    assert network.a.counters.drops[DropReason.NEIGH_QUEUEFULL] == 2


def test_old_address_is_confirmed_while_in_use() -> None:
    network = Network(neighbours=NeighbourParameters(reachable_time=10 * SECOND))
    network.engine.run(network.a.ping(B))
    table = arp(network.a)
    assert 5 * SECOND <= table.reachable_time < 15 * SECOND

    async def later() -> list[int]:
        await network.engine.sleep(16 * SECOND)
        return await network.a.ping(B, count=2)

    first = len(requests(network))
    times = network.engine.run(later())
    # No waiting for the answer: the old address serves, and traffic has five seconds to confirm it.
    assert times == [2 * MS, 2 * MS]
    assert len(requests(network)) == first
    assert table.entries()[B][1] is NudState.DELAY
    asked_at = network.engine.now - 4 * MS + 5 * SECOND
    network.engine.run_until(network.engine.now + 6 * SECOND)
    # Echo replies are no news to IP: the neighbour itself is asked, alone.
    assert requests(network)[first][0] == asked_at
    asked = [Ether(frame) for _, name, frame in network.wire.frames if name == "a" and frame[12:14] == b"\x08\x06"][-1]
    assert asked.dst == "02:00:00:00:00:02"
    assert table.entries()[B][1] is NudState.REACHABLE


def test_acknowledgments_confirm_the_neighbour() -> None:
    network = Network(neighbours=NeighbourParameters(reachable_time=10 * SECOND))
    network.engine.run(network.a.ping(B))
    first = len(requests(network))

    async def main() -> None:
        listener = network.b.socket(AF_INET, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        await network.engine.sleep(16 * SECOND)
        socket = network.a.socket(AF_INET, SOCK_STREAM)
        await socket.connect((B, 80))
        await socket.send(b"x")
        await network.engine.sleep(10 * SECOND)

    network.engine.run(main())
    assert arp(network.a).entries()[B][1] is NudState.REACHABLE
    assert len(requests(network)) == first


def test_a_silent_neighbour_fails_after_three_probes() -> None:
    network = Network(neighbours=NeighbourParameters(reachable_time=SECOND))
    network.engine.run(network.a.ping(B))
    network.engine.run_until(2 * SECOND)
    network.wire.drop = lambda sender, frame: sender == "b"
    first = len(requests(network))
    begun = network.engine.now
    network.engine.run(network.a.ping(B, timeout=10 * SECOND))
    times = [time - begun for time, _ in requests(network)[first:]]
    assert times == [5 * SECOND, 6 * SECOND, 7 * SECOND]
    assert arp(network.a).entries()[B][1] is NudState.FAILED


def test_table_is_bounded() -> None:
    network = Network(neighbours=NeighbourParameters(table_size=2))
    socket = network.a.socket(AF_INET, SOCK_DGRAM)

    async def main() -> None:
        for host in (50, 51, 52):
            await socket.sendto(b"x", (f"10.0.0.{host}", 9))

    network.engine.run(main())
    # Both entries are being asked for: there is no room, neither when the way is sought nor when the packet goes.
    assert network.a.counters.drops[DropReason.NEIGH_CREATEFAIL] == 2
    assert network.a.counters.drops[DropReason.IP_OUTNOROUTES] == 1
    network.engine.run_until(4 * SECOND)
    network.engine.run(network.a.ping(B))
    assert len(arp(network.a).entries()) == 2
    assert arp(network.a).entries()[B][1] is NudState.REACHABLE


@pytest.mark.parametrize(
    "packet",
    [
        ARP(op=1, hwtype=6, hwsrc="02:00:00:00:00:02", psrc=B, pdst=A),
        ARP(op=1, ptype=0x86DD, hwsrc="02:00:00:00:00:02", psrc=B, pdst=A),
        ARP(op=1, hwsrc="03:00:00:00:00:02", psrc=B, pdst=A),
        ARP(op=1, hwsrc="02:00:00:00:00:02", psrc=A, pdst=A),
    ],
)
def test_bad_packets_teach_nothing(packet: ARP) -> None:
    network = Network()
    device: WireEnd = network.devices[0]
    device.arrive(bytes(Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / packet))
    assert arp(network.a).entries() == {}
    assert network.wire.frames == []
    assert sum(network.a.counters.drops.values()) == 1


def test_requests_for_others_are_not_answered_and_make_no_entry() -> None:
    network = Network()
    packet = ARP(op=1, hwsrc="02:00:00:00:00:02", psrc=B, pdst="10.0.0.77")
    network.devices[0].arrive(bytes(Ether(src="02:00:00:00:00:02", dst="ff:ff:ff:ff:ff:ff") / packet))
    assert arp(network.a).entries() == {}
    assert network.wire.frames == []


def test_a_moved_neighbour_is_believed() -> None:
    network = Network()
    network.engine.run(network.a.ping(B))
    packet = ARP(op=2, hwsrc="02:00:00:00:00:99", psrc=B, pdst=A)
    network.devices[0].arrive(bytes(Ether(src="02:00:00:00:00:99", dst="02:00:00:00:00:01") / packet))
    assert arp(network.a).entries()[B][0] == "02:00:00:00:00:99"
