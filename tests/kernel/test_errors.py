"""What a user can do wrong with the stack on a TAP: one line that says what to do, and status 2."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.errors import UserError
from sim.realtime.program import StackSettings, run
from tests.kernel.namespace import STACK, Namespace, namespace

pytestmark = pytest.mark.slow

_ADDRESS = ("--address", f"{STACK}/24")


def _refused(words: list[str], **options: object) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload]
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    message: str = done.stderr
    assert message.startswith("niclab: ")
    return message


def _niclab(made: Namespace, *words: str) -> str:
    return _refused(made.command(*made.niclab(*words)), env=made.environment())


def test_without_privileges(tmp_path: Path) -> None:
    with namespace(tmp_path) as made:
        words = made.niclab("stack", "--tap", "tap0", *_ADDRESS)
        message = _refused(made.command("setpriv", "--bounding-set=-net_admin", *words), env=made.environment())
        assert "not permitted; run as root, or let root do: ip tuntap add name tap0 mode tap user" in message


def test_names(tmp_path: Path) -> None:
    with namespace(tmp_path) as made:
        made.start_stack("tap0")
        assert "another program has this TAP" in _niclab(made, "stack", "--tap", "tap0", *_ADDRESS)
        assert "is no TAP" in _niclab(made, "stack", "--tap", "lo", *_ADDRESS)
        assert "1 to 15 bytes" in _niclab(made, "stack", "--tap", "a-name-that-is-too-long", *_ADDRESS)
        assert "start one with niclab stack --tap tap7" in _niclab(made, "ss", "--tap", "tap7")


def test_an_interface_that_is_taken_away_ends_the_stack_with_a_word(tmp_path: Path) -> None:
    with namespace(tmp_path) as made:
        stack = made.start_stack("tap0")
        made.ip("link", "del", "tap0")
        assert stack.wait(30) == 2
        assert (
            tmp_path / "tap0.log"
        ).read_text() == "niclab: tap0: File descriptor in bad state; the interface is gone\n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"addresses": ("10.0.0.2",)}, "the prefix is missing"),
        ({"addresses": ("10.0.0.300/24",)}, "write an address as"),
        ({"mac": "01:00:00:00:00:01"}, "group address"),
        ({"mac": "pear"}, "is no MAC address"),
        ({"mtu": 20}, "--mtu is 68 to"),
        ({"routes": ("nowhere",)}, "write it as"),
        ({"routes": ("default via 10.1.1.1",)}, "no connected network"),
        ({"sysctls": ("net.ipv4.tcp_pear=1",)}, "No such file"),
        ({"sysctls": ("net.ipv4.tcp_ecn=9",)}, "Invalid argument"),
        ({"root": Path("/no/such")}, "no such directory"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    good = StackSettings(tap="niclab-none", addresses=(f"{STACK}/24",))
    with pytest.raises(UserError, match=message):
        run(replace(good, **settings), lambda text: None)
