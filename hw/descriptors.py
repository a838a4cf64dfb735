"""The one table of descriptor formats (manual chapter 3: receive 3.2.3, transmit 3.3.3 to 3.3.7).

Pure Python: the driver packs with it, the gateware makes its layouts from it.
"""

from dataclasses import dataclass

__all__ = [
    "DESCRIPTOR_BYTES",
    "RECEIVE",
    "TRANSMIT_CONTEXT",
    "TRANSMIT_DATA",
    "TRANSMIT_LEGACY",
    "DescriptorFormat",
]

DESCRIPTOR_BYTES = 16


@dataclass(frozen=True)
class DescriptorFormat:
    """A 128-bit little-endian descriptor.

    ``fields`` maps a name to ``(lowest bit, width in bits)``.
    """

    name: str
    fields: dict[str, tuple[int, int]]

    def pack(self, **values: int) -> bytes:
        """The 16 bytes of a descriptor with these field values, all others 0. Raises ``ValueError`` on overflow."""
        word = 0
        for name, value in values.items():
            lsb, width = self.fields[name]
            if not 0 <= value < 1 << width:
                raise ValueError(f"{self.name}.{name} takes 0..{(1 << width) - 1}, not {value!r}")
            word |= value << lsb
        return word.to_bytes(DESCRIPTOR_BYTES, "little")

    def unpack(self, raw: bytes) -> dict[str, int]:
        """The field values of 16 bytes."""
        word = int.from_bytes(raw, "little")
        return {name: (word >> lsb) & ((1 << width) - 1) for name, (lsb, width) in self.fields.items()}


TRANSMIT_LEGACY = DescriptorFormat(
    "transmit legacy",
    {
        "address": (0, 64),
        "length": (64, 16),
        "cso": (80, 8),
        "eop": (88, 1),
        "ifcs": (89, 1),
        "ic": (90, 1),
        "rs": (91, 1),
        "rps": (92, 1),
        "dext": (93, 1),
        "vle": (94, 1),
        "ide": (95, 1),
        "dd": (96, 1),
        "ec": (97, 1),
        "lc": (98, 1),
        "css": (104, 8),
        "special": (112, 16),
    },
)

TRANSMIT_CONTEXT = DescriptorFormat(
    "transmit context",
    {
        "ipcss": (0, 8),
        "ipcso": (8, 8),
        "ipcse": (16, 16),
        "tucss": (32, 8),
        "tucso": (40, 8),
        "tucse": (48, 16),
        "paylen": (64, 20),
        "dtyp": (84, 4),
        "tcp": (88, 1),
        "ip": (89, 1),
        "tse": (90, 1),
        "rs": (91, 1),
        "dext": (93, 1),
        "snap": (94, 1),
        "ide": (95, 1),
        "dd": (96, 1),
        "hdrlen": (104, 8),
        "mss": (112, 16),
    },
)

TRANSMIT_DATA = DescriptorFormat(
    "transmit data",
    {
        "address": (0, 64),
        "dtalen": (64, 20),
        "dtyp": (84, 4),
        "eop": (88, 1),
        "ifcs": (89, 1),
        "tse": (90, 1),
        "rs": (91, 1),
        "dext": (93, 1),
        "vle": (94, 1),
        "ide": (95, 1),
        "dd": (96, 1),
        "ec": (97, 1),
        "lc": (98, 1),
        "ixsm": (104, 1),
        "txsm": (105, 1),
        "special": (112, 16),
    },
)

RECEIVE = DescriptorFormat(
    "receive",
    {
        "address": (0, 64),
        "length": (64, 16),
        "checksum": (80, 16),
        "dd": (96, 1),
        "eop": (97, 1),
        "ixsm": (98, 1),
        "vp": (99, 1),
        "tcpcs": (101, 1),
        "ipcs": (102, 1),
        "pif": (103, 1),
        "ce": (104, 1),
        "se": (105, 1),
        "seq": (106, 1),
        "cxe": (108, 1),
        "tcpe": (109, 1),
        "ipe": (110, 1),
        "rxe": (111, 1),
        "special": (112, 16),
    },
)
