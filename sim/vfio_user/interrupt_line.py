"""The interrupt pin on its way to the client: an eventfd that is written when the level rises, then masked.

That is VFIO's automasked INTx: the client unmasks when its guest has looked, and a level that is up by then is told
again.
"""

import contextlib
import errno
import os

from sim.vfio_user.messages import IrqFlag, RequestError

__all__ = ["InterruptLine"]

_ONE = (1).to_bytes(8, "little")


class InterruptLine:
    """INTx of one function. ``level`` follows the pin; ``triggers`` counts what the client was told."""

    def __init__(self) -> None:
        self._level = False
        self._masked = False
        self._trigger: int | None = None
        self.triggers = 0

    @property
    def level(self) -> bool:
        return self._level

    @level.setter
    def level(self, level: bool) -> None:
        self._level = level
        if level and not self._masked and self._trigger is not None:
            self._masked = True
            self._tell()

    def set(self, flags: IrqFlag, count: int, data: bytes, descriptors: list[int]) -> None:
        """DEVICE_SET_IRQS for the one pin. A descriptor that is kept is taken out of ``descriptors``.

        Raises ``RequestError`` (EINVAL) for what makes no sense, such as several kinds of data.
        """
        kind = flags & (IrqFlag.DATA_NONE | IrqFlag.DATA_BOOL | IrqFlag.DATA_EVENTFD)
        action = flags & ~kind
        if kind not in tuple(IrqFlag)[:3] or action not in tuple(IrqFlag)[3:] or count > 1:
            raise RequestError(errno.EINVAL, f"interrupt flags {flags:#x} for {count} interrupts")
        if kind is IrqFlag.DATA_BOOL and len(data) < count:
            raise RequestError(errno.EINVAL, "a flag for the interrupt is missing")
        wanted = count == 1 and (kind is not IrqFlag.DATA_BOOL or data[0] != 0)
        if action is IrqFlag.ACTION_TRIGGER and kind is IrqFlag.DATA_EVENTFD:
            self._disable()
            if descriptors and count:
                self._trigger = descriptors.pop(0)
                os.set_blocking(self._trigger, False)
                self.level = self._level
        elif action is IrqFlag.ACTION_TRIGGER and kind is IrqFlag.DATA_NONE and count == 0:
            self._disable()
        elif kind is IrqFlag.DATA_EVENTFD:
            # A descriptor to be watched for masking or unmasking: its owner may do without (KVM's way).
            raise RequestError(errno.ENOTSUP, "masking by eventfd")
        elif action is IrqFlag.ACTION_MASK:
            self._masked |= wanted
        elif action is IrqFlag.ACTION_UNMASK and wanted:
            self._masked = False
            self.level = self._level
        elif action is IrqFlag.ACTION_TRIGGER and wanted and self._trigger is not None:
            self._tell()

    def _tell(self) -> None:
        assert self._trigger is not None
        self.triggers += 1
        # What is no eventfd, or one that nobody reads, is the client's loss.
        with contextlib.suppress(OSError):
            os.write(self._trigger, _ONE)

    def _disable(self) -> None:
        if self._trigger is not None:
            os.close(self._trigger)
        self._trigger = None
        self._masked = False

    def reset(self) -> None:
        """Forget the client."""
        self._disable()
        self._level = False
