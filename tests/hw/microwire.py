"""A driver's way to the EEPROM through EECD: the bits of Linux's e1000, each write followed by a read of STATUS."""

from hw.registers import BY_NAME
from tests.hw.nic_bench import NicBench

__all__ = ["MicrowireDriver"]

_EECD = BY_NAME["EECD"]
_SK, _CS, _DI, _DO, _REQ, _GNT = (_EECD.mask(name) for name in ("SK", "CS", "DI", "DO", "REQ", "GNT"))

_ADDRESS_BITS = 6
_READ, _WRITE = (0b110, 3), (0b101, 3)
_ENABLE, _DISABLE = (0b10011, 5), (0b10000, 5)
_POLLS = 200


class MicrowireDriver:
    """Reads and writes words through the register EECD of a bench."""

    def __init__(self, bench: NicBench) -> None:
        self._bench = bench

    async def _write(self, eecd: int) -> int:
        await self._bench.write("EECD", eecd)
        await self._bench.read("STATUS")
        return eecd

    async def _acquire(self) -> None:
        eecd = await self._bench.read("EECD")
        assert not eecd & _GNT
        await self._write(eecd | _REQ)
        eecd = await self._bench.read("EECD")
        assert eecd & _GNT
        eecd = await self._write(eecd & ~(_DI | _SK))
        await self._write(eecd | _CS)

    async def _release(self) -> None:
        eecd = await self._write(await self._bench.read("EECD") & ~(_CS | _DI))
        eecd = await self._write(eecd | _SK)
        eecd = await self._write(eecd & ~_SK)
        await self._write(eecd & ~_REQ)

    async def _standby(self) -> None:
        eecd = await self._write(await self._bench.read("EECD") & ~(_CS | _SK))
        eecd = await self._write(eecd | _SK)
        eecd = await self._write(eecd | _CS)
        await self._write(eecd & ~_SK)

    async def _out(self, data: int, count: int) -> None:
        eecd = await self._bench.read("EECD") & ~_DO
        for bit in f"{data:0{count}b}":
            eecd = await self._write(eecd & ~_DI | (_DI if bit == "1" else 0))
            eecd = await self._write(eecd | _SK)
            eecd = await self._write(eecd & ~_SK)
        await self._write(eecd & ~_DI)

    async def _in(self) -> int:
        eecd = await self._bench.read("EECD") & ~(_DO | _DI)
        data = 0
        for _ in range(16):
            await self._write(eecd | _SK)
            eecd = await self._bench.read("EECD") & ~_DI
            data = data << 1 | bool(eecd & _DO)
            eecd = await self._write(eecd & ~_SK)
        return data

    async def read(self, address: int) -> int:
        """One word."""
        await self._acquire()
        await self._out(*_READ)
        await self._out(address, _ADDRESS_BITS)
        data = await self._in()
        await self._standby()
        await self._release()
        return data

    async def write(self, address: int, data: int) -> None:
        """One word, with writing enabled before and disabled after."""
        await self._acquire()
        await self._function(*_ENABLE)
        await self._standby()
        await self._out(*_WRITE)
        await self._out(address, _ADDRESS_BITS)
        await self._out(data, 16)
        await self._standby()
        for _ in range(_POLLS):
            if await self._bench.read("EECD") & _DO:
                break
        else:
            raise AssertionError("the EEPROM is never ready")
        await self._standby()
        await self._function(*_DISABLE)
        await self._release()

    async def _function(self, opcode: int, count: int) -> None:
        await self._out(opcode, count)
        await self._out(0, _ADDRESS_BITS + 3 - count)
