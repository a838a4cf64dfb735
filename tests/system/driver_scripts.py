"""Scripts for ``test_driver.py``: they run on the Verilated NIC, inside its simulator, and on the model."""

from typing import Any

from driver import ethtool
from driver.flow_control import FlowControl
from driver.power import resume, suspend
from driver.register_dump import get_regs
from driver.self_test import self_test
from driver.wake import WakeOn
from sim.station import PEER_ADDRESS, PEER_MAC, PREFIX, Station
from sim.wire import fcs
from stack.net_device import NetDevice
from stack.skbuff import SkBuff
from stack.socket import AF_INET, SOCK_STREAM
from stack.vlan import VlanDevice

GROUP = bytes.fromhex("01005e000009")
OTHER_GROUP = bytes.fromhex("01005e00ff19")
STRANGER = bytes.fromhex("020000000099")
TYPE = b"\x88\xb5"


def frame(destination: bytes, number: int, *, tag: int | None = None, size: int = 60) -> bytes:
    vlan = b"" if tag is None else b"\x81\x00" + tag.to_bytes(2, "big")
    return (destination + PEER_MAC + vlan + TYPE + number.to_bytes(2, "big")).ljust(size, b"\0")


class Listener:
    """Numbers of the frames that a device has received."""

    def __init__(self, device: NetDevice) -> None:
        self.numbers: list[int] = []
        device.taps.append(self)

    def __call__(self, skb: SkBuff) -> None:
        data = bytes(skb.data)
        if data[12:14] == TYPE:
            self.numbers.append(int.from_bytes(data[14:16], "big"))

    def take(self) -> list[int]:
        taken, self.numbers = self.numbers, []
        return taken


async def offer(station: Station, *frames: bytes) -> None:
    # What was written to registers before has arrived then.
    await station.cpu.settle()
    await station.env.sleep(1_000)
    for data in frames:
        station.link.b_to_a.send(data + fcs(data))
    await station.env.sleep(400_000)


async def transfer(station: Station, size: int, *, address: str = PEER_ADDRESS) -> int:
    """Send ``size`` bytes to the peer, which sends them back; how many came back right."""
    content = bytes(index * 7 & 0xFF for index in range(size))
    back = bytearray()

    async def serve() -> None:
        listener = station.peer.socket(AF_INET, SOCK_STREAM)
        await listener.bind((address, 7))
        await listener.listen(1)
        connection, _ = await listener.accept()
        while data := await connection.recv(65536):
            await connection.sendall(data)
        await connection.close()
        await listener.close()

    async def read(connection: Any) -> None:
        while data := await connection.recv(65536):
            back.extend(data)

    server = station.env.spawn(serve())
    connection = station.stack.socket(AF_INET, SOCK_STREAM)
    await connection.connect((address, 7))
    reader = station.env.spawn(read(connection))
    await connection.sendall(content)
    await connection.shutdown(1)
    await reader
    await connection.close()
    await server
    return size if bytes(back) == content else -1


async def filters(station: Station) -> dict[str, list[int]]:
    """What arrives: with the station's address alone, a group, all groups, everything, a VLAN filter."""
    device = await station.up()
    heard = Listener(device)
    everything = (
        frame(device.address, 1),
        frame(STRANGER, 2),
        frame(GROUP, 3),
        frame(OTHER_GROUP, 4),
        frame(b"\xff" * 6, 5),
    )
    result = {}
    await offer(station, *everything)
    result["address"] = heard.take()
    device.dev_mc_add(GROUP)
    await offer(station, *everything)
    result["group"] = heard.take()
    device.dev_set_allmulti(True)
    await offer(station, *everything)
    result["all groups"] = heard.take()
    device.dev_mc_del(GROUP)
    device.dev_set_allmulti(False)
    for index in range(20):
        device.dev_mc_add(bytes.fromhex("01005e0a00") + bytes([index]))
    device.dev_mc_add(OTHER_GROUP)
    await offer(station, *everything)
    result["hashed group"] = heard.take()
    device.dev_uc_add(STRANGER)
    await offer(station, *everything)
    result["second address"] = heard.take()
    device.dev_set_promiscuity(True)
    await offer(station, *everything)
    result["promiscuous"] = heard.take()
    device.dev_set_promiscuity(False)
    await device.reinit()
    await station.until(lambda: device.carrier, "no link after a reset")
    await offer(station, *everything)
    result["after a reset"] = heard.take()
    return result


async def vlans(station: Station) -> dict[str, Any]:
    """VLAN 5 with and without the device's help, over TCP; and which tagged frames arrive."""
    device = await station.up()
    vlan = VlanDevice(device, 5)
    await vlan.open()
    await device.cpu.settle()
    peer_vlan = VlanDevice(station.peer_device, 5)
    await peer_vlan.open()
    station.stack.add_interface(vlan, "198.51.100.1", PREFIX)
    station.peer.add_interface(peer_vlan, "198.51.100.2", PREFIX)
    heard, tagged = Listener(device), Listener(vlan)
    result: dict[str, Any] = {}
    await offer(station, *(frame(device.address, tag, tag=tag) for tag in (5, 6, 0)), frame(device.address, 99))
    result["filtered"] = [heard.take(), tagged.take()]
    result["with help"] = await transfer(station, 30_000, address="198.51.100.2")
    result["segmented"] = device.counters.tso_packets > 0
    await ethtool.set_features(device, {"rxvlan": False, "rx-vlan-filter": False})
    await offer(station, *(frame(device.address, tag, tag=tag) for tag in (5, 6)))
    result["no filter"] = [device.stats.rx_dropped, tagged.take()]
    result["tag taken off by the stack"] = await transfer(station, 10_000, address="198.51.100.2")
    await vlan.stop()
    await ethtool.set_features(device, {"txvlan": False})
    second = VlanDevice(device, 5)
    result["tags"] = second.tags
    return result


async def jumbo(station: Station) -> dict[str, int]:
    """Frames of 9018 bytes, after a change of the MTU in use."""
    device = await station.up()
    result = {"before": await transfer(station, 20_000)}
    lengths: list[int] = []
    station.link.taps.append(lambda direction, start, data: lengths.append(len(data)))
    await device.change_mtu(9000)
    station.peer_device.mtu = 9000
    await station.until(lambda: device.carrier, "no link after the change")
    result["after"] = await transfer(station, 100_000)
    stats = await ethtool.get_stats(device)
    result["long frames refused"] = stats["rx_long_length_errors"]
    result["frames sent"] = stats["tx_packets"]
    result["longest"] = max(lengths)
    await device.change_mtu(1500)
    station.peer_device.mtu = 1500
    await station.until(lambda: device.carrier, "no link after the change back")
    result["back"] = await transfer(station, 20_000)
    return result


async def pause(station: Station) -> dict[str, Any]:
    """Pause frames by force: heeded, and sent when the receiver is short of room."""
    device = await station.up(flow_control=FlowControl(autonegotiate=True, rx=True, tx=True))
    result: dict[str, Any] = {"negotiated": list(device.pause)}
    await ethtool.set_pauseparam(device, autoneg=False, rx=True, tx=True)
    result["forced"] = list(ethtool.get_pauseparam(device))
    quanta = 1000
    xoff = bytes.fromhex("0180c2000001") + PEER_MAC + b"\x88\x08\x00\x01" + quanta.to_bytes(2, "big") + bytes(42)
    station.link.b_to_a.send(xoff + fcs(xoff))
    await station.env.sleep(2_000)
    sent: list[int] = []
    station.link.taps.append(lambda direction, start, data: sent.append(start) if direction.name == "a to b" else None)
    begin = station.env.now
    device.queue_xmit(SkBuff(frame(PEER_MAC, 1)))
    await station.until(lambda: bool(sent), "nothing is sent")
    result["held"] = sent[0] - begin
    # A flood for a device whose driver takes nothing.
    device.napi.enabled = False
    for number in range(400):
        data = frame(device.address, number, size=1514)
        station.link.b_to_a.send(data + fcs(data))
    await station.env.sleep(6_000_000)
    stats = await ethtool.get_stats(device)
    result["xoff received"] = stats["rx_flow_control_xoff"]
    result["xoff sent"] = stats["tx_flow_control_xoff"]
    return result


async def wake(station: Station) -> dict[str, Any]:
    """Each cause wakes alone; the interface is as before afterwards."""
    device = await station.up()
    result: dict[str, Any] = {}
    magic = (b"\xff" * 6 + PEER_MAC + b"\x08\x42" + b"\xff" * 6 + device.address * 16).ljust(60, b"\0")
    causes = {"g": magic, "u": frame(device.address, 1), "m": frame(GROUP, 2), "b": frame(b"\xff" * 6, 3)}
    for armed in causes:
        ethtool.set_wol(device, armed)
        woken = []
        for letter, data in causes.items():
            await suspend(device)
            station.link.b_to_a.send(data + fcs(data))
            await station.env.sleep(50_000)
            if await resume(device) != WakeOn.NONE:
                woken.append(letter)
        result[armed] = woken
    await station.until(lambda: device.carrier, "no link after the sleep")
    result["up"] = await transfer(station, 10_000)
    return result


async def resets(station: Station, count: int) -> dict[str, Any]:
    """Resets in the middle of a transfer each way, and of datagrams that nobody repeats: nothing is lost but time."""
    device = await station.up(tx_descriptors=80)
    env = station.env

    async def disturb() -> None:
        for _ in range(count):
            await env.sleep(400_000)
            await device.reinit()

    disturber = env.spawn(disturb())
    result: dict[str, Any] = {"transferred": await transfer(station, 400_000)}
    await disturber
    arrived = Listener(station.peer_device)
    await station.until(lambda: device.carrier, "no link")
    for number in range(60):
        device.queue_xmit(SkBuff(frame(PEER_MAC, number, size=1514)))
    await env.sleep(100_000)
    await device.reinit()
    await station.until(lambda: device.carrier, "no link")
    await env.sleep(1_000_000)
    result["datagrams"] = arrived.take() == list(range(60))
    result["lost"] = device.counters.tx_fifo_lost
    result["resets"] = device.counters.resets
    return result


async def rings(station: Station) -> dict[str, Any]:
    """ethtool -G, -C and -K in use."""
    device = await station.up()
    result: dict[str, Any] = {"first": await transfer(station, 20_000)}
    await ethtool.set_ringparam(device, rx=512, tx=128)
    await station.until(lambda: device.carrier, "no link after -G")
    result["rings"] = list(ethtool.get_ringparam(device))
    result["lengths"] = [await station.bus.read32(offset) // 16 for offset in (0x2808, 0x3808)]
    result["second"] = await transfer(station, 20_000)
    ethtool.set_coalesce(device, rx_usecs=100)
    result["itr"] = await station.bus.read32(0xC4)
    await ethtool.set_features(device, {"tx": False, "rx": False, "gro": False})
    await station.until(lambda: device.carrier, "no link after -K")
    result["features"] = ethtool.get_features(device)
    before = device.counters.tso_packets
    result["third"] = await transfer(station, 20_000)
    result["segmented"] = device.counters.tso_packets - before
    return result


async def tests(station: Station) -> dict[str, Any]:
    """ethtool -t offline on a device that is up, and that it works afterwards; then -d."""
    device = await station.up()
    result: dict[str, Any] = {"results": await self_test(device, wait=20_000)}
    await station.until(lambda: device.carrier, "no link after the test")
    result["after"] = await transfer(station, 20_000)
    result["online"] = await self_test(device, offline=False)
    result["registers"] = {item.name: item.value for item in await get_regs(station.bus, device.name)}
    return result


async def refused(station: Station) -> None:
    VlanDevice(await station.probe(), 4095)
