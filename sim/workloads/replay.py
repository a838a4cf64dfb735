"""Replay: the frames of a user's capture arrive at host A, with the capture's own timing."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from sim.capture_file import Packet, read_capture
from sim.errors import UserError
from sim.hosts import Hosts
from sim.wire import fcs
from sim.workloads.generator import send_at
from sim.workloads.workload import Load, Workload

__all__ = ["Replay"]

_MINIMUM = 60
_MAXIMUM = 1522 - 4
_DRAIN = 2_000_000
"""ns after the last frame until the phase ends."""


class Replay(Workload):
    """All Ethernet frames of a pcap or pcapng, in the order of their times, whoever sent them.

    Those that are not for a group are given A's MAC address, so that its NIC takes them; what is above Ethernet stays,
    and A's stack drops what is not for it. A frame cut short by the capture is filled up with zeros.
    """

    kind: Literal["replay"] = "replay"
    file: Path
    speed: float = Field(default=1.0, gt=0, le=1_000_000)
    """How many times as fast as in the capture."""

    @property
    def load(self) -> Load:
        return self.speed, "times the capture's speed"

    @property
    def input_file(self) -> Path:
        return self.file

    def packets(self) -> list[Packet]:
        """Raises ``UserError`` for a file that is no capture, or that holds nothing to send."""
        packets = read_capture(self.file)
        if not packets:
            raise UserError(f"{self.file} holds no frames")
        for number, packet in enumerate(packets, start=1):
            if not 14 <= packet.length <= _MAXIMUM:
                raise UserError(f"{self.file}: frame {number} has {packet.length} bytes; 14..{_MAXIMUM} are allowed")
        return sorted(packets, key=lambda packet: packet.time)

    async def run(self, hosts: Hosts) -> None:
        packets = self.packets()
        start = packets[0].time
        await hosts.begin("replay")
        await send_at(
            hosts.env,
            hosts.to_a,
            (((packet.time - start) / self.speed, self._frame(packet, hosts.mac)) for packet in packets),
        )
        await hosts.env.sleep(_DRAIN)
        await hosts.end()

    def _frame(self, packet: Packet, mac: bytes) -> bytes:
        data = packet.data.ljust(max(packet.length, _MINIMUM), b"\x00")
        if not data[0] & 1:
            data = mac + data[6:]
        return data + fcs(data)
