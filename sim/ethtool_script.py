"""What ``niclab ethtool`` does on a NIC: changes first, then a workload, then what is to be seen."""

from typing import Any

from driver import ethtool
from driver.e1000 import E1000
from driver.register_dump import get_regs
from driver.self_test import self_test
from hw.registers import BY_NAME
from sim.errors import RunFailedError
from sim.station import PEER_ADDRESS, Station
from stack.socket import AF_INET, SHUT_WR, SOCK_STREAM

__all__ = ["WORKLOADS", "run"]

WORKLOADS = {
    "none": "nothing",
    "ping": "20 echo requests of 56 bytes",
    "transfer": "256 KiB over TCP to the peer and back",
}

PINGS = 20
TRANSFER = 256 * 1024
SELF_TEST_WAIT = 20_000
"""ns, where Linux waits 10 ms for an interrupt: there is no other load that could delay it."""

_SHOWN_BY = {"C": "c", "K": "k", "G": "g", "A": "a"}
"""What shows a change."""

_PORT = 7
_CHUNK = 65536


async def run(station: Station, *, actions: list[dict[str, Any]], workload: str) -> dict[str, Any]:
    """The text of each action that shows something, and whether all is well. Raises ``ValueError`` for changes that do
    not go together, ``RunFailedError`` if the workload fails."""
    device = await station.up()
    shown: dict[str, dict[str, Any]] = {}
    for action in actions:
        letter, settings = action["letter"], action["settings"]
        await _change(device, letter, settings)
        shown[_SHOWN_BY.get(letter, letter)] = settings
    await station.until(lambda: device.carrier, "no link")
    if workload == "ping":
        answered = await station.stack.ping(PEER_ADDRESS, count=PINGS)
        if len(answered) != PINGS:
            raise RunFailedError(f"{PINGS - len(answered)} of {PINGS} echo requests were not answered")
    elif workload == "transfer":
        await _transfer(station)
    texts = []
    good = True
    for letter, settings in shown.items():
        text, passed = await _show(station, letter, settings)
        texts.append(text)
        good = good and passed
    return {"texts": texts, "good": good}


async def _change(device: E1000, letter: str, settings: dict[str, Any]) -> None:
    match letter:
        case "C":
            ethtool.set_coalesce(device, **settings)
        case "K":
            await ethtool.set_features(device, settings)
        case "G":
            await ethtool.set_ringparam(device, **settings)
        case "A":
            await ethtool.set_pauseparam(device, **settings)
        case "s":
            ethtool.set_wol(device, settings["wol"])


async def _transfer(station: Station) -> None:
    content = bytes(index * 31 & 0xFF for index in range(TRANSFER))
    back = bytearray()

    async def serve() -> None:
        listener = station.peer.socket(AF_INET, SOCK_STREAM)
        await listener.bind((PEER_ADDRESS, _PORT))
        await listener.listen(1)
        connection, _ = await listener.accept()
        while data := await connection.recv(_CHUNK):
            await connection.sendall(data)
        await connection.close()
        await listener.close()

    server = station.env.spawn(serve())
    connection = station.stack.socket(AF_INET, SOCK_STREAM)
    await connection.connect((PEER_ADDRESS, _PORT))

    async def read() -> None:
        while data := await connection.recv(_CHUNK):
            back.extend(data)

    reader = station.env.spawn(read())
    await connection.sendall(content)
    await connection.shutdown(SHUT_WR)
    await reader
    await connection.close()
    await server
    if bytes(back) != content:
        raise RunFailedError(f"of {TRANSFER} bytes {len(back)} came back, and they differ")


def _on(value: bool) -> str:
    return "on" if value else "off"


async def _show(station: Station, letter: str, settings: dict[str, Any]) -> tuple[str, bool]:
    """One section as ethtool prints it, and whether it tells of success."""
    device = station.device
    name = device.name
    match letter:
        case "c":
            coalesce = ethtool.get_coalesce(device)
            lines = [
                f"Coalesce parameters for {name}:",
                f"Adaptive RX: {_on(coalesce.adaptive_rx)}",
                f"rx-usecs: {coalesce.rx_usecs}",
            ]
        case "k":
            lines = [f"Features for {name}:"]
            lines += [f"{feature}: {_on(value)}" for feature, value in ethtool.get_features(device).items()]
        case "g":
            ring = ethtool.get_ringparam(device)
            lines = [
                f"Ring parameters for {name}:",
                "Pre-set maximums:",
                f"RX:\t\t{ring.rx_max}",
                f"TX:\t\t{ring.tx_max}",
                "Current hardware settings:",
                f"RX:\t\t{ring.rx}",
                f"TX:\t\t{ring.tx}",
            ]
        case "a":
            pause = ethtool.get_pauseparam(device)
            lines = [
                f"Pause parameters for {name}:",
                f"Autonegotiate:\t{_on(pause.autoneg)}",
                f"RX:\t\t{_on(pause.rx)}",
                f"TX:\t\t{_on(pause.tx)}",
                f"RX in force:\t{_on(pause.rx_active)}",
                f"TX in force:\t{_on(pause.tx_active)}",
            ]
        case "s":
            supported, wol = ethtool.get_wol(device)
            lines = [f"Settings for {name}:", f"\tSupports Wake-on: {supported}", f"\tWake-on: {wol}"]
        case "S":
            lines = ["NIC statistics:"]
            lines += [f"     {item}: {value}" for item, value in (await ethtool.get_stats(device)).items()]
        case "d":
            lines = await _registers(station)
        case _:
            return await _self_test(device, offline=settings["offline"])
    return "\n".join(lines), True


async def _registers(station: Station) -> list[str]:
    lines = ["MAC Registers", "-------------"]
    for register in await get_regs(station.bus, station.device.name):
        where = f"0x{register.offset:05X}: " if register.name in BY_NAME else f"PHY {register.offset:2}:  "
        lines.append(f"{where}{register.name:22} 0x{register.value:08X}")
        lines += [f"      {field}: {value}" for field, value in register.fields.items()]
    return lines


async def _self_test(device: E1000, *, offline: bool) -> tuple[str, bool]:
    results = await self_test(device, offline=offline, wait=SELF_TEST_WAIT)
    good = not any(results.values())
    lines = [f"The test result is {'PASS' if good else 'FAIL'}", "The test extra info:"]
    for part, value in results.items():
        where = "on/offline" if part == "link" else "offline"
        lines.append(f"{part.capitalize():9} test  ({where})\t {value}")
    return "\n".join(lines), good
