"""Register file: the 128 KiB register window, made from the table in ``hw.registers`` (8254x manual 317453, ch. 13).

What a field becomes follows from its access kind alone:

========================= ==========================================================================================
RW                        stored here; ``value`` has it
RW with ``updated``       lives in an engine: ``written`` reloads it, ``hardware`` is what reads back
SC                        ``value`` has it for the one cycle after a write of 1; reads 0
SC with ``updated``       the same, and ``hardware`` is what reads back
RO RC W1S W1C STATISTIC   lives in an engine: ``hardware`` is what reads back, ``read`` and ``written`` tell of accesses
WO                        ``written`` and ``write_data`` only; reads 0
========================= ==========================================================================================

A register that is not built reads as its reset value and drops writes; a hole in the map, or an address that is no
multiple of 4, reads 0 and drops writes. Building one means changing its status in the table.
"""

from collections.abc import Iterable, Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.interfaces import RegisterPort
from hw.registers import REGISTERS, Access, Field, Register, Status

__all__ = ["ArraySignature", "BlockSignature", "RegisterFile", "RegisterSignature"]

_MERGED_AT_ONCE = 8
"""Registers that one stage of the read multiplexer takes: three levels of four-input tables."""


def _layout(fields: Iterable[Field]) -> data.FlexibleLayout:
    """A 32-bit word with these fields, by their names in lower case."""
    return data.FlexibleLayout(32, {item.name.lower(): data.Field(item.width, item.lsb) for item in fields})


def _is_stored(item: Field) -> bool:
    return item.access is Access.RW and not item.updated


def _is_hardware(item: Field) -> bool:
    return item.updated or item.access in (Access.RO, Access.RC, Access.W1S, Access.W1C, Access.STATISTIC)


def _member(register: Register) -> str:
    return register.name.lower()


class RegisterSignature(wiring.Signature):
    """One register as the register file shows it to the NIC.

    Members
    -------
    read, written : ``Out(1)``
        High in the one cycle in which software's access is performed. What ``hardware`` shows in the cycle of ``read``
        is what software gets.
    write_data : ``Out(32)``
        The whole word written, valid in the cycle of ``written``.
    value : ``Out(data.FlexibleLayout)``
        Stored and self-clearing fields, by name in lower case; new from the cycle after ``written``.
        There only if the register has such fields.
    hardware : ``In(data.FlexibleLayout)``
        Fields that the NIC keeps elsewhere. There only if the register has such fields.
    load : ``In(1)``, load_data : ``In(32)``
        Pulse: stored fields that are ``loaded`` take their bits of ``load_data``. There only if there are such fields.
    """

    def __init__(self, register: Register) -> None:
        members: dict[str, wiring.Member] = {"read": Out(1), "written": Out(1), "write_data": Out(32)}
        value = [item for item in register.fields if _is_stored(item) or item.access is Access.SC]
        hardware = [item for item in register.fields if _is_hardware(item)]
        if value:
            members["value"] = Out(_layout(value))
        if hardware:
            members["hardware"] = In(_layout(hardware))
        if any(item.loaded for item in value):
            members |= {"load": In(1), "load_data": In(32)}
        super().__init__(members)


class ArraySignature(wiring.Signature):
    """An array of registers as the register file shows it to the memory that holds it.

    Members
    -------
    address : ``Out(range(count))``
    write : ``Out(1)``
        ``write_data`` is to be stored at ``address`` at the end of this cycle.
    write_data : ``Out(32)``
        Only bits of the register's fields are ever 1.
    read_data : ``In(32)``
        What is at the ``address`` of the cycle before (a synchronous read port, always enabled).
    """

    def __init__(self, register: Register) -> None:
        super().__init__(
            {
                "address": Out(ceil_log2(register.count)),
                "write": Out(1),
                "write_data": Out(32),
                "read_data": In(32),
            }
        )


class BlockSignature(wiring.Signature):
    """Registers of one ``block`` as the register file shows them to the memory that holds them. Only reads get there.

    Raises ``ValueError`` if they are not single words side by side in one span of a power of two bytes.

    Members
    -------
    request : ``Out(1)``
        Software reads; high until, and in, the cycle of ``acknowledge``.
    address : ``Out(range(words of the span))``
        The word, counted from the begin of the span. It may be one that no register has: that one has to read 0.
    acknowledge : ``In(1)``
        One cycle: ``read_data`` is what software gets.
    read_data : ``In(32)``
    """

    def __init__(self, registers: Sequence[Register]) -> None:
        offsets = [register.offset for register in registers]
        self.first = min(offsets)
        self.span = 1 << ceil_log2(max(offsets) + 4 - self.first)
        if self.first % self.span or any(register.count > 1 or register.shadows for register in registers):
            raise ValueError(
                f"{registers[0].block}: a block has single registers in a span of a power of two from {self.first:#07x}"
            )
        super().__init__(
            {
                "request": Out(1),
                "address": Out(ceil_log2(self.span // 4)),
                "acknowledge": In(1),
                "read_data": In(32),
            }
        )


class RegisterFile(wiring.Component):
    """The register window.

    Accesses are performed one at a time and in order: a write in the third cycle (counting that in which the request
    is taken), a read there too, with its response offered from the fifth. The next request is taken when the write is
    performed or the response taken, so an access always sees the effect of the one before. A read of a block takes as
    much longer as its memory lets it wait, at least one cycle.

    Parameters
    ----------
    registers : sequence of Register

    Members
    -------
    port : ``Out(RegisterPort())``
    reset : ``In(1)``
        Returns all stored fields to their reset values. The bus side is not reset: no access is begun while this is
        high, requests wait. (What is performed in its first cycle counts as before it: stored fields are reset.) So
        that no later access is, it must rise with the pulse of CTRL.RST or in the cycle after.
    hold : ``In(1)``
        No access is begun while this is high, either.
    one for each built register, named as the register in lower case
        ``Out(RegisterSignature(register))``, or ``Out(ArraySignature(register))`` if it is an array.
    one for each block, named as it in lower case
        ``Out(BlockSignature(registers))``.
    """

    def __init__(self, *, registers: Sequence[Register] = REGISTERS) -> None:
        owners: dict[int, str] = {}
        for register in registers:
            for offset in register.offsets():
                if offset in owners:
                    raise ValueError(f"{register.name} and {owners[offset]} are both at {offset:#07x}")
                owners[offset] = register.name
            if register.count > 1:
                span = register.count * register.stride
                if span & (span - 1) or register.stride & (register.stride - 1) or register.shadows:
                    raise ValueError(f"{register.name}: an array must span a power of two and have no shadows")
                if register.offset % span >= register.stride:
                    raise ValueError(f"{register.name}: an array of {span} bytes must start at a multiple of its span")
        self._registers = [register for register in registers if not register.block]
        self._blocks: dict[str, BlockSignature] = {}
        for name in {register.block: None for register in registers if register.block}:
            within = [register for register in registers if register.block == name]
            signature = BlockSignature(within)
            inside = {owners[place] for place in owners if 0 <= place - signature.first < signature.span}
            if strangers := inside - {register.name for register in within}:
                raise ValueError(f"{name}: {', '.join(sorted(strangers))} lies within the span of the block")
            self._blocks[name.lower()] = signature
        members: dict[str, wiring.Member] = {"port": Out(RegisterPort()), "reset": In(1), "hold": In(1)}
        members |= {name: Out(block) for name, block in self._blocks.items()}
        for register in self._registers:
            if register.status is not Status.NOT_BUILT:
                signature = RegisterSignature(register) if register.count == 1 else ArraySignature(register)
                members[_member(register)] = Out(signature)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = self.port
        access = Signal.like(port.request.payload)

        # A register needs a select line if it is built, or reads as anything but 0.
        selected = [r for r in self._registers if r.status is not Status.NOT_BUILT or r.reset]
        select = Signal(len(selected))
        # Registers, high in ACCESS: what they reach is all over the chip.
        reading = Signal()
        writing = Signal()
        m.d.sync += [reading.eq(0), writing.eq(0)]

        words: list[Value] = []
        for index, register in enumerate(selected):
            m.d.sync += select[index].eq(_matches(register, access.address))
            if register.status is Status.NOT_BUILT:
                word = Value.cast(register.reset)
            elif register.count > 1:
                word = self._array(m, register, access, select[index] & writing)
            else:
                word = self._register(m, register, access, select[index] & reading, select[index] & writing)
            words.append(Mux(select[index], word, 0))

        asked = Signal()  # the access is to a block
        asking = Signal()
        answered = Signal()
        blocks = [self._block(m, name, access, asking) for name in self._blocks]
        if blocks:
            m.d.sync += asked.eq(_any_of([block_select for block_select, _, _ in blocks]))
            m.d.comb += answered.eq(_any_of([acknowledge for _, acknowledge, _ in blocks]))
            words += [word for _, _, word in blocks]

        # The read multiplexer, in two registered stages.
        groups = [words[start : start + _MERGED_AT_ONCE] for start in range(0, len(words), _MERGED_AT_ONCE)]
        merged = [Signal(32, name=f"merged_{index}") for index in range(len(groups))]
        for group, result in zip(groups, merged, strict=True):
            m.d.sync += result.eq(_any_of(group))

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += port.request.ready.eq(1)
                m.d.sync += access.eq(port.request.payload)
                with m.If(port.request.valid):
                    m.next = "DECODE"
            with m.State("DECODE"), m.If(~self.reset & ~self.hold):
                m.d.sync += [reading.eq(~access.write), writing.eq(access.write)]
                m.next = "ACCESS"
            with m.State("ACCESS"):
                with m.If(writing):
                    m.next = "IDLE"
                with m.Elif(asked):
                    m.next = "BLOCK"
                with m.Else():
                    m.next = "MERGE"
            with m.State("BLOCK"):
                m.d.comb += asking.eq(1)
                with m.If(answered):
                    m.next = "MERGE"
            with m.State("MERGE"):
                m.d.sync += port.response.payload.eq(_any_of(merged))
                m.next = "RESPOND"
            with m.State("RESPOND"):
                m.d.comb += port.response.valid.eq(1)
                with m.If(port.response.ready):
                    m.next = "IDLE"
        return m

    def _register(self, m: Module, register: Register, access: data.View, read: Value, written: Value) -> Value:
        """Wire one register; returns the word that it reads as."""
        member = getattr(self, _member(register))
        m.d.comb += [member.read.eq(read), member.written.eq(written), member.write_data.eq(access.data)]
        word = Signal(32, name=f"{_member(register)}_word")
        for item in register.fields:
            place = slice(item.lsb, item.lsb + item.width)
            name = item.name.lower()
            if item.access is Access.SC:
                m.d.sync += member.value[name].eq(Mux(written, access.data[place], 0))
                if item.updated:
                    m.d.comb += word[place].eq(member.hardware[name])
            elif _is_stored(item):
                stored = Signal(item.width, init=item.reset, name=f"{_member(register)}_{name}")
                with m.If(self.reset):
                    m.d.sync += stored.eq(item.reset)
                with m.Elif(written):
                    m.d.sync += stored.eq(access.data[place])
                if item.loaded:
                    with m.If(member.load):
                        m.d.sync += stored.eq(member.load_data[place])
                m.d.comb += [member.value[name].eq(stored), word[place].eq(stored)]
            elif _is_hardware(item):
                m.d.comb += word[place].eq(member.hardware[name])
        return word

    def _array(self, m: Module, register: Register, access: data.View, written: Value) -> Value:
        """Wire one array; returns the word that the addressed element reads as."""
        member = getattr(self, _member(register))
        mask = register.writable_mask
        first = ceil_log2(register.stride)
        m.d.comb += [
            member.address.eq(access.address[first : first + ceil_log2(register.count)]),
            member.write.eq(written),
            member.write_data.eq(access.data & mask),
        ]
        return member.read_data & mask

    def _block(self, m: Module, name: str, access: data.View, asking: Value) -> tuple[Value, Value, Value]:
        """Wire one block; returns whether the access is in it, whether it is answered, and the word if so."""
        member = getattr(self, name)
        signature = self._blocks[name]
        within = ceil_log2(signature.span)
        match = (access.address[within:] == signature.first >> within) & (access.address[:2] == 0)
        select = Signal(name=f"{name}_select")
        m.d.sync += select.eq(match)
        answered = select & member.acknowledge
        m.d.comb += [member.request.eq(select & asking), member.address.eq(access.address[2:within])]
        return match, answered, Mux(answered, member.read_data, 0)


def _matches(register: Register, address: Value) -> Value:
    """Whether an access to ``address`` is one to this register."""
    if register.count == 1:
        return _any_of([address == offset for offset in register.offsets()])
    first, last = ceil_log2(register.stride), ceil_log2(register.stride * register.count)
    within = register.offset & ((1 << first) - 1)
    return (address[:first] == within) & (address[last:] == register.offset >> last)


def _any_of(words: Sequence[Value]) -> Value:
    result = words[0]
    for word in words[1:]:
        result = result | word
    return result
