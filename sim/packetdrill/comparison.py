"""What of a packet differs from what a script expects."""

from sim.packetdrill.script import TcpOption, TcpPacket

__all__ = ["compare"]

_OPTIONAL = {"its window", "its DS byte", "its TTL", "its ECN", "its urgent pointer"}
_MASK = 0xFFFFFFFF


def compare(expected: TcpPacket, actual: TcpPacket, *, push: bool, slack: int | None) -> str | None:
    """What differs, of all that the script speaks of; None if nothing does. ``push``: PSH is looked at; ``slack``: by
    how many ticks TS val may differ, None for any."""
    left, right = expected.flags, actual.flags
    if not push:
        left, right = left - {"P"}, right - {"P"}
    if left != right:
        return "its flags"
    checks = [
        ("its numbers", expected.sequence & _MASK, actual.sequence),
        ("its length", expected.length, actual.length),
        ("its acknowledgment", expected.acknowledgment, actual.acknowledgment),
        ("its window", expected.window, actual.window),
        ("its urgent pointer", expected.urgent, actual.urgent),
        ("its DS byte", expected.tos, actual.tos),
        ("its TTL", expected.ttl, actual.ttl),
        ("its ECN", _wanted_ecn(expected, actual), actual.ecn),
    ]
    for name, wanted, found in checks:
        if wanted != found and not (wanted is None and name in _OPTIONAL):
            return name
    if expected.options is None:
        return None
    return _compare_options(expected.options, actual.options or (), slack)


def _wanted_ecn(expected: TcpPacket, actual: TcpPacket) -> str | None:
    """[ect01] is met by either."""
    if expected.ecn == "ect01" and actual.ecn in ("ect0", "ect1"):
        return actual.ecn
    return expected.ecn


def _compare_options(expected: tuple[TcpOption, ...], actual: tuple[TcpOption, ...], slack: int | None) -> str | None:
    if [option.name for option in expected] != [option.name for option in actual]:
        return "its options"
    for wanted, found in zip(expected, actual, strict=True):
        if wanted.name == "TS":
            if slack is not None and abs(wanted.values[0] - found.values[0]) > slack:
                return "TS val"
            if wanted.values[1] != found.values[1]:
                return "TS ecr"
        elif wanted != found:
            return f"its option {wanted.name}"
    return None
