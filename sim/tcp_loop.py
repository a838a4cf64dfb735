"""Two stacks on ideal devices and a wire, no NIC: how fast the software by itself is."""

import time

from sim.engine import EventEngine
from sim.host import IDEAL, HostCpu
from sim.wire import Link
from sim.wire_device import WireDevice
from sim.workloads.file_transfer import Transfer
from stack.host import NetworkStack

__all__ = ["run_transfer", "tcp_bits_per_second"]

_ADDRESSES = ("192.0.2.1", "192.0.2.2")


def run_transfer(transfer: Transfer, env: EventEngine, link: Link) -> None:
    """Run a transfer's two programs over ``link`` to their end."""
    stacks = []
    devices = []
    directions = ((link.a_to_b, link.b_to_a), (link.b_to_a, link.a_to_b))
    for number, ((outgoing, incoming), address) in enumerate(zip(directions, _ADDRESSES, strict=True), start=1):
        cpu = HostCpu(env, IDEAL)
        mac = bytes([2, 0, 0, 0, 0, number])
        devices.append(WireDevice(env, cpu, outgoing=outgoing, incoming=incoming, address=mac))
        stacks.append(NetworkStack(env, cpu))
        stacks[-1].add_interface(devices[-1], address, 24)

    async def main() -> None:
        for device in devices:
            await device.open()
        server = env.spawn(transfer.serve(stacks[1], _ADDRESSES[1]), name="server")
        await transfer.request(stacks[0], _ADDRESSES[1])
        await server
        for stack in stacks:
            stack.close()
        for device in devices:
            await device.stop()

    env.run(main())


def tcp_bits_per_second(size: int) -> float:
    """Bits of ``size`` bytes, sent and returned, per second of wall time."""
    env = EventEngine(seed=1)
    transfer = Transfer(env, bytes(size), 0)
    started = time.perf_counter()
    run_transfer(transfer, env, Link(env))
    return 16 * size / (time.perf_counter() - started)
