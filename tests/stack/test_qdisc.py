"""Queueing disciplines: who may send next, and when."""

import pytest

from stack.qdisc import Fq, Pfifo, Qdisc
from stack.skbuff import SkBuff
from stack.socket import AF_INET, SO_MAX_PACING_RATE, SOCK_DGRAM, SOL_SOCKET
from stack.tcp.parameters import TcpParameters
from stack.vlan import VlanDevice
from tests.stack.network import MS, B, Faults, Network
from tests.stack.scripted import Script
from tests.stack.test_tcp_network import exchange, nothing_left

MSS = 1460
LINK = bytes.fromhex("020000000002 020000000001")


def packet(port: int, size: int = 1000, *, tstamp: int = 0, tag: bytes = b"", protocol: int = 6) -> SkBuff:
    """An IPv4 packet of one flow."""
    ip = bytes((0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2))
    head = LINK + tag + b"\x08\x00" + ip + port.to_bytes(2, "big") + b"\x00\x50"
    return SkBuff(bytes(size - len(head)), head=head, tstamp=tstamp, cb=port)


def arp() -> SkBuff:
    return SkBuff(bytes(28), head=LINK + b"\x08\x06", cb=-1)


def served(qdisc: Qdisc, now: int = 0) -> list[int]:
    """Who leaves, in order, until nobody may."""
    order = []
    while (skb := qdisc.peek(now)) is not None:
        assert qdisc.dequeue() is skb
        order.append(skb.cb)
    return order


def fill(qdisc: Qdisc, *skbs: SkBuff, now: int = 0) -> None:
    for skb in skbs:
        assert qdisc.enqueue(skb, now)


def test_pfifo_keeps_the_order_and_its_limit() -> None:
    qdisc = Pfifo(3)
    fill(qdisc, packet(1), packet(2), packet(1))
    assert not qdisc.enqueue(packet(3), 0)
    assert served(qdisc) == [1, 2, 1]
    fill(qdisc, packet(1), packet(2))
    assert [skb.cb for skb in qdisc.reset()] == [1, 2]
    assert not qdisc


def test_fq_shares_bytes_and_not_packets() -> None:
    qdisc = Fq(quantum=1000, initial_quantum=1000)
    fill(qdisc, *(packet(1, 1000) for _ in range(10)), *(packet(2, 250) for _ in range(40)))
    order = served(qdisc)
    # At any time both have sent as much, to a quantum and a packet.
    sent = {1: 0, 2: 0}
    for port in order[:-1]:
        sent[port] += 1000 if port == 1 else 250
        assert abs(sent[1] - sent[2]) <= 2000
    assert sorted(order) == [1] * 10 + [2] * 40


def test_fq_serves_control_first_and_new_flows_before_old() -> None:
    qdisc = Fq(quantum=1000, initial_quantum=2000)
    fill(qdisc, *(packet(1) for _ in range(5)))
    assert [qdisc.peek(0) is not None and qdisc.dequeue().cb for _ in range(3)] == [1, 1, 1]
    fill(qdisc, *(packet(2) for _ in range(3)), arp())
    # The new one has its first quantum, then they take turns.
    assert served(qdisc) == [-1, 2, 2, 2, 1, 1]
    assert not qdisc


def test_fq_knows_a_flow_by_addresses_ports_and_protocol() -> None:
    qdisc = Fq(flow_limit=1)
    tag = b"\x81\x00\x00\x05"
    fill(qdisc, packet(1), packet(2), packet(1, protocol=17))
    for again in (packet(1), packet(2, tag=tag), packet(1, protocol=17)):
        assert not qdisc.enqueue(again, 0)
    fragment = packet(3)
    fragment.head = fragment.head[:20] + b"\x00\x10" + fragment.head[22:]
    other = packet(4)
    other.head = other.head[:20] + b"\x00\x20" + other.head[22:]
    fill(qdisc, fragment)
    assert not qdisc.enqueue(other, 0), "fragments have no ports"
    ipv6 = LINK + b"\x86\xdd\x60" + bytes(5) + b"\x06\x40" + bytes(31) + b"\x01" + b"\x00\x01\x00\x50"
    fill(qdisc, SkBuff(bytes(100), head=ipv6))
    assert not qdisc.enqueue(SkBuff(bytes(100), head=ipv6), 0)
    assert len(qdisc) == 5


def test_fq_has_limits() -> None:
    qdisc = Fq(limit=2, horizon=100)
    assert not qdisc.enqueue(packet(1, tstamp=151), 50)
    fill(qdisc, packet(1, tstamp=150), packet(2), now=50)
    assert not qdisc.enqueue(packet(3), 50)
    assert len(qdisc.reset()) == 2
    assert qdisc.peek(1000) is None
    with pytest.raises(ValueError, match="quantum"):
        Fq(quantum=0)


def test_fq_holds_a_flow_until_its_time() -> None:
    qdisc = Fq()
    fill(qdisc, packet(1, tstamp=20), packet(1, tstamp=10), packet(2, tstamp=15), packet(3))
    assert served(qdisc, 9) == [3]
    assert qdisc.next_at() == 15
    assert served(qdisc, 15) == [2]
    assert qdisc.next_at() == 20
    assert served(qdisc, 20) == [1, 1], "a flow keeps its order"
    assert qdisc.next_at() is None


def test_the_device_wakes_when_a_packet_may_leave() -> None:
    network = Network()
    device = network.devices[0]
    device.set_qdisc(Fq())
    assert device.queue_xmit(packet(1, tstamp=5 * MS))
    assert device.queue_xmit(packet(2))
    network.settle()
    assert [(time, frame[34:36]) for time, _, frame in network.wire.frames] == [(0, b"\0\2"), (5 * MS, b"\0\1")]
    device.queue_xmit(packet(1, tstamp=100 * MS))
    network.engine.run(device.stop())
    assert device.stats.tx_dropped == 1
    assert network.engine.next_call() is None


def test_a_full_device_shares_between_sockets() -> None:
    """One that has sent a lot does not hold up another."""
    network = Network()
    device = network.devices[0]
    device.set_qdisc(Fq(initial_quantum=1514))

    async def main() -> None:
        await network.a.ping(B)
        greedy, modest = (network.a.socket(AF_INET, SOCK_DGRAM) for _ in range(2))
        await greedy.bind(("", 1000))
        await modest.bind(("", 2000))
        device.stop_queue()
        for _ in range(50):
            await greedy.sendto(bytes(1400), (B, 9))
        await modest.sendto(b"x", (B, 9))
        network.wire.frames.clear()
        device.wake_queue()
        await greedy.close()
        await modest.close()

    network.engine.run(main())
    ports = [int.from_bytes(frame[34:36], "big") for _, name, frame in network.wire.frames if name == "a"]
    assert ports.index(2000) <= 2
    assert len(ports) == 51


def test_tcp_leaves_pacing_to_fq() -> None:
    """The same moments on the wire as when TCP keeps them itself."""
    script = Script(tcp=TcpParameters(initial_window_segments=18))
    fq = Fq()
    script.device.set_qdisc(fq)
    socket, _ = script.accepted()
    socket.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 292_000)
    script.call(socket.send(bytes(18 * MSS)))
    assert len(fq) > 0
    assert socket._connected().sender.pacing.timer.deadline is None
    script.run(60 * MS)
    moments = [time for time, _ in script.sent]
    assert moments == [0] * 12 + [10 * MS, 10 * MS, 20 * MS, 20 * MS, 30 * MS, 30 * MS]


def test_time_in_fq_is_no_part_of_the_round_trip() -> None:
    script = Script(tcp=TcpParameters(initial_window_segments=18))
    script.device.set_qdisc(Fq())
    socket, iss = script.accepted()
    socket.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 292_000)
    script.call(socket.send(bytes(18 * MSS)))
    script.run(25 * MS)
    script.inject("A", 1001, iss + 1 + 16 * MSS)
    script.run(15 * MS)
    script.inject("A", 1001, iss + 1 + 18 * MSS)
    assert socket._connected().sender.rtt.latest == 10 * MS, "the last two have left after 30 ms"


def test_every_byte_arrives_paced_by_fq() -> None:
    network = Network(delay=10 * MS, tcp=TcpParameters(pacing=True), faults=Faults(loss=0.02))
    queues = [Fq(), Fq()]
    for device, qdisc in zip(network.devices, queues, strict=True):
        device.set_qdisc(qdisc)
    data = network.engine.random.randbytes(300_000)
    at_b, _, _ = exchange(network, data)
    assert at_b == data
    assert queues[0].throttled > 10
    nothing_left(network)


def test_a_vlan_leaves_the_order_to_its_lower_device() -> None:
    network = Network()
    network.devices[0].set_qdisc(Fq())
    vlan = VlanDevice(network.devices[0], 5)
    network.engine.run(vlan.open())
    network.devices[0].stop_queue()
    for port in (1, 1, 1, 2):
        assert vlan.queue_xmit(packet(port, 1500))
    network.devices[0].set_qdisc(Pfifo(1))
    assert network.devices[0].stats.tx_dropped == 4
