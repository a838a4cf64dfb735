"""The stack as a program of its own, on a TAP (``niclab stack``)."""

import asyncio
import ipaddress
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sim.errors import UserError
from sim.pcapng import PcapngWriter
from sim.realtime import services
from sim.realtime.control import ControlServer, control_path
from sim.realtime.engine import RealTimeCpu, RealTimeEngine
from sim.realtime.iperf3 import serve_iperf3
from sim.realtime.tap import TapDevice
from stack.host import NetworkStack
from stack.skbuff import SkBuff
from stack.tcp.sysctl import TcpSysctl

__all__ = ["StackSettings", "parse_address", "run"]

_LEAST_MTU, _GREATEST_MTU = 68, 65521
"""RFC 791's least, and what a TAP takes."""


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """What ``niclab stack`` is told. Port 0: the service is off."""

    tap: str
    addresses: tuple[str, ...]
    """With their prefixes: ``10.77.0.2/24``."""
    host_address: str | None = None
    """The kernel's end is given this address and switched on."""
    routes: tuple[str, ...] = ()
    """``network/prefix via gateway``."""
    mac: str = "02:00:6e:69:63:02"
    mtu: int = 1500
    offloads: bool = True
    seed: int = 0
    sysctls: tuple[str, ...] = ()
    """``name=value``."""
    echo: int = 7
    discard: int = 9
    chargen: int = 19
    http: int = 80
    root: Path | None = None
    """What the HTTP service shows; without it there is none."""
    iperf3: int = 5201
    capture: Path | None = None


def parse_address(text: str) -> tuple[str, int]:
    """``address/prefix`` taken apart. Raises ``UserError``."""
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError as error:
        raise UserError(f"{error}; write an address as 10.77.0.2/24") from None
    if "/" not in text:
        raise UserError(f"{text}: the prefix is missing; write an address as {text}/24")
    return str(interface.ip), interface.network.prefixlen


def _parse_mac(text: str) -> bytes:
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", text):
        raise UserError(f"{text!r} is no MAC address; write one as 02:00:00:00:00:01")
    address = bytes.fromhex(text.replace(":", ""))
    if address[0] & 1:
        raise UserError(f"{text} is a group address; a station's first octet is even")
    return address


def _ip(*words: str) -> None:
    """Run ip(8). Raises ``UserError``."""
    try:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError("ip: no such program; install iproute2, or leave --host-address out") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"ip {' '.join(words)}: {error.stderr.strip()}") from None


def _configure(stack: NetworkStack, device: TapDevice, settings: StackSettings) -> None:
    """Addresses, routes and sysctls. Raises ``UserError``."""
    for text in settings.addresses:
        stack.add_interface(device, *parse_address(text))
    for text in settings.routes:
        match = re.fullmatch(r"(\S+)\s+via\s+(\S+)", text)
        if match is None:
            raise UserError(f"route {text!r}: write it as 'default via 10.77.0.1' or '10.0.0.0/8 via 10.77.0.1'")
        network, prefix = ("0.0.0.0", 0) if match[1] == "default" else parse_address(match[1])
        try:
            stack.add_route(network, prefix, match[2])
        except (ValueError, OSError) as error:
            raise UserError(f"route {text!r}: {error}") from None
    sysctl = TcpSysctl(stack.tcp)
    for text in settings.sysctls:
        name, _, value = text.partition("=")
        try:
            sysctl.write(name.strip(), value)
        except OSError as error:
            raise UserError(f"sysctl {text!r}: {error.strerror}") from None


async def _serve(engine: RealTimeEngine, stack: NetworkStack, settings: StackSettings) -> None:
    chosen: dict[int, services.Handler] = {
        settings.echo: services.echo,
        settings.discard: services.discard,
        settings.chargen: services.chargen,
    }
    if settings.root is not None:
        chosen[settings.http] = services.http(settings.root)
    for port, handler in chosen.items():
        if port:
            await services.serve(engine, stack, port, handler)
    if settings.echo:
        await services.datagram_echo(engine, stack, settings.echo)
    if settings.iperf3:
        await serve_iperf3(engine, stack, settings.iperf3)


def _capture(engine: RealTimeEngine, device: TapDevice, path: Path) -> PcapngWriter:
    """Write all that passes the device. Checksums that were left to the kernel are not filled in."""
    writer = PcapngWriter(path, interface=device.name)

    def record(skb: SkBuff) -> None:
        writer.write(engine.now, skb.frame())

    device.taps.append(record)
    device.transmit_taps.append(record)
    return writer


def run(settings: StackSettings, announce: Callable[[str], None]) -> None:
    """Bring the stack up, and run until SIGINT or SIGTERM. Raises ``UserError``."""
    if not _LEAST_MTU <= settings.mtu <= _GREATEST_MTU:
        raise UserError(f"--mtu is {_LEAST_MTU} to {_GREATEST_MTU}, not {settings.mtu}")
    if settings.root is not None and not settings.root.is_dir():
        raise UserError(f"--root {settings.root}: no such directory")
    for text in (*settings.addresses, *([settings.host_address] if settings.host_address else [])):
        parse_address(text)
    engine = RealTimeEngine(seed=settings.seed)
    cpu = RealTimeCpu(engine)
    device = TapDevice(
        engine, cpu, name=settings.tap, address=_parse_mac(settings.mac), mtu=settings.mtu, offloads=settings.offloads
    )
    stack = NetworkStack(engine, cpu)
    _configure(stack, device, settings)
    stopped = asyncio.Event()

    async def main() -> None:
        await engine.future(device.open())
        if settings.host_address is not None:
            _ip("link", "set", settings.tap, "mtu", str(settings.mtu), "up")
            _ip("address", "replace", settings.host_address, "dev", settings.tap)
        await engine.future(_serve(engine, stack, settings))
        control = ControlServer(engine, stack, control_path(settings.tap))
        await control.start()
        writer = _capture(engine, device, settings.capture) if settings.capture else None
        for number in (signal.SIGINT, signal.SIGTERM):
            engine.loop.add_signal_handler(number, stopped.set)
        announce(f"{settings.tap}: up with {', '.join(settings.addresses)}; Ctrl-C ends it")
        try:
            await stopped.wait()
        finally:
            await control.stop()
            stack.close()
            await engine.future(device.stop())
            if writer is not None:
                writer.close()

    engine.run_asyncio(main())
