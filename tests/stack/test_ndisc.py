"""Neighbour discovery, duplicate address detection and autoconfiguration, played by a scripted router and neighbour."""

import pytest
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from stack.address import parse_address
from stack.counters import DropReason
from stack.ip.interface import AddressState, Interface
from stack.ip.ndisc import NeighbourDiscovery
from stack.ip.neighbour import NudState
from stack.ip.parameters import IpParameters, NeighbourParameters
from tests.stack.network import A6, B6, MS, SECOND, Network

HOST = "02:00:00:00:00:01"
PEER = "02:00:00:00:00:02"
LINK_A = "fe80::ff:fe00:1"
ROUTER = "fe80::99"
ROUTER_MAC = "02:00:00:00:00:99"


def interface(network: Network, host: int = 0) -> Interface:
    return (network.a, network.b)[host].ip.interfaces[2]


def table(network: Network, host: int = 0) -> NeighbourDiscovery:
    return interface(network, host).ndisc


def messages(network: Network, sender: str = "a") -> list[tuple[int, Packet]]:
    """(time, whole frame) of what was sent over IPv6, its checksum judged by scapy."""
    found = []
    for time, name, frame in network.wire.frames:
        if name == sender and frame[12:14] == b"\x86\xdd":
            packet = Ether(frame)
            whole = bytes(packet[IPv6])[: 40 + packet[IPv6].plen]
            again = IPv6(whole)
            del again.payload.cksum
            assert bytes(again) == whole
            found.append((time, packet))
    return found


def deliver(network: Network, packet: Packet, *, source: str = PEER, destination: str = HOST) -> None:
    network.devices[0].arrive(bytes(Ether(src=source, dst=destination, type=0x86DD) / packet))
    network.engine.run_until(network.engine.now)


def test_solicitation_and_advertisement_as_scapy_reads_them() -> None:
    network = Network(ipv6=True)
    assert network.engine.run(network.a.ping(B6))
    (_, question), (_, answer) = messages(network)[0], messages(network, "b")[0]
    assert (question.dst, question[IPv6].dst, question[IPv6].src) == ("33:33:ff:00:00:02", "ff02::1:ff00:2", A6)
    assert (question[ICMPv6ND_NS].tgt, question[ICMPv6NDOptSrcLLAddr].lladdr, question[IPv6].hlim) == (B6, HOST, 255)
    told = answer[ICMPv6ND_NA]
    assert (told.tgt, told.R, told.S, told.O, answer[ICMPv6NDOptDstLLAddr].lladdr) == (B6, 0, 1, 1, PEER)
    assert (answer.dst, answer[IPv6].dst, answer[IPv6].hlim) == (HOST, A6, 255)
    assert table(network).entries() == {B6: (PEER, NudState.REACHABLE)}
    assert table(network, 1).entries() == {A6: (HOST, NudState.DELAY)}


def test_three_solicitations_then_unreachable() -> None:
    network = Network(ipv6=True)
    network.wire.drop = lambda sender, frame: True
    assert network.engine.run(network.a.ping(B6, timeout=10 * SECOND)) == []
    assert [time for time, _ in messages(network)] == [0, SECOND, 2 * SECOND]
    assert network.a.counters.drops[DropReason.NEIGH_FAILED] == 1


def solicitation(target: str = A6, **fields: object) -> Packet:
    return IPv6(**{"src": B6, "dst": "ff02::1:ff00:1", "hlim": 255, **fields}) / ICMPv6ND_NS(tgt=target)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (solicitation(hlim=254), DropReason.IPV6_NDISC_HOP_LIMIT),
        (IPv6(src=B6, dst=A6, hlim=255) / ICMPv6ND_NS(tgt=A6, code=1), DropReason.IPV6_NDISC_BAD_CODE),
        (solicitation(target="ff02::5"), DropReason.IPV6_NDISC_BAD_OPTIONS),
        (solicitation(target="2001:db8::77"), DropReason.IPV6_NDISC_NS_OTHERHOST),
        (solicitation() / Raw(b"\x01\x00" + bytes(6)), DropReason.IPV6_NDISC_BAD_OPTIONS),
        (solicitation() / Raw(b"\x01\x02" + bytes(6)), DropReason.IPV6_NDISC_BAD_OPTIONS),
        # A probe for a duplicate has no link-layer address, and goes to the address's own group.
        (solicitation(src="::") / ICMPv6NDOptSrcLLAddr(lladdr=PEER), DropReason.IPV6_NDISC_BAD_OPTIONS),
        (solicitation(src="::", dst="ff02::1"), DropReason.IPV6_NDISC_BAD_OPTIONS),
        (IPv6(src=B6, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=B6, S=1), DropReason.IPV6_NDISC_BAD_OPTIONS),
        (IPv6(src=B6, dst=A6, hlim=255) / Raw(b""), None),
    ],
)
def test_bad_messages_teach_nothing(packet: Packet, reason: DropReason | None) -> None:
    network = Network(ipv6=True)
    before = sum(network.a.counters.drops.values())
    deliver(network, packet, destination="33:33:ff:00:00:01")
    assert table(network).entries() == {}
    assert messages(network) == []
    if reason is not None:
        assert network.a.counters.drops[reason] == 1
        assert sum(network.a.counters.drops.values()) == before + 1


def advertisement(mac: str, *, solicited: int, override: int, router: int = 0) -> Packet:
    told = ICMPv6ND_NA(tgt=B6, S=solicited, O=override, R=router)
    return IPv6(src=B6, dst=A6, hlim=255) / told / ICMPv6NDOptDstLLAddr(lladdr=mac)


def test_what_an_advertisement_changes() -> None:
    """RFC 4861 section 7.2.5 and appendix C."""
    network = Network(ipv6=True)
    deliver(network, advertisement(PEER, solicited=1, override=1))
    assert table(network).entries() == {}
    network.engine.run(network.a.ping(B6))
    other = "02:00:00:00:00:55"
    # Without Override another address only casts doubt.
    deliver(network, advertisement(other, solicited=0, override=0))
    assert table(network).entries()[B6] == (PEER, NudState.STALE)
    deliver(network, advertisement(PEER, solicited=1, override=0))
    assert table(network).entries()[B6] == (PEER, NudState.REACHABLE)
    deliver(network, advertisement(other, solicited=0, override=1))
    assert table(network).entries()[B6] == (other, NudState.STALE)
    deliver(network, advertisement(PEER, solicited=1, override=1))
    assert table(network).entries()[B6] == (PEER, NudState.REACHABLE)


def test_traffic_confirms_or_the_neighbour_is_probed() -> None:
    network = Network(ipv6=True, neighbours=NeighbourParameters(reachable_time=10 * SECOND))
    network.engine.run(network.a.ping(B6))
    network.engine.run_until(20 * SECOND)
    network.wire.frames.clear()
    begun = network.engine.now
    network.engine.run(network.a.ping(B6))
    assert table(network).entries()[B6][1] is NudState.DELAY
    network.engine.run_until(begun + 6 * SECOND)
    asked = [
        (time - begun, one) for time, one in messages(network) if ICMPv6ND_NS in one and one[ICMPv6ND_NS].tgt == B6
    ]
    assert [(time, one.dst, one[IPv6].dst) for time, one in asked] == [(5 * SECOND, PEER, B6)]
    assert table(network).entries()[B6][1] is NudState.REACHABLE


def test_new_addresses_are_probed_first() -> None:
    network = Network()
    network.a.add_interface(network.devices[0], A6, 64)
    address = interface(network).addresses[parse_address(A6)]
    assert address.state is AddressState.TENTATIVE
    probes = messages(network)
    assert [(one[IPv6].src, one[ICMPv6ND_NS].tgt) for _, one in probes] == [("::", LINK_A), ("::", A6)]
    deliver(network, IPv6(src=B6, dst=A6) / ICMPv6EchoRequest())
    assert network.a.counters.mib["Icmp6.InEchos"] == 0
    network.engine.run_until(SECOND)
    assert address.state is AddressState.PREFERRED
    assert network.a.ip.is_local(parse_address(A6))


@pytest.mark.parametrize(
    "claim",
    [
        IPv6(src="::", dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=A6),
        IPv6(src=B6, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=A6, O=1) / ICMPv6NDOptDstLLAddr(lladdr=PEER),
    ],
)
def test_a_duplicate_is_never_used(claim: Packet) -> None:
    network = Network()
    network.a.add_interface(network.devices[0], A6, 64)
    deliver(network, claim, destination="33:33:00:00:00:01")
    network.engine.run_until(5 * SECOND)
    assert interface(network).addresses[parse_address(A6)].state is AddressState.DUPLICATED
    assert not network.a.ip.is_local(parse_address(A6))
    assert network.a.ip.is_local(parse_address(f"{LINK_A}%2"))


def test_we_defend_our_address() -> None:
    network = Network(ipv6=True)
    deliver(
        network, IPv6(src="::", dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=A6), destination="33:33:ff:00:00:01"
    )
    ((_, answer),) = messages(network)
    assert (answer[IPv6].dst, answer[ICMPv6ND_NA].S, answer[ICMPv6ND_NA].tgt) == ("ff02::1", 0, A6)
    assert interface(network).addresses[parse_address(A6)].usable


def router_advertisement(*options: Packet, lifetime: int = 1800, hop_limit: int = 32) -> Packet:
    packet = IPv6(src=ROUTER, dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=lifetime, chlim=hop_limit)
    for option in (ICMPv6NDOptSrcLLAddr(lladdr=ROUTER_MAC), *options):
        packet = packet / option
    return packet


def prefix(text: str = "2001:db8:5::", *, valid: int = 3600, preferred: int = 1800, on_link: int = 1) -> Packet:
    return ICMPv6NDOptPrefixInfo(
        prefix=text, prefixlen=64, L=on_link, A=1, validlifetime=valid, preferredlifetime=preferred
    )


SLAAC = "2001:db8:5:0:0:ff:fe00:1"


def configured(*options: Packet, **settings: int) -> Network:
    network = Network(ip=IpParameters(duplicate_address_probes=1, group_robustness=0))
    network.a.ip.interfaces[2].autoconfigure()
    network.engine.run_until(2 * SECOND)
    packet = router_advertisement(*options, **settings)
    deliver(network, packet, source=ROUTER_MAC, destination="33:33:00:00:00:01")
    network.engine.run_until(4 * SECOND)
    return network


def test_stateless_autoconfiguration() -> None:
    network = configured(prefix(), ICMPv6NDOptMTU(mtu=1400))
    solicitations = [one for _, one in messages(network) if ICMPv6ND_RS in one]
    assert [one[IPv6].dst for one in solicitations] == ["ff02::2"]
    assert interface(network).addresses[parse_address(SLAAC)].state is AddressState.PREFERRED
    assert interface(network).mtu(6) == 1400
    path = network.a.ip.path(parse_address("2001:db8:ffff::1"), 17)
    assert path is not None
    assert (path.source, path.mtu, path.hop_limit) == (parse_address(SLAAC), 1400, 32)
    assert path.next_hop.address == parse_address(f"{ROUTER}%2")  # type: ignore[attr-defined]
    assert path.next_hop.hardware.hex(":") == ROUTER_MAC  # type: ignore[attr-defined]
    # A neighbour on the announced link is asked for itself.
    near = network.a.ip.path(parse_address("2001:db8:5::77"), 17)
    assert near is not None
    assert near.next_hop.address == parse_address("2001:db8:5::77")  # type: ignore[attr-defined]


def test_lifetimes_end() -> None:
    network = configured(prefix(valid=100, preferred=50), lifetime=30)
    address = interface(network).addresses[parse_address(SLAAC)]
    far = parse_address("2001:db8:ffff::1")
    assert network.a.ip.path(far, 17) is not None
    network.engine.run_until(33 * SECOND)
    assert network.a.ip.path(far, 17) is None
    network.engine.run_until(53 * SECOND)
    assert address.state is AddressState.DEPRECATED
    network.engine.run_until(103 * SECOND)
    assert parse_address(SLAAC) not in interface(network).addresses
    assert network.a.ip.path(parse_address("2001:db8:5::77"), 17) is None


def test_a_router_that_gives_up_is_used_no_more() -> None:
    network = configured(prefix())
    far = parse_address("2001:db8:ffff::1")
    assert network.a.ip.path(far, 17) is not None
    deliver(network, router_advertisement(lifetime=0), source=ROUTER_MAC, destination="33:33:00:00:00:01")
    assert network.a.ip.path(far, 17) is None
    # RFC 4862 section 5.5.3 e: nobody shortens an address's life below two hours.
    deliver(
        network, router_advertisement(prefix(valid=1, preferred=0)), source=ROUTER_MAC, destination="33:33:00:00:00:01"
    )
    network.engine.run_until(1000 * SECOND)
    assert parse_address(SLAAC) in interface(network).addresses
    assert interface(network).addresses[parse_address(SLAAC)].state is AddressState.DEPRECATED


@pytest.mark.parametrize(
    "packet",
    [
        IPv6(src="2001:db8::99", dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=1800),
        IPv6(src=ROUTER, dst="ff02::1", hlim=64) / ICMPv6ND_RA(routerlifetime=1800),
        IPv6(src=ROUTER, dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=1800) / Raw(b"\x03\x00" + bytes(6)),
    ],
)
def test_bad_router_advertisements(packet: Packet) -> None:
    network = Network(ipv6=True)
    interface(network).autoconfigure()
    deliver(network, packet, destination="33:33:00:00:00:01")
    assert network.a.ip.path(parse_address("2001:db8:ffff::1"), 17) is None


def test_advertisements_are_heard_only_if_asked_for() -> None:
    network = Network(ipv6=True)
    deliver(network, router_advertisement(prefix()), source=ROUTER_MAC, destination="33:33:00:00:00:01")
    assert network.a.ip.path(parse_address("2001:db8:ffff::1"), 17) is None
    assert parse_address(SLAAC) not in interface(network).addresses


def test_what_routers_say_is_bounded() -> None:
    network = configured(*(prefix(f"2001:db8:{number:x}::") for number in range(1, 41)))
    assert len(interface(network).addresses) == 16
    assert sum("2001:db8:" in str(route) and "resolve" in str(route) for route in network.a.ip.routes) == 16


def test_three_router_solicitations() -> None:
    network = Network(ip=IpParameters(duplicate_address_probes=0, group_robustness=0))
    interface(network).autoconfigure()
    network.settle()
    times = [time for time, one in messages(network) if ICMPv6ND_RS in one]
    assert times == [0, 4 * SECOND, 8 * SECOND]


def test_redirect_teaches_an_address() -> None:
    network = Network(ipv6=True)
    network.engine.run(network.a.ping(B6))
    redirect = ICMPv6ND_Redirect(tgt=B6, dst=B6) / ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:44")
    deliver(network, IPv6(src=ROUTER, dst=A6, hlim=255) / redirect)
    assert table(network).entries()[B6] == ("02:00:00:00:00:44", NudState.STALE)
    assert network.engine.now < 100 * MS
