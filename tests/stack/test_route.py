"""The table of routes: the longest prefix of destination and source, of both families."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.address import IPV4_PREFIX, format_address, is_ipv4, parse_address
from stack.ip.next_hop import Action, NextHop
from stack.ip.route import Route, RouteKind, RouteTable, mask
from stack.skbuff import SkBuff
from tests.stack.network import A6, B6, A, B, Network


class Hop(NextHop):
    def __init__(self, name: str) -> None:
        super().__init__(Action.UNICAST, None)
        self.name = name


def prefix(text: str) -> tuple[int, int]:
    network = ipaddress.ip_network(text)
    shift = IPV4_PREFIX if network.version == 4 else 0
    return parse_address(str(network.network_address)), network.prefixlen + shift


def route(destination: str, name: str, *, source: str = "", kind: RouteKind = RouteKind.USER, metric: int = 0) -> Route:
    address, length = prefix(destination)
    origin, origin_length = prefix(source) if source else (0, 0)
    # Of one kind, metric and source the gateway tells routes apart.
    return Route(address, length, Hop(name), kind, metric, len(name), origin, origin_length)


def name_of(table: RouteTable, destination: str, source: str = "::") -> str:
    hop = table.lookup(parse_address(destination), parse_address(source)).next_hop
    assert isinstance(hop, Hop)
    return hop.name


networks = st.one_of(
    st.builds(
        lambda address, length: ipaddress.IPv4Network((address, length), strict=False),
        st.integers(0x0A000000, 0x0A0000FF) | st.integers(0, 0xFFFFFFFF),
        st.integers(0, 32),
    ),
    st.builds(
        lambda address, length: ipaddress.IPv6Network((address, length), strict=False),
        st.integers(0x20010DB8 << 96, (0x20010DB8 << 96) + 255) | st.integers(0, 2**128 - 1),
        st.integers(0, 128),
    ),
)


@given(st.lists(networks, max_size=30, unique=True), st.lists(st.integers(0, 29), max_size=10), st.data())
def test_as_a_search_through_all_would_find(chosen: list[object], removed: list[int], data: st.DataObject) -> None:
    table = RouteTable()
    routes = [route(str(network), str(network)) for network in chosen]
    for one in routes:
        table.add(one)
    for index in sorted(set(removed), reverse=True):
        if index < len(routes):
            table.remove(routes.pop(index))
            del chosen[index]
    assert sorted(map(str, table)) == sorted(map(str, routes))
    target = data.draw(st.sampled_from(chosen)) if chosen else ipaddress.ip_network("10.0.0.0/24")
    address = target[data.draw(st.integers(0, target.num_addresses - 1))]  # type: ignore[attr-defined,index]
    matching = [one for one in chosen if one.version == address.version and address in one]  # type: ignore[attr-defined,operator]
    if not matching:
        with pytest.raises(LookupError):
            table.lookup(parse_address(str(address)), 0)
    else:
        assert name_of(table, str(address)) == str(max(matching, key=lambda one: one.prefixlen))  # type: ignore[attr-defined]


def test_source_decides_where_a_route_asks_for_it() -> None:
    table = RouteTable()
    table.add(route("0.0.0.0/0", "default"))
    table.add(route("10.1.0.0/16", "from b", source="192.0.2.0/24"))
    table.add(route("10.1.0.0/16", "from one", source="192.0.2.7/32"))
    assert name_of(table, "10.1.2.3", "192.0.2.7") == "from one"
    assert name_of(table, "10.1.2.3", "192.0.2.8") == "from b"
    # No other source matches there: the next shorter destination serves.
    assert name_of(table, "10.1.2.3", "198.51.100.1") == "default"
    table.add(route("10.1.0.0/16", "all"))
    assert name_of(table, "10.1.2.3", "198.51.100.1") == "all"
    table.add(route("2001:db8::1/128", "host", source="2001:db8:1::/48"))
    with pytest.raises(LookupError):
        table.lookup(parse_address("2001:db8::1"), parse_address("2001:db8:2::1"))


def test_preference_among_routes_for_one_prefix() -> None:
    table = RouteTable()
    first, second = route("10.0.0.0/8", "slow", metric=20), route("10.0.0.0/8", "fast", metric=10)
    learned = route("10.0.0.0/8", "router", kind=RouteKind.ROUTER)
    for one in (learned, first, second):
        table.add(one)
    seen = []
    for one in (second, first, learned):
        seen.append(name_of(table, "10.9.9.9"))
        table.remove(one)
    assert seen == ["fast", "slow", "router"]
    with pytest.raises(KeyError):
        table.remove(learned)


def test_a_route_replaces_its_equal_and_generations_count() -> None:
    table = RouteTable()
    table.add(route("10.0.0.0/8", "one"))
    generation = table.generation
    table.add(route("10.0.0.0/8", "two"))
    assert name_of(table, "10.0.0.1") == "two"
    assert len(list(table)) == 1
    assert table.generation > generation
    with pytest.raises(ValueError, match="beyond its prefix"):
        table.add(Route(parse_address("10.0.0.1"), IPV4_PREFIX + 8, Hop("x"), RouteKind.USER))


def test_families_do_not_meet() -> None:
    table = RouteTable()
    table.add(route("::/0", "six"))
    with pytest.raises(LookupError):
        table.lookup(parse_address("10.0.0.1"), 0)
    table.add(route("0.0.0.0/0", "four"))
    assert name_of(table, "10.0.0.1") == "four"
    assert name_of(table, "::1") == "six"


@given(st.integers(0, 2**32 - 1) | st.integers(2**96, 2**128 - 1))
def test_addresses_round_trip(number: int) -> None:
    text = str(ipaddress.ip_address(number))
    address = parse_address(text)
    assert is_ipv4(address) is ("." in text and ":" not in text)
    assert parse_address(format_address(address)) == address


def test_masks() -> None:
    assert mask(0) == 0
    assert mask(128) == 2**128 - 1
    assert mask(IPV4_PREFIX + 24) & 0xFFFFFFFF == 0xFFFFFF00


def test_an_address_makes_its_routes_and_takes_them_along() -> None:
    network = Network()
    before = set(map(str, network.a.ip.routes))
    network.a.add_interface(network.devices[0], "192.0.2.1", 24)
    added = set(map(str, network.a.ip.routes)) - before
    assert added == {"local 192.0.2.1/32 dev lo", "resolve 192.0.2.0/24 dev a", "broadcast 192.0.2.255/32 dev a"}
    network.a.ip.interfaces[2].remove_address(parse_address("192.0.2.1"))
    assert set(map(str, network.a.ip.routes)) == before
    assert not network.a.ip.is_local(parse_address("192.0.2.1"))
    network.a.add_interface(network.devices[0], "192.0.2.1", 31)
    assert "broadcast" not in " ".join(set(map(str, network.a.ip.routes)) - before)


def test_neighbours_are_routes() -> None:
    network = Network(ipv6=True)
    assert network.engine.run(network.a.ping(B))
    assert network.engine.run(network.a.ping(B6))
    shown = set(map(str, network.a.ip.routes))
    assert {
        f"unicast {B}/32 dev a",
        f"unicast {B6}/128 dev a",
        f"local {A}/32 dev lo",
        f"local {A6}/128 dev lo",
    } <= shown


def test_sockets_follow_routes() -> None:
    """A connection keeps its way until routes change, and then takes the new one."""
    network = Network()
    network.a.add_route("0.0.0.0", 0, "10.0.0.254")
    path = network.a.ip.path(parse_address("8.8.8.8"), 17)
    assert path is not None
    old = path.next_hop
    network.a.add_route("8.8.8.0", 24, B)
    assert path.next_hop is old
    assert path.mtu == 1500
    path.send_datagram(SkBuff(b"x"))
    assert path.next_hop is not old
    assert path.next_hop.address == parse_address(B)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2001:db8:1::", 48, "10.0.0.2"), "family"),
        (("2001:db8:1::1", 48, B6), "beyond its prefix"),
        (("::", 129, B6), "prefix"),
        (("::", 0, "2001:db8:9::1"), "no connected network"),
    ],
)
def test_bad_ipv6_routes_are_refused(arguments: tuple[str, int, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Network(ipv6=True).a.add_route(*arguments)
