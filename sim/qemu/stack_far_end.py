"""Our own stack at the far end of the wire, in real time: it answers pings and echoes (RFC 862) on three interfaces.

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

__all__ = ["ADDRESS", "JUMBO_ADDRESS", "VLAN", "VLAN_ADDRESS", "StackFarEnd"]

ADDRESS, JUMBO_ADDRESS, VLAN_ADDRESS, _PREFIX = "10.0.2.2", "10.0.9.2", "10.0.5.2", 24
VLAN = 5
_ECHO_PORT = 7
_TAG = b"\x81\x00" + VLAN.to_bytes(2, "big")
_VID = 0x0FFF
_ADDRESSES_BYTES = 12


@dataclass(frozen=True, slots=True)
class _Interface:
    mac: bytes
    tagged: bool
    link: Link
    """From the stack (a) to this module (b)."""


class StackFarEnd(FarEnd):
    """The stack is ``ADDRESS``; with an MTU of 9000 it is ``JUMBO_ADDRESS``; in the VLAN ``VLAN``, ``VLAN_ADDRESS``."""

    def __init__(self, link: Link, *, seed: int) -> None:
        super().__init__(link)
        self._env = env = Scheduler(seed=seed)
        self._origin = time.monotonic_ns()
        self._stack = NetworkStack(env, HostCpu(env, IDEAL))
        self._interfaces = [
            self._attach("wire0", ADDRESS, "020000000002"),
            self._attach("wire1", JUMBO_ADDRESS, "020000000003", mtu=9000),
            self._attach(f"wire0.{VLAN}", VLAN_ADDRESS, "020000000002", tagged=True),
        ]
        env.spawn(serve(env, self._stack, _ECHO_PORT, echo))
        env.spawn(datagram_echo(env, self._stack, _ECHO_PORT))
        self.run()

    def _attach(self, name: str, address: str, mac: str, *, mtu: int = 1500, tagged: bool = False) -> _Interface:
        env, link = self._env, Link(self._env, delay=0)
        station = bytes.fromhex(mac)
        device = WireDevice(
            env, self._stack.cpu, outgoing=link.a_to_b, incoming=link.b_to_a, address=station, name=name, mtu=mtu
        )
        self._stack.add_interface(device, address, _PREFIX)
        env.spawn(device.open())

        def send(start: int, frame: bytes) -> None:
            tag = _TAG if tagged else b""
            self.send(frame[:_ADDRESSES_BYTES] + tag + frame[_ADDRESSES_BYTES:-4])

        link.a_to_b.deliver = send
        return _Interface(station, tagged, link)

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
        end = _ADDRESSES_BYTES
        tagged = frame[end : end + 2] == _TAG[:2]
        if tagged:
            if int.from_bytes(frame[end + 2 : end + 4], "big") & _VID != VLAN:
                return
            frame = frame[:end] + frame[end + 4 :]
        for interface in self._interfaces:
            if tagged == interface.tagged and (frame[0] & 1 or frame[:6] == interface.mac):
                interface.link.b_to_a.send(frame + fcs(frame))
        self.run()

    def _now(self) -> int:
        return time.monotonic_ns() - self._origin
