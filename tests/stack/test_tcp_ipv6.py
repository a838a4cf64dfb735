"""TCP over IPv6: every byte through a wire with faults, offloads without a trace, connections across families."""

import pytest
from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from stack.net_device import Features
from stack.skbuff import GsoType, IpSummed, SkBuff
from stack.socket import AF_INET6
from stack.vlan import VlanDevice
from tests.stack.network import B6, OFFLOADS, Faults, Network
from tests.stack.scripted import judge
from tests.stack.test_gro import receive
from tests.stack.test_tcp_network import exchange, nothing_left


@pytest.mark.parametrize("features", [Features.NONE, OFFLOADS, Features.GSO])
@pytest.mark.parametrize("faults", [Faults(), Faults(loss=0.03, duplication=0.03, reordering=0.05, corruption=0.03)])
def test_every_byte_arrives_once_in_order(faults: Faults, features: Features) -> None:
    network = Network(seed=7, faults=faults, features=features, ipv6=True)
    forth, back = network.engine.random.randbytes(100_000), network.engine.random.randbytes(30_001)
    at_b, at_a, info = exchange(network, forth, back, family=AF_INET6)
    assert (at_b, at_a) == (forth, back)
    assert (info.advmss, info.snd_mss) == (1440, 1428)
    nothing_left(network)


@pytest.mark.parametrize("loss", [0.0, 0.03])
def test_segmentation_offload_changes_nothing_on_the_wire(loss: float) -> None:
    wires = []
    for features in (Features.NONE, OFFLOADS, Features.GSO, Features.GSO | Features.HW_CSUM, OFFLOADS & ~Features.TSO6):
        network = Network(seed=11, features=features, ipv6=True)
        lost = Network(seed=5).engine.random
        network.wire.drop = lambda sender, frame, lost=lost: lost.random() < loss
        forth = network.engine.random.randbytes(200_000)
        at_b, _, _ = exchange(network, forth, family=AF_INET6)
        assert at_b == forth
        wires.append(network.wire.frames)
        large = [packet for packet in network.devices[0].packets if packet.gso_type is GsoType.TCPV6]
        assert bool(large) == bool(features & Features.TSO6)
    assert all(wire == wires[0] for wire in wires)
    judged = [judge(frame) for _, _, frame in wires[0] if TCP in Ether(frame)]
    assert sum(len(packet[TCP].payload) for packet in judged) >= 200_000
    assert len({packet[IPv6].fl for packet in judged}) == 2
    assert all(packet[IPv6].fl for packet in judged)


def test_receive_offload() -> None:
    """Segments of one connection go up as one, and carry the same bytes."""
    network = Network(ipv6=True)
    forth = network.engine.random.randbytes(60_000)
    exchange(network, forth, family=AF_INET6)
    sent = [frame for _, name, frame in network.wire.frames if name == "a" and len(frame) > 1400]
    up = receive(sent)
    assert len(up) < len(sent) / 2
    assert sum(max(skb.gso_segs, 1) for skb in up) == len(sent)
    payload = b"".join(bytes(skb.data)[54 + (skb.data[66] >> 4) * 4 :] for skb in up)
    assert payload in forth
    for skb in up:
        assert int.from_bytes(skb.data[18:20], "big") == len(skb.data) - 54
    other = bytearray(sent[1])
    other[17] ^= 1
    assert [skb.gso_segs for skb in receive([sent[0], bytes(other)])] == [0, 0]


def test_transfer_with_receive_offload() -> None:
    network = Network(ipv6=True, features=OFFLOADS)
    for device in network.devices:
        device.set_gro(True)

        def arrive(frame: bytes, device: object = device) -> None:
            device.netif_receive_skb(SkBuff(frame, ip_summed=IpSummed.UNNECESSARY))  # type: ignore[attr-defined]
            network.engine.call_at(network.engine.now, device.gro_flush)  # type: ignore[attr-defined]

        device.arrive = arrive  # type: ignore[method-assign]
    forth = network.engine.random.randbytes(200_000)
    at_b, _, _ = exchange(network, forth, family=AF_INET6)
    assert at_b == forth


def test_a_vlan_is_an_interface_of_its_own() -> None:
    """The same addresses mean another link there; tags are on the wire."""
    network = Network(features=OFFLOADS)
    devices = [VlanDevice(device, 7) for device in network.devices]
    for stack, device, address in zip((network.a, network.b), devices, ("192.0.2.1", "192.0.2.2"), strict=True):
        network.engine.run(device.open())
        stack.add_interface(device, address, 24)
    assert len(network.engine.run(network.a.ping("192.0.2.2"))) == 1
    tagged = [frame for _, _, frame in network.wire.frames]
    assert all(frame[12:16] == b"\x81\x00\x00\x07" for frame in tagged)
    with pytest.raises(ValueError, match="VLAN"):
        VlanDevice(network.devices[0], 4095)
    with pytest.raises(ValueError, match="VLAN 7 exists"):
        VlanDevice(network.devices[0], 7)
    # On a VLAN that nobody has, nobody hears.
    network.devices[0].arrive(tagged[0][:14] + b"\x00\x08" + tagged[0][16:])
    assert network.engine.run(network.a.ping(B6)) == []
