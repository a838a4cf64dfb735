"""The command line of QEMU for a guest on this NIC, and what of it matters."""

import json
from pathlib import Path

__all__ = ["MESSAGE_TIMEOUT_MS", "device_options", "guest"]

MESSAGE_TIMEOUT_MS = 600_000
"""x-msg-timeout. If one reply is later than this, QEMU gives the device up for good; its default is 5 s, which a
simulation on a busy machine may need."""


def device_options(socket: Path) -> list[str]:
    """What any command line of QEMU (10.1 or later) needs for this NIC, with ``-M ...,memory-backend=mem``.

    Without shared memory the NIC reaches none of the guest's memory.
    """
    device = {
        "driver": "vfio-user-pci",
        "socket": {"type": "unix", "path": str(socket)},
        "x-msg-timeout": MESSAGE_TIMEOUT_MS,
    }
    return ["-object", "memory-backend-memfd,id=mem,size=256M,share=on", "-device", json.dumps(device)]


def guest(socket: Path, *, kernel: Path, initrd: Path, arguments: str) -> list[str]:
    """QEMU with a Linux guest whose console is standard output.

    The processor is translated (TCG) and counts instructions (``-icount``): the guest's clock does not see how long the
    simulated NIC takes to answer, so its deadlines hold at any speed of the simulation.
    """
    return [
        *("qemu-system-x86_64", "-M", "pc,accel=tcg,memory-backend=mem", "-cpu", "max", "-m", "256M"),
        *("-icount", "shift=3"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot"),
        *("-kernel", str(kernel), "-initrd", str(initrd)),
        *("-append", f"console=ttyS0 quiet panic=-1 oops=panic net.ifnames=0 {arguments}".rstrip()),
        *device_options(socket),
    ]
