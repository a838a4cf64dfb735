"""Group membership reports, judged by scapy: what is told when a group is joined or left, and to who asks."""

import pytest
from scapy.config import conf
from scapy.layers.igmp import IGMPv3_MQ, IGMPv3_MR, IGMPv3_MR_Group
from scapy.layers.inet import IP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6MLDMultAddrRec,
    ICMPv6MLQuery,
    ICMPv6MLQuery2,
    ICMPv6MLReport2,
    ICMPv6Unknown,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from stack.address import parse_address
from stack.counters import DropReason
from stack.ip.interface import Interface
from stack.ip.membership import _exponential
from stack.ip.parameters import IpParameters
from stack.vlan import VlanDevice
from tests.stack.network import MS, SECOND, Network

GROUP, OTHER = "239.1.2.3", "239.1.2.4"
GROUP6 = "ff05::1234"
IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE = 2, 3, 4
ROUTER = "02:00:00:00:00:99"


@pytest.fixture
def network() -> Network:
    return Network(ip=IpParameters(duplicate_address_probes=0))


def interface(network: Network) -> Interface:
    return network.a.ip.interfaces[2]


def reports(network: Network) -> list[tuple[int, int, str]]:
    """(time, record type, group) of each record that host A has sent."""
    found = []
    for time, sender, frame in network.wire.frames:
        packet = Ether(frame)
        if sender != "a":
            continue
        if IP in packet and packet[IP].proto == 2:
            ip = packet[IP]
            whole = bytes(ip)[: ip.len]
            again = IP(whole)
            del again.chksum, again[IGMPv3_MR].chksum
            assert bytes(again) == whole
            assert (packet.dst, ip.dst, ip.ttl, ip.tos) == ("01:00:5e:00:00:16", "224.0.0.22", 1, 0xC0)
            assert isinstance(ip.options[0], IPOption_Router_Alert)
            assert ip[IGMPv3_MR].numgrp == len(ip[IGMPv3_MR].records)
            found += [(time, record.rtype, record.maddr) for record in ip[IGMPv3_MR].records]
        elif ICMPv6MLReport2 in packet:
            whole = bytes(packet[IPv6])[: 40 + packet[IPv6].plen]
            again = IPv6(whole)
            del again[ICMPv6MLReport2].cksum
            assert bytes(again) == whole
            assert (packet.dst, packet[IPv6].dst, packet[IPv6].hlim) == ("33:33:00:00:00:16", "ff02::16", 1)
            assert any(isinstance(option, RouterAlert) for option in packet[IPv6ExtHdrHopByHop].options)
            # scapy makes each record the payload of the one before.
            record = packet[ICMPv6MLReport2].records[0]
            while isinstance(record, ICMPv6MLDMultAddrRec):
                found.append((time, record.rtype, record.dst))
                record = record.payload
    return found


def ask(network: Network, packet: Packet, mac: str) -> None:
    network.devices[0].arrive(bytes(Ether(src=ROUTER, dst=mac) / packet))


def igmp_query(group: str = "0.0.0.0", code: int = 100) -> Packet:
    to = "224.0.0.1" if group == "0.0.0.0" else group
    ip = IP(src="10.0.0.9", dst=to, ttl=1, options=[IPOption_Router_Alert()])
    return ip / IGMPv3_MQ(mrcode=code, gaddr=group)


def mld_query(group: str = "::", code: int = 1000, source: str = "fe80::99", hop_limit: int = 1) -> Packet:
    to = "ff02::1" if group == "::" else group
    hops = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    return IPv6(src=source, dst=to, hlim=hop_limit) / hops / ICMPv6MLQuery2(mrd=code, mladdr=group)


def test_joining_and_leaving_is_told_twice(network: Network) -> None:
    group = parse_address(GROUP)
    interface(network).join(group)
    interface(network).join(group)
    network.settle()
    (first, *_), (again, *_) = told = reports(network)
    assert [record[1:] for record in told] == [(TO_EXCLUDE, GROUP)] * 2
    assert first == 0 < again <= SECOND
    interface(network).leave(group)
    network.settle()
    assert len(reports(network)) == 2, "somebody is in it still"
    interface(network).leave(group)
    network.settle()
    assert [record[1:] for record in reports(network)[2:]] == [(TO_INCLUDE, GROUP)] * 2


def test_a_change_of_mind_ends_what_was_to_be_told(network: Network) -> None:
    group = parse_address(GROUP)
    interface(network).join(group)
    interface(network).leave(group)
    network.settle()
    assert [record[1] for record in reports(network)] == [TO_EXCLUDE, TO_INCLUDE, TO_INCLUDE]


def test_ipv6_addresses_have_groups_too(network: Network) -> None:
    network.a.add_interface(network.devices[0], "2001:db8::1", 64)
    network.settle()
    groups = {group for _, _, group in reports(network)}
    assert groups == {"ff02::1:ff00:1"}
    assert all(kind == TO_EXCLUDE for _, kind, _ in reports(network))
    # ff02::1 is never reported, and heard all the same.
    assert bytes.fromhex("333300000001") in network.devices[0].multicast_list


@pytest.mark.parametrize("robustness", [0, 1, 3])
def test_robustness_is_how_often(robustness: int) -> None:
    network = Network(ip=IpParameters(group_robustness=robustness))
    interface(network).join(parse_address(GROUP))
    network.settle()
    assert len(reports(network)) == robustness


def test_queries_are_answered_within_their_time() -> None:
    network = Network(ip=IpParameters(duplicate_address_probes=0, group_robustness=0))
    network.a.add_interface(network.devices[0], "2001:db8::1", 64)
    for group in (GROUP, OTHER, GROUP6):
        interface(network).join(parse_address(group))
    network.settle()
    assert reports(network) == []
    begun = network.engine.now
    ask(network, igmp_query(code=20), "01:00:5e:00:00:01")
    network.settle()
    told = reports(network)
    assert {record[1:] for record in told} == {(IS_EXCLUDE, GROUP), (IS_EXCLUDE, OTHER)}
    assert all(begun <= time <= begun + 2 * SECOND for time, _, _ in told)
    network.wire.frames.clear()
    ask(network, igmp_query(OTHER, code=10), "01:00:5e:01:02:04")
    network.settle()
    assert [record[1:] for record in reports(network)] == [(IS_EXCLUDE, OTHER)]
    network.wire.frames.clear()
    begun = network.engine.now
    ask(network, mld_query(code=500), "33:33:00:00:00:01")
    network.settle()
    told = reports(network)
    assert {group for _, _, group in told} == {GROUP6, "ff02::1:ff00:1"}
    assert all(begun <= time <= begun + 500 * MS for time, _, _ in told)
    mib = network.a.counters.mib
    assert (mib["Igmp.InMsgs"], mib["Igmp.OutMsgs"]) == (2, 2)
    assert (mib["Icmp6.InGroupMembQueries"], mib["Icmp6.OutMLDv2Reports"]) == (1, 1)


def test_a_second_query_is_answered_with_the_first() -> None:
    network = Network(ip=IpParameters(group_robustness=0))
    interface(network).join(parse_address(GROUP))
    for _ in range(5):
        ask(network, igmp_query(code=10), "01:00:5e:00:00:01")
        ask(network, igmp_query(GROUP, code=100), "01:00:5e:01:02:03")
    network.settle()
    # One for all, and at most one for the group.
    assert 1 <= len(reports(network)) <= 2


def always_latest(network: Network) -> list[int]:
    """Answers come as late as they may; the list takes how late that is, ns."""
    drawn: list[int] = []

    def draw(longest: int) -> int:
        drawn.append(longest)
        return longest

    interface(network).membership._draw = draw  # type: ignore[method-assign]
    return drawn


@pytest.mark.parametrize(
    ("first", "second", "answers"),
    [
        # Sections 5.2, rules 1 to 3: what is answered earlier anyway needs no second answer.
        (igmp_query(code=10), igmp_query(GROUP, code=100), [1]),
        (igmp_query(code=100), igmp_query(GROUP, code=10), [1, 10]),
        (igmp_query(GROUP, code=10), igmp_query(code=100), [1, 10]),
        (igmp_query(GROUP, code=10), igmp_query(GROUP, code=100), [1]),
        (igmp_query(GROUP, code=100), igmp_query(GROUP, code=10), [1]),
    ],
)
def test_which_of_two_queries_is_answered(first: Packet, second: Packet, answers: list[int]) -> None:
    network = Network(ip=IpParameters(group_robustness=0))
    interface(network).join(parse_address(GROUP))
    always_latest(network)
    for packet in (first, second):
        ask(network, packet, "01:00:5e:00:00:01")
    network.settle()
    assert [time // SECOND for time, _, _ in reports(network)] == answers


def test_how_long_an_answer_may_take() -> None:
    network = Network(ip=IpParameters(duplicate_address_probes=0, group_robustness=0))
    network.a.add_interface(network.devices[0], "2001:db8::1", 64)
    interface(network).join(parse_address(GROUP))
    network.settle()
    drawn = always_latest(network)
    version_1 = IP(src="10.0.0.9", dst="224.0.0.1", ttl=1) / bytes.fromhex("1100eeff00000000")
    version_1[IP].proto = 2
    version_2 = IP(src="10.0.0.9", dst="224.0.0.1", ttl=1) / bytes.fromhex("11c8ee3700000000")
    version_2[IP].proto = 2
    old = IPv6(src="fe80::99", dst="ff02::1", hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    for packet, mac in (
        (igmp_query(code=20), "01:00:5e:00:00:01"),
        (igmp_query(code=248), "01:00:5e:00:00:01"),
        (version_1, "01:00:5e:00:00:01"),
        (version_2, "01:00:5e:00:00:01"),
        (mld_query(code=500), "33:33:00:00:00:01"),
        (mld_query(code=0x8FFF), "33:33:00:00:00:01"),
        (old / ICMPv6MLQuery(mrd=0x8FFF), "33:33:00:00:00:01"),
    ):
        ask(network, packet, mac)
    assert drawn == [2 * SECOND, 248 * 100 * MS, 10 * SECOND, 20 * SECOND, 500 * MS, 65528 * MS, 0x8FFF * MS]


def test_who_leaves_answers_no_more() -> None:
    network = Network(ip=IpParameters(group_robustness=0))
    group = parse_address(GROUP)
    interface(network).join(group)
    ask(network, igmp_query(GROUP, code=100), "01:00:5e:01:02:03")
    interface(network).leave(group)
    network.settle()
    assert reports(network) == []


def test_queries_reach_who_is_in_a_group(network: Network) -> None:
    mac, device = bytes.fromhex("01005e000001"), network.devices[0]
    assert mac not in device.multicast_list
    interface(network).join(parse_address(GROUP))
    interface(network).join(parse_address(OTHER))
    interface(network).leave(parse_address(GROUP))
    assert mac in device.multicast_list
    interface(network).leave(parse_address(OTHER))
    assert mac not in device.multicast_list
    network.settle()


@pytest.mark.parametrize("group", ["ff01::1234", "ff11::1234", "ff02::1", "224.0.0.1"])
def test_groups_that_nobody_is_told_of(network: Network, group: str) -> None:
    number = parse_address(group)
    interface(network).join(number)
    ask(network, mld_query(code=10), "33:33:00:00:00:01")
    ask(network, mld_query(group, code=10) if ":" in group else igmp_query(code=10), "33:33:00:00:00:01")
    interface(network).leave(number)
    network.settle()
    assert reports(network) == []


def test_who_is_alone_tells_nobody(network: Network) -> None:
    network.a.ip.loopback.join(parse_address(GROUP))
    network.settle()
    assert network.a.counters.mib["Igmp.OutMsgs"] == 0


def test_a_link_local_group_is_asked_for_and_told_from_the_link_local_address() -> None:
    network = Network(ip=IpParameters(duplicate_address_probes=0, group_robustness=0))
    network.a.add_interface(network.devices[0], "2001:db8::1", 64)
    network.settle()
    ask(network, mld_query("ff02::1:ff00:1", code=10), "33:33:ff:00:00:01")
    network.settle()
    assert [record[1:] for record in reports(network)] == [(IS_EXCLUDE, "ff02::1:ff00:1")]
    (report,) = [Ether(frame) for _, _, frame in network.wire.frames if ICMPv6MLReport2 in Ether(frame)]
    assert report[IPv6].src.startswith("fe80::")


def test_a_host_that_is_gone_tells_nothing(network: Network) -> None:
    interface(network).join(parse_address(GROUP))
    assert len(reports(network)) == 1
    network.a.close()
    network.settle()
    assert len(reports(network)) == 1


def test_other_messages_are_a_routers_business() -> None:
    network = Network(ip=IpParameters(duplicate_address_probes=0, group_robustness=0))
    network.a.add_interface(network.devices[0], "2001:db8::1", 64)
    interface(network).join(parse_address(GROUP))
    network.settle()
    report = IP(src="10.0.0.9", dst=GROUP, ttl=1) / bytes.fromhex("1600f8faef010203")
    report[IP].proto = 2
    ask(network, report, "01:00:5e:01:02:03")
    short = IPv6(src="fe80::99", dst="ff02::1", hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    ask(network, short / ICMPv6Unknown(type=130, code=0, msgbody=bytes(12)), "33:33:00:00:00:01")
    network.settle()
    assert reports(network) == []
    assert network.a.counters.mib["Igmp.InErrors"] == 0
    assert network.a.counters.drops[DropReason.PKT_TOO_SMALL] == 1


def test_queries_that_are_none() -> None:
    network = Network(ip=IpParameters(duplicate_address_probes=0, group_robustness=0))
    network.a.add_interface(network.devices[0], "2001:db8::1", 64)
    interface(network).join(parse_address(GROUP))
    network.settle()
    damaged = igmp_query()
    damaged[IGMPv3_MQ].chksum = 1
    ask(network, damaged, "01:00:5e:00:00:01")
    ask(network, igmp_query(OTHER), "01:00:5e:01:02:04")
    ask(network, mld_query(source="2001:db8::99"), "33:33:00:00:00:01")
    ask(network, mld_query(hop_limit=64), "33:33:00:00:00:01")
    network.settle()
    assert reports(network) == []
    assert network.a.counters.mib["Igmp.InErrors"] == 1


def test_many_groups_need_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "max_list_count", 200)
    network = Network(ip=IpParameters(group_robustness=0))
    for number in range(500):
        interface(network).join(parse_address("239.9.0.0") + number)
    ask(network, igmp_query(code=10), "01:00:5e:00:00:01")
    network.settle()
    assert len(reports(network)) == len({group for _, _, group in reports(network)}) == 500
    assert all(len(frame) <= 1514 for _, _, frame in network.wire.frames)
    assert len(network.wire.frames) == 3


@pytest.mark.parametrize(
    ("code", "bits", "expected"),
    [
        (127, 4, 127),
        (128, 4, 128),
        (0x8F, 4, 248),
        (255, 4, 31744),
        (32767, 12, 32767),
        (32768, 12, 32768),
        (0x8FFF, 12, 65528),
    ],
)
def test_codes_of_queries(code: int, bits: int, expected: int) -> None:
    assert _exponential(code, bits) == expected


def test_a_vlan_has_the_lower_device_listen(network: Network) -> None:
    device = network.devices[0]
    vlan = VlanDevice(device, 5)
    network.engine.run(vlan.open())
    one = network.a.add_interface(vlan, "192.0.2.1", 24)
    mac = bytes.fromhex("01005e010203")
    one.join(parse_address(GROUP))
    interface(network).join(parse_address(GROUP))
    assert mac in device.multicast_list
    interface(network).leave(parse_address(GROUP))
    assert mac in device.multicast_list
    one.leave(parse_address(GROUP))
    assert mac not in device.multicast_list
    network.settle()


def test_records_follow_the_layout_of_scapy() -> None:
    """The judge itself: both have the same idea of a record."""
    assert bytes(IGMPv3_MR_Group(rtype=4, maddr=GROUP))[:8] == b"\x04\0\0\0\xef\1\2\3"
    assert len(bytes(ICMPv6MLDMultAddrRec(rtype=4, dst=GROUP6))) == 20
