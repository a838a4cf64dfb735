"""The host goes to sleep and wakes up again (Linux's e1000_suspend and e1000_resume)."""

from typing import TYPE_CHECKING, Final

from driver.hardware import flush
from driver.wake import WakeOn, arm, disarm, woken_by
from hw.registers import BY_NAME

if TYPE_CHECKING:
    from driver.e1000 import E1000

__all__ = ["resume", "suspend"]

_RCTL: Final = BY_NAME["RCTL"]


async def suspend(device: "E1000") -> None:
    """Take the interface down, and let the device wake the host by what ``device.wake_on`` says. What it is to receive
    still counts."""
    device.resumes_up = device.up
    await device.stop()
    if not device.wake_on:
        return
    device.filters.write_addresses()
    if WakeOn.MCAST in device.wake_on:
        device.rx_ring.mode |= _RCTL.mask("MPE")
    device.rx_ring.write_mode()
    arm(device.bus, device.wake_on)
    await flush(device.bus)


async def resume(device: "E1000") -> WakeOn:
    """Bring the interface up if it was before ``suspend``. Returns what has woken the host."""
    woken = await woken_by(device.bus)
    disarm(device.bus)
    await device.reset()
    if device.resumes_up:
        await device.open()
    return woken
