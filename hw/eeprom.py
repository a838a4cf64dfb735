"""The serial EEPROM: a 93C46 microwire part of 64 words, and what it holds (manual chapter 5, and 13.4.3 EECD).

Software drives the part's pins through EECD. After CS rises, zeros on DI are ignored until the first one, the start
bit; then come two bits of opcode and six of address or function, most significant first, each taken when SK rises:

========== =================================================================================================
10 address READ: a 0 on DO after the last address bit, then with each rise of SK a bit of the word, D15 first
01 address WRITE: sixteen bits of data follow
11 address ERASE: the word becomes FFFF
00 11xxxx  EWEN: WRITE and ERASE are possible from now on
00 00xxxx  EWDS: they are not, as after power-up
========== =================================================================================================

WRITE and ERASE are carried out when CS falls, at once, so the part is ready when software next asks. The functions
00 10xxxx (erase all) and 00 01xxxx (write all) are not built and do nothing. DO is 1 while it carries no word, which is
how a pulled-up line reads and what a part that is ready shows.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = [
    "CHECKSUM_WORD",
    "CONTROL_1",
    "CONTROL_2",
    "CONTROL_3",
    "SIGNATURE",
    "SUM",
    "WORDS",
    "Eeprom",
    "Microwire",
    "image",
]

WORDS = 64

SUM = 0xBABA
"""Sum of all words modulo 65536; the last word makes it so (manual 5.6.35)."""

CHECKSUM_WORD = WORDS - 1

_ERASED = 0xFFFF

_FUNCTION, _WRITE, _READ, _ERASE = range(4)
"""Opcodes."""

_DISABLE, _ENABLE = 0b00, 0b11
"""Upper two address bits of a function."""

_INSTRUCTION_BITS = 9
_LAST_BIT = _INSTRUCTION_BITS + 16
"""Bits from the start bit on: of an instruction, and with its data."""


CONTROL_1, CONTROL_2, CONTROL_3 = 0x0A, 0x0F, 0x24
"""Words of initialisation control (manual 5.6): the third is that of the first port."""

SIGNATURE = 0b01
"""Bits 15:14 of control 1 in a valid EEPROM."""


def image(mac_address: bytes) -> list[int]:
    """The 64 words of an EEPROM for a station with this address (manual 5.6). Wake-up by APM is off.

    Raises ``ValueError`` unless it is 6 bytes of a unicast address.
    """
    if len(mac_address) != 6 or mac_address[0] & 1:
        raise ValueError(f"mac_address is 6 bytes of a unicast address, not {mac_address!r}")
    words = [0] * WORDS
    for index in range(3):
        words[index] = int.from_bytes(mac_address[2 * index : 2 * index + 2], "little")
    words[0x04] = 0xFFFF  # LEDs: as the driver thinks best
    words[CONTROL_1] = (
        SIGNATURE << 14 | 0x0403
    )  # initialisation control 1: valid; full duplex; load subsystem and device ids
    words[0x0B] = 0x100E  # subsystem
    words[0x0C] = 0x8086  # subsystem vendor
    words[0x0D] = 0x100E  # device
    words[0x0E] = 0x8086  # vendor
    words[CONTROL_2] = 0x3000  # initialisation control 2: pause both ways
    words[CHECKSUM_WORD] = (SUM - sum(words)) & 0xFFFF
    return words


class Microwire:
    """Golden model of the part: ``pins`` for each change of its pins."""

    def __init__(self, words: Sequence[int]) -> None:
        self.words = [*words]
        self.writable = False
        self._cs = self._sk = 0
        self._bits = ""
        """What has come since CS rose, from the start bit on."""

    def pins(self, *, cs: int, sk: int, di: int) -> int:
        """The pins take these values; returns DO. A rise of SK counts if CS was high before and still is."""
        rises = cs and self._cs and sk and not self._sk
        if rises and (di or self._bits):
            self._bits += str(di)
        opcode, address, data = self._bits[1:3], self._bits[3:9], self._bits[9:25]
        if rises and len(self._bits) == _INSTRUCTION_BITS and opcode == "00":
            self.writable = {"11": True, "00": False}.get(address[:2], self.writable)
        if self._cs and not cs:
            if self.writable and opcode == "01" and len(data) == 16:
                self.words[int(address, 2)] = int(data, 2)
            if self.writable and opcode == "11" and len(address) == 6:
                self.words[int(address, 2)] = _ERASED
            self._bits = ""
        self._cs, self._sk = cs, sk
        if self._bits[1:3] == "10" and _INSTRUCTION_BITS <= len(self._bits) <= _LAST_BIT:
            return int(f"0{self.words[int(address, 2)]:016b}"[len(data)])
        return 1


class Eeprom(wiring.Component):
    """The part, and a second way to its words for the NIC itself. It outlives the NIC's resets.

    Parameters
    ----------
    words : sequence of int
        What the 64 words hold at power-up.

    Members
    -------
    cs, sk, di : ``In(1)``
        The part's inputs. They stay as they are for at least 4 cycles at a time.
    do : ``Out(1)``
        The part's output, at the latest 3 cycles after the inputs.
    read : ``In(1)``, address : ``In(6)``
        The NIC asks for a word; both are held until ``valid``.
    valid : ``Out(1)``, data : ``Out(16)``
        The word, for one cycle.
    """

    cs: In(1)
    sk: In(1)
    di: In(1)
    do: Out(1, init=1)
    read: In(1)
    address: In(6)
    valid: Out(1)
    data: Out(16)

    def __init__(self, *, words: Sequence[int]) -> None:
        if len(words) != WORDS or not all(0 <= word <= 0xFFFF for word in words):
            raise ValueError(f"words must be {WORDS} of 0..65535, not {words!r}")
        self._words = words
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # One block RAM instead of some hundred tables of logic.
        m.submodules.memory = memory = Memory(shape=16, depth=WORDS, init=self._words, attrs={"ram_style": "block"})
        write, read = memory.write_port(), memory.read_port()

        cs_before, sk_before = Signal(), Signal()
        m.d.sync += [cs_before.eq(self.cs), sk_before.eq(self.sk)]
        rises = self.cs & cs_before & self.sk & ~sk_before

        count = Signal(range(_LAST_BIT + 2))  # bits from the start bit on
        shift = Signal(16)
        opcode = Signal(2)
        address = Signal(6)
        writable = Signal()
        fetch = Signal()
        fetched = Signal()
        instruction = Cat(self.di, shift[:7])

        with m.If(~self.cs):
            m.d.sync += [count.eq(0), self.do.eq(1)]
        with m.Elif(rises & ((count != 0) | self.di) & (count <= _LAST_BIT)):
            m.d.sync += count.eq(count + 1)
            with m.If(count < _LAST_BIT):
                m.d.sync += shift.eq(Cat(self.di, shift))
            with m.If(count == _INSTRUCTION_BITS - 1):
                m.d.sync += [Cat(address, opcode).eq(instruction), fetch.eq(1)]
                m.d.sync += self.do.eq(instruction[6:] != _READ)
                with m.If(instruction[6:] == _FUNCTION):
                    with m.If(instruction[4:6] == _ENABLE):
                        m.d.sync += writable.eq(1)
                    with m.Elif(instruction[4:6] == _DISABLE):
                        m.d.sync += writable.eq(0)
            with m.Elif(count >= _INSTRUCTION_BITS):
                m.d.sync += self.do.eq(shift[15] | (opcode != _READ) | (count == _LAST_BIT))

        # The word to be read takes the place of the instruction.
        m.d.comb += [
            read.addr.eq(Mux(fetch, address, self.address)),
            self.data.eq(read.data),
        ]
        m.d.sync += [fetched.eq(fetch), self.valid.eq(self.read & ~fetch & ~self.valid)]
        with m.If(fetch):
            m.d.sync += fetch.eq(0)
        with m.If(fetched & (opcode == _READ)):
            m.d.sync += shift.eq(read.data)

        complete = ((opcode == _WRITE) & (count >= _LAST_BIT)) | ((opcode == _ERASE) & (count >= _INSTRUCTION_BITS))
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(Mux(opcode == _ERASE, _ERASED, shift)),
            write.en.eq(cs_before & ~self.cs & writable & complete),
        ]
        return m
