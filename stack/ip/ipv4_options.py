"""IPv4 options (RFC 791 section 3.1): checked, and otherwise without effect."""

from typing import Final

__all__ = ["check_options"]

_END: Final = 0
_NO_OPERATION: Final = 1
_SOURCE_ROUTES: Final = (131, 137)
"""LSRR and SSRR."""


def check_options(header: "bytes | memoryview") -> tuple[int | None, bool]:
    """(position of what is malformed, or None; whether there is a source route) in a header with options."""
    at = 20
    source_route = False
    while at < len(header):
        kind = header[at]
        if kind == _END:
            break
        if kind == _NO_OPERATION:
            at += 1
            continue
        if at + 1 >= len(header) or header[at + 1] < 2 or at + header[at + 1] > len(header):
            return at, source_route
        source_route = source_route or kind in _SOURCE_ROUTES
        at += header[at + 1]
    return None, source_route
