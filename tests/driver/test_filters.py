"""Receive filters, VLANs, the MTU and pause frames: what the driver writes, and when."""

from typing import Any

import pytest

from driver.flow_control import ASYMMETRIC, PAUSE, FlowControl, advertisement, resolve
from driver.rx_mode import RAR_ENTRIES, multicast_hash, receive_filter, write_rx_mode
from hw.receive.bit_table import address_hash
from hw.registers import BY_NAME
from stack.net_device import Features
from stack.vlan import VlanDevice
from tests.driver.rig import MAC, PEER, Rig, frame, partial, udp_packet

GROUPS = [bytes.fromhex("01005e") + number.to_bytes(3, "big") for number in range(0x1234, 0x1234 + 40)]


def receive_addresses(rig: Rig) -> list[bytes]:
    """What is in the entries behind the station's own."""
    found = []
    for index in range(1, RAR_ENTRIES):
        low = rig.device.registers[BY_NAME["RAL"].offset + 8 * index]
        high = rig.device.registers[BY_NAME["RAH"].offset + 8 * index]
        if high & BY_NAME["RAH"].mask("AV"):
            found.append(low.to_bytes(4, "little") + (high & 0xFFFF).to_bytes(2, "little"))
    return found


def hashed(rig: Rig) -> set[int]:
    """The bits that are set in the multicast table."""
    return {
        32 * index + bit
        for index in range(128)
        for bit in range(32)
        if rig.device.registers[BY_NAME["MTA"].offset + 4 * index] >> bit & 1
    }


def test_the_hash_is_the_device_s() -> None:
    assert multicast_hash(bytes.fromhex("01aa00123456")) == 0x563
    for group in GROUPS:
        assert multicast_hash(group) == address_hash(group, 0)


@pytest.mark.parametrize("count", [0, 1, 14, 15, 40])
def test_multicast_list(count: int) -> None:
    async def main() -> None:
        nic = await rig.up()
        for group in GROUPS[:count]:
            nic.dev_mc_add(group)
        await rig.settled(2_000_000)
        assert receive_addresses(rig) == GROUPS[: min(count, 14)]
        assert hashed(rig) == {multicast_hash(group) for group in GROUPS[14:count]}
        await nic.reinit()
        assert receive_addresses(rig) == GROUPS[: min(count, 14)]
        for group in GROUPS[:count]:
            nic.dev_mc_del(group)
        await rig.settled(2_000_000)
        assert receive_addresses(rig) == []
        assert hashed(rig) == set()
        assert not rig.device.has("RCTL", "MPE")

    rig = Rig()
    rig.run(main())


def test_unicast_addresses_come_first_and_too_many_take_everything() -> None:
    async def main() -> None:
        nic = await rig.up()
        nic.dev_mc_add(GROUPS[0])
        others = [bytes.fromhex("0200000001") + bytes([number]) for number in range(15)]
        for address in others[:14]:
            nic.dev_uc_add(address)
        await rig.settled(2_000_000)
        assert receive_addresses(rig) == others[:14]
        assert hashed(rig) == {multicast_hash(GROUPS[0])}
        assert not rig.device.has("RCTL", "UPE")
        nic.dev_uc_add(others[14])
        await rig.settled()
        assert rig.device.has("RCTL", "UPE")
        assert receive_addresses(rig) == [GROUPS[0]]

    rig = Rig()
    rig.run(main())


def test_promiscuous_and_all_multicast() -> None:
    async def main() -> None:
        nic = await rig.up()
        seen = []
        for promiscuous, all_multicast in ((True, False), (True, True), (False, True), (False, False)):
            nic.dev_set_promiscuity(promiscuous)
            nic.dev_set_allmulti(all_multicast)
            await rig.settled()
            seen.append((rig.device.has("RCTL", "UPE"), rig.device.has("RCTL", "MPE")))
            assert rig.device.has("RCTL", "EN")
        assert seen == [(True, True), (True, True), (False, True), (False, False)]

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize(
    ("call", "address"),
    [("dev_mc_add", MAC), ("dev_mc_add", b"\x01"), ("dev_mc_del", GROUPS[0]), ("dev_uc_add", GROUPS[0])],
)
def test_addresses_that_are_none_are_refused(call: str, address: bytes) -> None:
    nic = (rig := Rig()).run(rig.probe())
    with pytest.raises(ValueError, match="eth0: "):
        getattr(nic, call)(address)


def test_what_is_asked_of_a_device_that_is_down_is_written_when_it_comes_up() -> None:
    async def main() -> None:
        nic = await rig.probe()
        rig.bus.accesses.clear()
        nic.dev_mc_add(GROUPS[0])
        nic.dev_set_promiscuity(True)
        vlan = VlanDevice(nic, 5)
        await vlan.open()
        assert rig.bus.accesses == []
        await nic.open()
        await rig.settled()
        assert receive_addresses(rig) == [GROUPS[0]]
        assert rig.device.has("RCTL", "UPE")
        assert rig.device.has("CTRL", "VME")
        assert rig.device.registers[BY_NAME["VFTA"].offset] == 1 << 5
        assert not rig.device.has("RCTL", "VFE"), "promiscuous: every VLAN"

    rig = Rig()
    rig.run(main())


def test_vlan_filter_and_tags() -> None:
    async def main() -> None:
        nic = await rig.up()
        received: list[tuple[str, bytes]] = []
        nic.receive = lambda skb: received.append(("eth0", bytes(skb.data)))
        vlans = [VlanDevice(nic, identifier, priority=identifier % 8) for identifier in (5, 4000)]
        for vlan in vlans:
            await vlan.open()
            vlan.receive = lambda skb: received.append((skb.dev.name if skb.dev else "", bytes(skb.data)))
        await rig.settled()
        assert rig.device.get("VET") == 0x8100
        assert rig.device.has("CTRL", "VME")
        assert rig.device.has("RCTL", "VFE")
        table = {index: rig.device.registers[BY_NAME["VFTA"].offset + 4 * index] for index in range(128)}
        assert {index: bits for index, bits in table.items() if bits} == {0: 1 << 5, 125: 1}
        rig.device.receive(frame(100, 1), vp=1, special=0xE005)
        rig.device.receive(frame(100, 2), vp=1, special=4000)
        rig.device.receive(frame(100, 3), vp=1, special=7)
        rig.device.receive(frame(100, 4))
        rig.device.receive(frame(100, 5), vp=1, special=0x6000)
        await rig.settled()
        assert received == [
            ("eth0.5", frame(100, 1)),
            ("eth0.4000", frame(100, 2)),
            ("eth0", frame(100, 4)),
            ("eth0", frame(100, 5)),
        ]
        assert nic.stats.rx_dropped == 1
        assert nic.counters.rx_octets == 5 * 104 + 4 * 4

        data, fields = partial(udp_packet(b"x" * 30))
        vlans[0].queue_xmit(rig.skb(data, **fields))
        vlans[1].queue_xmit(rig.skb(frame(60)))
        await rig.settled()
        tagged = [(fields["vle"], fields["special"]) for name, fields in rig.device.descriptors if "vle" in fields]
        assert tagged == [(1, 0xA005), (1, 4000)]
        assert nic.counters.tx_octets == len(data) + 8 + 60 + 8

        for vlan in vlans:
            await vlan.stop()
        await rig.settled()
        assert not rig.device.has("CTRL", "VME")
        assert not rig.device.has("RCTL", "VFE")
        assert nic.vlans == {}

    rig = Rig()
    rig.run(main())


def test_without_the_device_s_help_the_tag_is_put_on_and_taken_off_here() -> None:
    async def main() -> None:
        nic = await rig.up(vlan_offload=False, vlan_filter=False)
        received: list[bytes] = []
        vlan = VlanDevice(nic, 5, priority=3)
        assert vlan.features == Features.SG | Features.HW_CSUM | Features.RXCSUM | Features.GSO
        await vlan.open()
        vlan.receive = lambda skb: received.append(bytes(skb.data))
        await rig.settled()
        assert not rig.device.has("CTRL", "VME")
        plain = frame(80, 1)
        rig.device.receive(plain[:12] + b"\x81\x00\x60\x05" + plain[12:])
        await rig.settled()
        assert received == [plain]
        packet = udp_packet(b"x" * 31)
        data, fields = partial(packet)
        vlan.queue_xmit(rig.skb(data, **fields))
        await rig.settled()
        whole = bytes(packet)
        assert rig.device.sent == [whole[:12] + b"\x81\x00\x60\x05" + whole[12:]]

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize(("identifier", "priority"), [(0, 0), (4095, 0), (-1, 0), (5, 8), (7, 0)])
def test_vlans_that_cannot_be(identifier: int, priority: int) -> None:
    async def main() -> None:
        nic = await rig.up()
        await VlanDevice(nic, 7).open()
        with pytest.raises(ValueError, match="eth0: "):
            VlanDevice(nic, identifier, priority=priority)

    rig = Rig()
    rig.run(main())


def test_mtu() -> None:
    async def main() -> None:
        nic = await rig.up()
        assert not rig.device.has("RCTL", "LPE")
        await nic.change_mtu(1500)
        assert nic.counters.resets == 0
        for mtu, long, packet_buffer in ((9000, True, 40), (4000, True, 48), (1500, False, 48)):
            await nic.change_mtu(mtu)
            await rig.until(lambda: nic.carrier)
            assert (nic.mtu, rig.device.has("RCTL", "LPE"), nic.packet_buffer) == (mtu, long, packet_buffer)
        assert rig.bus.writes("PBA") == [40]
        for mtu in (45, 16111):
            with pytest.raises(ValueError, match="mtu takes"):
                await nic.change_mtu(mtu)
        assert nic.mtu == 1500

    rig = Rig()
    rig.run(main())


BOTH = PAUSE | ASYMMETRIC


@pytest.mark.parametrize(
    ("rx", "tx", "partner", "outcome"),
    [
        # 802.3 table 28B-3, row by row.
        (False, False, BOTH, (False, False)),
        (False, True, 0, (False, False)),
        (False, True, PAUSE, (False, False)),
        (False, True, ASYMMETRIC, (False, False)),
        (False, True, BOTH, (False, True)),
        (True, True, PAUSE, (True, True)),
        (True, True, BOTH, (True, True)),
        (True, True, ASYMMETRIC, (True, False)),
        # Linux's own: who offers to heed pause frames does so even if the partner is silent; and one that does not
        # want to send them does not.
        (True, True, 0, (True, False)),
        (True, False, BOTH, (True, False)),
        (True, False, 0, (True, False)),
    ],
)
def test_negotiated_flow_control(rx: bool, tx: bool, partner: int, outcome: tuple[bool, bool]) -> None:
    offered = advertisement(rx=rx, tx=tx)
    assert resolve(offered, partner, FlowControl(autonegotiate=True, rx=rx, tx=tx)) == outcome


@pytest.mark.parametrize("mtu", [1500, 9000])
def test_forced_flow_control(mtu: int) -> None:
    async def main() -> None:
        nic = await rig.up(flow_control=FlowControl(rx=True, tx=True), mtu=mtu)
        get = rig.device.get
        assert (get("FCAL"), get("FCAH"), get("FCT"), get("FCTTV")) == (0x00C28001, 0x0100, 0x8808, 0xFFFF)
        assert rig.device.has("CTRL", "RFCE")
        assert rig.device.has("CTRL", "TFCE")
        size = (48 if mtu == 1500 else 40) << 10
        high = min(size * 9 // 10, size - (mtu + 18)) & ~7
        assert (get("FCRTH"), get("FCRTL")) == (high, (high - 8) | 1 << 31)
        await nic.reinit()
        await rig.until(lambda: nic.carrier)
        assert rig.device.has("CTRL", "TFCE"), "after a reset too"
        await nic.set_flow_control(FlowControl())
        await rig.settled()
        assert (get("FCRTH"), get("FCRTL")) == (0, 0)
        assert not rig.device.has("CTRL", "RFCE")

    rig = Rig()
    rig.run(main())


def test_the_filter_s_bits() -> None:
    rctl = BY_NAME["RCTL"]
    wanted: dict[str, Any] = {"promiscuous": False, "all_multicast": False, "unicast": 14}
    assert receive_filter(**wanted) == 0
    assert receive_filter(**wanted | {"unicast": 15}) == rctl.mask("UPE")
    assert receive_filter(**wanted | {"all_multicast": True}) == rctl.mask("MPE")
    assert receive_filter(**wanted | {"promiscuous": True}) == rctl.mask("UPE", "MPE")
    rig = Rig()
    write_rx_mode(rig.bus, unicast=[PEER], multicast=[])
    rig.env.run_until(1_000_000)
    assert receive_addresses(rig) == [PEER]
