"""Our own stack at the far end of the wire, in real time: it answers pings and echoes (RFC 862).

Its timers are those of the wall clock, as a Linux peer's are: simulated time stands still when the NIC is at rest.
"""

import time
from dataclasses import dataclass

from sim.engine import Scheduler
from sim.host import IDEAL, HostCpu
from sim.qemu.far_end import FarEnd
from sim.realtime.services import datagram_echo, echo, serve
from sim.wire import Link, fcs
from sim.wire_device import WireDevice
from stack.host import NetworkStack
from stack.vlan import VlanDevice

__all__ = ["ADDRESS", "JUMBO_ADDRESS", "VLAN", "VLAN_ADDRESS", "StackFarEnd"]

ADDRESS, JUMBO_ADDRESS, VLAN_ADDRESS, _PREFIX = "10.0.2.2", "10.0.9.2", "10.0.5.2", 24
VLAN = 5
_JUMBO_MTU = 9000
_ECHO_PORT = 7


@dataclass(frozen=True, slots=True)
class _Station:
    mac: bytes
    link: Link
    """From the stack (a) to this module (b)."""


class StackFarEnd(FarEnd):
    """The stack is ``ADDRESS``, ``VLAN_ADDRESS`` in the VLAN ``VLAN``, and, with jumbo frames, ``JUMBO_ADDRESS``."""

    def __init__(self, link: Link, *, seed: int) -> None:
        super().__init__(link)
        self._env = env = Scheduler(seed=seed)
        self._origin = time.monotonic_ns()
        self._stack = NetworkStack(env, HostCpu(env, IDEAL))
        self._stations: list[_Station] = []
        device = self._attach("wire0", "020000000002")
        self._stack.add_interface(device, ADDRESS, _PREFIX)
        vlan = VlanDevice(device, VLAN)
        env.spawn(vlan.open())
        self._stack.add_interface(vlan, VLAN_ADDRESS, _PREFIX)
        self._stack.add_interface(self._attach("wire1", "020000000003", mtu=_JUMBO_MTU), JUMBO_ADDRESS, _PREFIX)
        env.spawn(serve(env, self._stack, _ECHO_PORT, echo))
        env.spawn(datagram_echo(env, self._stack, _ECHO_PORT))
        self.run()

    def _attach(self, name: str, address: str, *, mtu: int = 1500) -> WireDevice:
        env, link = self._env, Link(self._env, delay=0)
        mac = bytes.fromhex(address)
        device = WireDevice(
            env, self._stack.cpu, outgoing=link.a_to_b, incoming=link.b_to_a, address=mac, name=name, mtu=mtu
        )
        env.spawn(device.open())
        link.a_to_b.deliver = lambda start, frame: self.send(frame[:-4])
        self._stations.append(_Station(mac, link))
        return device

    @property
    def checksum_errors(self) -> int:
        mib = self._stack.counters.mib
        return mib["Tcp.InCsumErrors"] + mib["Udp.InCsumErrors"] + mib["Icmp.InCsumErrors"]

    def deadline(self) -> float | None:
        when = self._env.next_call()
        return None if when is None else max(when - self._now(), 0) / 1e9

    def run(self) -> None:
        self._env.run_until(self._now())

    def take(self, frame: bytes) -> None:
        self.run()
        for station in self._stations:
            if frame[0] & 1 or frame[:6] == station.mac:
                station.link.b_to_a.send(frame + fcs(frame))
        self.run()

    def _now(self) -> int:
        return time.monotonic_ns() - self._origin
