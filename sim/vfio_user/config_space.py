"""The PCI configuration space of the 82540EM (manual 4.1): the standard header, without capabilities."""

import struct

__all__ = ["CONFIG_BYTES", "ConfigSpace"]

CONFIG_BYTES = 256

_VENDOR_INTEL, _DEVICE_82540EM = 0x8086, 0x100E
_CLASS_ETHERNET = 0x020000
_REVISION = 2
_COMMAND, _STATUS = 0x04, 0x06
_BUS_MASTER, _INTERRUPT_DISABLE = 1 << 2, 1 << 10
_MEDIUM_DEVSEL = 0x0200
_IO_SPACE = 1
_PIN_A = 1

_WRITABLE = {
    _COMMAND: 0x57,  # I/O, memory, bus master, write and invalidate, parity error response
    _COMMAND + 1: 0x05,  # SERR#, interrupt disable
    0x0C: 0xFF,  # cache line size
    0x0D: 0xFF,  # latency timer
    0x3C: 0xFF,  # interrupt line
}
"""Which bits of each byte software changes, base addresses aside."""


class ConfigSpace:
    """256 bytes. Offsets and sizes are those of region 7 and are checked by the caller."""

    def __init__(self, *, memory_bar_bytes: int, io_bar_bytes: int) -> None:
        self._data = data = bytearray(CONFIG_BYTES)
        self._writable = dict(_WRITABLE)
        struct.pack_into("<HHHH", data, 0, _VENDOR_INTEL, _DEVICE_82540EM, 0, _MEDIUM_DEVSEL)
        struct.pack_into("<I", data, 8, _CLASS_ETHERNET << 8 | _REVISION)
        struct.pack_into("<II", data, 0x10, 0, _IO_SPACE)
        struct.pack_into("<HH", data, 0x2C, _VENDOR_INTEL, 0x001E)
        data[0x3D] = _PIN_A
        for offset, size in ((0x10, memory_bar_bytes), (0x14, io_bar_bytes)):
            for index, mask in enumerate((2**32 - size).to_bytes(4, "little")):
                self._writable[offset + index] = mask

    @property
    def bus_master(self) -> bool:
        """Whether the device may reach memory."""
        return bool(self._data[_COMMAND] & _BUS_MASTER)

    @property
    def interrupt_disabled(self) -> bool:
        """Whether the pin is to stay silent (PCI 2.3)."""
        return bool(int.from_bytes(self._data[_COMMAND : _COMMAND + 2], "little") & _INTERRUPT_DISABLE)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._data[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        for position, byte in enumerate(data, offset):
            mask = self._writable.get(position, 0)
            self._data[position] = self._data[position] & ~mask | byte & mask

    def reset(self) -> None:
        """As after power-up: software has written nothing."""
        for position, mask in self._writable.items():
            self._data[position] &= ~mask
