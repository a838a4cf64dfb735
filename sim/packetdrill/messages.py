"""``msghdr`` of scripts: sizes of buffers, control messages as they should come."""

import errno
import struct
from collections.abc import Iterable

import stack.socket.constants as constants
from sim.packetdrill.script import Structure, UnsupportedError
from stack.socket.control import ControlMessage

__all__ = ["ANCILLARY_BYTES", "buffers", "fields", "in_script_time", "integer", "number", "shown", "wanted_messages"]

ANCILLARY_BYTES = 256
"""Room for control messages."""
_EXTENDED_ERROR = struct.Struct("<IBBBxII")
_SOCKADDR_BYTES = 16
_TIMESTAMPING = struct.Struct("<qq32x")
"""``struct scm_timestamping``."""
_NS = 1_000_000_000
_LEVELS = {"SOL_SOCKET": constants.SOL_SOCKET, "SOL_TCP": 6, "SOL_IP": constants.IPPROTO_IP}


def integer(value: object) -> int:
    """A number. Raises ``UnsupportedError`` for what is none, as all here."""
    if isinstance(value, int):
        return value
    raise UnsupportedError(f"a number written as {value!r}")


def number(value: object) -> int:
    """A number, or names of constants joined by ``|``."""
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        raise UnsupportedError(f"a number written as {value!r}")
    found = 0
    for name in value.split("|"):
        known = int(name) if name.isdecimal() else getattr(constants, name, getattr(errno, name, None))
        if not isinstance(known, int):
            raise UnsupportedError(name)
        found |= known
    return found


def fields(value: object) -> dict[str, object]:
    """Of a structure."""
    if not isinstance(value, Structure):
        raise UnsupportedError(f"a structure written as {value!r}")
    return value.fields


def buffers(message: object) -> list[bytes]:
    """Zeros in place of each buffer of a ``msghdr``."""
    vector = fields(message).get("msg_iov")
    if not isinstance(vector, list):
        raise UnsupportedError(f"msg_iov {vector!r}")
    return [bytes(integer(list(fields(one).values())[-1])) for one in vector]


def wanted_messages(message: object) -> list[ControlMessage] | None:
    """The control messages of a ``msghdr``; None if the script does not speak of them."""
    wanted = fields(message).get("msg_control")
    if wanted is None:
        return None
    if not isinstance(wanted, list):
        raise UnsupportedError(f"msg_control {wanted!r}")
    return [_control_message(fields(one)) for one in wanted]


def _control_message(one: dict[str, object]) -> ControlMessage:
    level, data = one.get("cmsg_level"), one.get("cmsg_data")
    if level not in _LEVELS or not isinstance(data, int | Structure):
        raise UnsupportedError(f"a control message with {sorted(one)}")
    if isinstance(data, int):
        packed = struct.pack("<i", data)
    elif "scm_sec" in data.fields:
        packed = _TIMESTAMPING.pack(number(data.fields["scm_sec"]), number(data.fields.get("scm_nsec")))
    else:
        packed = _extended_error(data.fields)
    return _LEVELS[str(level)], number(one.get("cmsg_type")), packed


def _extended_error(one: dict[str, object]) -> bytes:
    """``struct sock_extended_err``, of no offender."""
    names = ("ee_errno", "ee_origin", "ee_type", "ee_code", "ee_info", "ee_data")
    return _EXTENDED_ERROR.pack(*(number(one.get(name)) for name in names)) + bytes(_SOCKADDR_BYTES)


def in_script_time(
    messages: list[ControlMessage], wanted: list[ControlMessage], *, started: int, tolerance: int
) -> list[ControlMessage]:
    """Messages with time stamps as the script has them, which ``started`` then (ns): those that are as near as
    ``tolerance`` are what it wants."""
    found = []
    for number, (level, kind, data) in enumerate(messages):
        if (level, kind) == (constants.SOL_SOCKET, constants.SCM_TIMESTAMPING):
            seconds, rest = _TIMESTAMPING.unpack(data)
            time = seconds * _NS + rest - started
            data = _TIMESTAMPING.pack(*divmod(time, _NS))
            expected = wanted[number] if number < len(wanted) else (0, 0, b"")
            if expected[:2] == (level, kind):
                seconds, rest = _TIMESTAMPING.unpack(expected[2])
                data = expected[2] if abs(seconds * _NS + rest - time) <= tolerance else data
        found.append((level, kind, data))
    return found


def shown(messages: Iterable[ControlMessage]) -> str:
    """As a difference is told."""
    return ", ".join(f"({level}, {kind}, {data.hex()})" for level, kind, data in messages) or "none"
