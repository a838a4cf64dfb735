"""TCP's settings by their sysctl names, as text, as in ``/proc/sys/net`` (Linux's ip-sysctl.rst)."""

import errno
import os
import re
import struct
from dataclasses import replace
from typing import Any, Final, NamedTuple

from stack.tcp.algorithms import ALGORITHMS
from stack.tcp.parameters import UNLIMITED, TcpParameters
from stack.tcp.tcp import Tcp

__all__ = ["TcpSysctl"]

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000
_MINIMUM_BUFFER: Final = 2048


class _Integer(NamedTuple):
    """A whole number of ``unit``: field of ``TcpParameters``, least and greatest value."""

    field: str
    least: int
    greatest: int
    unit: int = 1


_INTEGERS: Final = {
    "net.core.somaxconn": _Integer("somaxconn", 1, 1 << 31),
    "net.ipv4.tcp_base_mss": _Integer("base_mss", 48, 65535),
    "net.ipv4.tcp_comp_sack_delay_ns": _Integer("ack_compression_delay", 0, 1 << 31),
    "net.ipv4.tcp_comp_sack_nr": _Integer("compressed_acks", 0, 255),
    "net.ipv4.tcp_ecn": _Integer("ecn", 0, 2),
    "net.ipv4.tcp_fastopen": _Integer("fast_open", 0, 0x7FFFFFFF),
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec": _Integer("fast_open_blackhole_timeout", 0, 1 << 20, _SECOND),
    "net.ipv4.tcp_fin_timeout": _Integer("fin_timeout", 1, 1 << 20, _SECOND),
    "net.ipv4.tcp_keepalive_intvl": _Integer("keepalive_interval", 1, 32767, _SECOND),
    "net.ipv4.tcp_keepalive_probes": _Integer("keepalive_probes", 1, 127),
    "net.ipv4.tcp_keepalive_time": _Integer("keepalive_time", 1, 1 << 20, _SECOND),
    "net.ipv4.tcp_limit_output_bytes": _Integer("limit_output_bytes", 1, 1 << 31),
    "net.ipv4.tcp_max_syn_backlog": _Integer("max_syn_backlog", 1, 1 << 31),
    "net.ipv4.tcp_mtu_probe_floor": _Integer("mtu_probe_floor", 48, 65535),
    "net.ipv4.tcp_mtu_probing": _Integer("mtu_probing", 0, 2),
    "net.ipv4.tcp_notsent_lowat": _Integer("notsent_lowat", 1, UNLIMITED),
    "net.ipv4.tcp_pacing_ca_ratio": _Integer("pacing_ca_ratio", 1, 1000),
    "net.ipv4.tcp_pacing_ss_ratio": _Integer("pacing_ss_ratio", 1, 1000),
    "net.ipv4.tcp_reordering": _Integer("reordering", 1, 300),
    "net.ipv4.tcp_probe_interval": _Integer("mtu_probe_interval", 1, 1 << 20, _SECOND),
    "net.ipv4.tcp_probe_threshold": _Integer("mtu_probe_threshold", 0, 65535),
    "net.ipv4.tcp_retries1": _Integer("retries1", 1, 255),
    "net.ipv4.tcp_retries2": _Integer("retries", 0, 255),
    "net.ipv4.tcp_rto_max_ms": _Integer("maximum_rto", 1000, 120_000, _MS),
    "net.ipv4.tcp_rto_min_us": _Integer("minimum_rto", 1, 120_000_000, 1000),
    "net.ipv4.tcp_syn_retries": _Integer("syn_retries", 1, 127),
    "net.ipv4.tcp_synack_retries": _Integer("synack_retries", 0, 255),
    "net.ipv4.tcp_syncookies": _Integer("syncookies", 0, 2),
    "net.ipv4.tcp_tso_win_divisor": _Integer("tso_win_divisor", 1, 1 << 16),
}
_SWITCHES: Final = {
    "net.ipv4.tcp_abort_on_overflow": "abort_on_overflow",
    "net.ipv4.tcp_dsack": "dsack",
    "net.ipv4.tcp_early_retrans": "tail_loss_probe",
    "net.ipv4.tcp_frto": "frto",
    "net.ipv4.tcp_moderate_rcvbuf": "moderate_receive_buffer",
    "net.ipv4.tcp_sack": "sack",
    "net.ipv4.tcp_slow_start_after_idle": "slow_start_after_idle",
    "net.ipv4.tcp_timestamps": "timestamps",
    "net.ipv4.tcp_window_scaling": "window_scaling",
}
_BUFFERS: Final = {
    "net.ipv4.tcp_rmem": ("receive_buffer", "receive_buffer_maximum"),
    "net.ipv4.tcp_wmem": ("send_buffer", "send_buffer_maximum"),
}
_KEY: Final = re.compile("-".join(["([0-9a-fA-F]{1,8})"] * 4))
_MEMORY: Final = "net.ipv4.tcp_mem"
_MEMORY_FIELDS: Final = ("memory_low", "memory_pressure", "memory_high")
_PAGE: Final = 4096
_CONGESTION_CONTROL: Final = "net.ipv4.tcp_congestion_control"
_AVAILABLE: Final = "net.ipv4.tcp_available_congestion_control"
_FAST_OPEN_KEY: Final = "net.ipv4.tcp_fastopen_key"
_NAMES: Final = sorted([*_INTEGERS, *_SWITCHES, *_BUFFERS, _FAST_OPEN_KEY, _MEMORY, _CONGESTION_CONTROL, _AVAILABLE])


def _error(number: int, name: str) -> OSError:
    return OSError(number, os.strerror(number), name)


def _format_key(key: bytes) -> str:
    """Four words of the host's order, as Linux writes them."""
    return "-".join(f"{word:08x}" for word in struct.unpack("<4I", key))


def _parse_keys(text: str) -> tuple[bytes, ...]:
    """One key or two. Raises ``ValueError``."""
    keys = tuple(_KEY.fullmatch(word) for word in text.strip().split(","))
    if not 1 <= len(keys) <= 2 or None in keys:
        raise ValueError(f"{text!r} is no key, nor two")
    return tuple(struct.pack("<4I", *(int(word, 16) for word in key.groups())) for key in keys if key is not None)


class TcpSysctl:
    """One host's. A change holds for connections that open later, and for what is looked up at each use."""

    def __init__(self, tcp: Tcp) -> None:
        self._tcp = tcp

    def names(self) -> list[str]:
        """All that can be read, sorted."""
        return list(_NAMES)

    def read(self, name: str) -> str:
        """The value of ``net.ipv4.tcp_...``; slashes do as well as dots. Raises ``FileNotFoundError``."""
        name = name.replace("/", ".")
        parameters = self._tcp.parameters
        if name in _INTEGERS:
            return str(getattr(parameters, _INTEGERS[name].field) // _INTEGERS[name].unit)
        if name in _SWITCHES:
            return str(int(getattr(parameters, _SWITCHES[name])))
        if name in _BUFFERS:
            default, maximum = (getattr(parameters, field) for field in _BUFFERS[name])
            return f"{_MINIMUM_BUFFER}\t{default}\t{max(default, maximum)}"
        if name == _MEMORY:
            return "\t".join(str(getattr(parameters, field) // _PAGE) for field in _MEMORY_FIELDS)
        if name == _FAST_OPEN_KEY:
            return ",".join(map(_format_key, self._tcp.fast_open.keys))
        if name == _CONGESTION_CONTROL:
            return parameters.congestion_control
        if name == _AVAILABLE:
            return " ".join(sorted(ALGORITHMS))
        raise _error(errno.ENOENT, name)

    def write(self, name: str, value: str) -> None:
        """Set a value. Raises ``OSError``: ENOENT for an unknown name, EACCES for one that is only read, EINVAL for a
        value that cannot be; nothing has changed then."""
        name = name.replace("/", ".")
        if name == _AVAILABLE:
            raise _error(errno.EACCES, name)
        if name not in _NAMES:
            raise _error(errno.ENOENT, name)
        try:
            if name == _FAST_OPEN_KEY:
                self._tcp.fast_open.keys = _parse_keys(value)
                return
            self._tcp.parameters = self._changed(name, value.split())
        except ValueError as problem:
            raise _error(errno.EINVAL, name) from problem

    def _changed(self, name: str, words: list[str]) -> TcpParameters:
        return replace(self._tcp.parameters, **self._parse(name, words))

    def _parse(self, name: str, words: list[str]) -> dict[str, Any]:
        """What to change. Raises ``ValueError``."""
        if name in _BUFFERS:
            least, default, greatest = (int(word) for word in words)
            if not 0 < least <= default <= greatest:
                raise ValueError(f"{words!r} do not rise")
            return dict(zip(_BUFFERS[name], (default, greatest), strict=True))
        if name == _MEMORY:
            return {field: int(word) * _PAGE for field, word in zip(_MEMORY_FIELDS, words, strict=True)}
        (word,) = words
        if name == _CONGESTION_CONTROL:
            if word not in ALGORITHMS:
                raise ValueError(f"{word!r} is not one of {sorted(ALGORITHMS)}")
            return {"congestion_control": word}
        number = int(word, 0)
        if name in _SWITCHES:
            if number not in (0, 1):
                raise ValueError(f"{number} is neither 0 nor 1")
            return {_SWITCHES[name]: bool(number)}
        setting = _INTEGERS[name]
        if not setting.least <= number <= setting.greatest:
            raise ValueError(f"{number} is not {setting.least} to {setting.greatest}")
        return {setting.field: number * setting.unit}
