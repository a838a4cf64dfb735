"""What descriptors make packets of, as ``hw.transmit.gather`` says; what a kind of descriptor asks for is read once."""

from typing import Final

from hw.descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.transmit.gather import Context, PacketOptions

__all__ = ["Asked", "Gatherer"]

_EOP: Final = 1 << TRANSMIT_LEGACY.fields["eop"][0] - 64
_DEXT: Final = 1 << TRANSMIT_LEGACY.fields["dext"][0] - 64
_IC: Final = 1 << TRANSMIT_LEGACY.fields["ic"][0] - 64
_IFCS: Final = 1 << TRANSMIT_LEGACY.fields["ifcs"][0] - 64
_VLE: Final = 1 << TRANSMIT_LEGACY.fields["vle"][0] - 64
_CSO: Final = TRANSMIT_LEGACY.fields["cso"][0] - 64
_CSS: Final = TRANSMIT_LEGACY.fields["css"][0] - 64
_SPECIAL: Final = TRANSMIT_LEGACY.fields["special"][0] - 64
_TSE: Final = 1 << TRANSMIT_DATA.fields["tse"][0] - 64
_TYPE: Final = TRANSMIT_DATA.fields["dtyp"][0] - 64
_IXSM: Final = 1 << TRANSMIT_DATA.fields["ixsm"][0] - 64
_TXSM: Final = 1 << TRANSMIT_DATA.fields["txsm"][0] - 64
_CONTEXT_TSE: Final = 1 << TRANSMIT_CONTEXT.fields["tse"][0] - 64
"""Of a descriptor's upper half."""
_DECIDES: Final = 16
"""The lowest bit of that which says more than a length."""
_REMEMBERED: Final = 256
_NO_CONTEXT: Final = Context()


class Asked:
    """What a packet's descriptors ask for: ``options``, and what is read of them for each packet."""

    __slots__ = ("context", "ifcs", "options", "plain", "special", "vle")

    def __init__(self, context: Context, options: PacketOptions) -> None:
        self.context = context
        self.options = options
        self.ifcs = bool(options.ifcs)
        self.vle = bool(options.vle)
        self.special: int = options.special
        self.plain = not (options.ic or options.ixsm or options.txsm)
        """No checksum is to be inserted."""


_NOTHING: Final = Asked(_NO_CONTEXT, PacketOptions())


class Gatherer:
    """Takes descriptors in order."""

    def __init__(self) -> None:
        self.inside = False
        """A packet has begun, and not ended."""
        self._first = 0
        """Upper half of its first descriptor."""
        self._its_context: Context | None = None
        self._contexts: dict[bool, Context] = {}
        """By TSE."""
        self._known_contexts: dict[bytes, Context] = {}
        """By the descriptor."""
        self._known_options: dict[tuple[int, int, bool], PacketOptions] = {}
        """By what decides of the first and the last descriptor, and whether there is a context."""
        self._latest = _NOTHING
        """What the latest packet asked for: the next one asks for the same, most often. Of what kind of descriptors:"""
        self._latest_first = self._latest_last = -1

    def take(self, raw: bytes, upper: int) -> Asked | None:
        """A descriptor of 16 bytes, whose upper half is ``upper``. Returns what the packet that it ends asks for."""
        extended = bool(upper & _DEXT)
        if extended:
            kind = upper >> _TYPE & 0xF
            if kind == 0:
                self._contexts[bool(upper & _CONTEXT_TSE)] = self._context(raw)
            if kind != 1:
                return None
        if not self.inside:
            self.inside = True
            self._first = upper
            self._its_context = self._contexts.get(bool(upper & _TSE)) if extended else None
        if not upper & _EOP:
            return None
        self.inside = False
        return self.asked(upper)

    def asked(self, last: int) -> Asked:
        """What the packet that has begun asks for, if its last descriptor has this upper half. Of one that is to be cut
        the first descriptor alone decides."""
        first, context = self._first, self._its_context or _NO_CONTEXT
        if (
            first >> _TYPE == self._latest_first
            and last >> _DECIDES == self._latest_last
            and context is self._latest.context
        ):
            return self._latest
        self._latest_first, self._latest_last = first >> _TYPE, last >> _DECIDES
        key = first >> _TYPE, last >> _DECIDES, context is not _NO_CONTEXT
        options = self._known_options.get(key)
        if options is None:
            if len(self._known_options) >= _REMEMBERED:
                self._known_options.clear()
            options = self._known_options[key] = _options(first, last, context is not _NO_CONTEXT)
        self._latest = Asked(context, options)
        return self._latest

    def _context(self, raw: bytes) -> Context:
        context = self._known_contexts.get(raw)
        if context is None:
            if len(self._known_contexts) >= _REMEMBERED:
                self._known_contexts.clear()
            values = TRANSMIT_CONTEXT.unpack(raw)
            context = Context(**{name: values[name] for name in Context.__dataclass_fields__})
            self._known_contexts[raw] = context
        return context


def _options(first: int, last: int, has_context: bool) -> PacketOptions:
    extended = bool(first & _DEXT)
    tse = extended and bool(first & _TSE)
    decides = first if tse else last
    ic = not extended and not last & _DEXT and bool(last & _IC)
    return PacketOptions(
        legacy=int(not extended),
        tse=int(tse),
        ixsm=int(extended and has_context and bool(first & _IXSM)),
        txsm=int(extended and has_context and bool(first & _TXSM)),
        ic=int(ic),
        css=0 if extended else first >> _CSS & 0xFF,
        cso=last >> _CSO & 0xFF if ic else 0,
        ifcs=int(bool(decides & _IFCS)),
        vle=int(bool(decides & _VLE)),
        special=decides >> _SPECIAL & 0xFFFF,
    )
