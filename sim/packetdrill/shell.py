"""What scripts do in a shell before and between packets, as far as it means something here: sysctls, the qdisc."""

import ast
import operator
import re
from dataclasses import replace
from pathlib import Path

from sim.packetdrill.script import UnsupportedError
from stack.host import NetworkStack
from stack.net_device import NetDevice
from stack.qdisc import Fq, Pfifo
from stack.tcp.sysctl import TcpSysctl

__all__ = ["run_command"]

_NO_EFFECT = re.compile(
    r"/tmp/sysctl_restore_"
    r"|ethtool -K tun0( (tso|gso|gro) (on|off))+$"
    r"|nstat\b"
    r"|set -e$"
    r"|(echo|true|sleep 0)\b"
)
"""Each script has a stack of its own; packets have no offloads."""
_SYSCTL = re.compile(r"(net[./]\S+?)=(\"[^\"]*\"|\S+)")
_PROC = re.compile(r"/proc/sys/(\S+?)=(\"[^\"]*\"|\S+)")
_ARITHMETIC = re.compile(r"\$\(\(([0-9*+\- ()]+)\)\)")
_OPERATORS = {ast.Mult: operator.mul, ast.Add: operator.add, ast.Sub: operator.sub}

_TX_QUEUE_LEN = 1000
"""Of the qdisc that a device has when none was asked for."""
_MEANS_NOTHING = {
    "net.ipv4.tcp_ecn_option": None,
    "net.ipv4.tcp_fack": ("0",),
    "net.ipv4.tcp_min_tso_segs": None,
    "net.ipv4.tcp_no_metrics_save": None,
    "net.ipv4.tcp_recovery": ("1",),
    "net.ipv4.tcp_autocorking": ("0",),
}
"""Names that TcpSysctl does not have: values with which Linux does what this stack does; None: any."""
_TRANSLATED = {
    ("net.ipv4.tcp_frto", "2"): "1",
    ("net.ipv4.tcp_early_retrans", "3"): "1",
    ("net.ipv4.tcp_early_retrans", "4"): "1",
}
"""Values of Linux for which there is one here that does the same."""


def run_command(stack: NetworkStack, device: NetDevice, text: str, folder: Path) -> None:
    """Do what a command in backquotes says; ``device`` is tun0, script files are looked up from ``folder``. Raises
    ``UnsupportedError``."""
    text = text.replace("\\\n", " ")
    for statement in re.split(r"[\n;]", text):
        line = statement.split("#")[0].strip()
        if line:
            _run_line(stack, device, line, folder)


def _run_line(stack: NetworkStack, device: NetDevice, line: str, folder: Path) -> None:
    first, alternative, second = line.partition("||")
    if alternative:
        try:
            _run_line(stack, device, first, folder)
        except UnsupportedError:
            _run_line(stack, device, second.strip(), folder)
        return
    words = line.split()
    if _NO_EFFECT.match(line):
        return
    if line.startswith("ip tcp_metrics flush"):
        stack.tcp.fast_open.forget()
    elif words[0] == "sysctl":
        settings = _SYSCTL.findall(_evaluate(line))
        if not settings:
            raise UnsupportedError(f"command {line}")
        for name, value in settings:
            _set(stack, name, value)
    elif words[0].endswith("set_sysctls.py"):
        for name, value in _PROC.findall(line):
            _set(stack, name, value)
    elif words[0].endswith(".sh"):
        path = folder / words[0]
        if not path.is_file():
            raise UnsupportedError(f"command {line}: {path} is not there")
        run_command(stack, device, path.read_text(), path.parent)
    elif re.match(r"tc qdisc delete dev tun0 root\b", line):
        device.set_qdisc(Pfifo(_TX_QUEUE_LEN))
    elif match := re.match(r"tc qdisc (add|replace) dev tun0 root (pfifo|fq)(?: limit (\d+))?$", line):
        # Of fq, its pacing is what can be seen.
        stack.tcp.parameters = replace(stack.tcp.parameters, pacing=match[2] == "fq")
        if match[3] is not None:
            device.set_qdisc(Pfifo(int(match[3])) if match[2] == "pfifo" else Fq(limit=int(match[3])))
    else:
        raise UnsupportedError(f"command {line}")


def _set(stack: NetworkStack, name: str, value: str) -> None:
    name = name.replace("/", ".")
    value = value.strip("\"'")
    if name in _MEANS_NOTHING:
        allowed = _MEANS_NOTHING[name]
        if allowed is not None and value not in allowed:
            raise UnsupportedError(f"sysctl {name}={value}")
        return
    try:
        TcpSysctl(stack.tcp).write(name, _TRANSLATED.get((name, value), value))
    except OSError as error:
        raise UnsupportedError(f"sysctl {name}={value}: {error.strerror}") from None


def _evaluate(line: str) -> str:
    """The shell's $((...)) made numbers."""
    return _ARITHMETIC.sub(lambda match: str(_number(ast.parse(match[1], mode="eval").body)), line)


def _number(node: ast.expr) -> int:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        result: int = _OPERATORS[type(node.op)](_number(node.left), _number(node.right))
        return result
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    raise UnsupportedError("arithmetic in a command")
