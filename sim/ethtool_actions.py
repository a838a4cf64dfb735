"""The words behind ``niclab ethtool``: what they ask for, and whether it can be."""

from dataclasses import asdict, dataclass, field
from typing import Any

from driver.ethtool import coalesce_setting, feature_name
from driver.parameters import check_descriptors
from driver.wake import parse_wake_on

__all__ = ["LETTERS", "Action", "parse"]

LETTERS = {
    "c": "coalescing",
    "C": "coalescing: rx-usecs N, adaptive-rx on|off",
    "k": "features",
    "K": "features: NAME on|off ...",
    "g": "rings",
    "G": "rings: rx N, tx N",
    "a": "pause frames",
    "A": "pause frames: autoneg on|off, rx on|off, tx on|off",
    "s": "wake on LAN: wol LETTERS",
    "S": "statistics",
    "d": "registers",
    "t": "self-test: offline (the default) or online",
}
"""What each letter shows, or with its settings changes."""

_SHOW = "ckgaSd"


@dataclass(frozen=True)
class Action:
    """One letter with its settings."""

    letter: str
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def parse(words: list[str]) -> list[Action]:
    """Actions in their order. Raises ``ValueError`` that says which word cannot be, and what can."""
    actions: list[Action] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if len(word) != 2 or word[0] != "-" or word[1] not in LETTERS:
            raise ValueError(f"ethtool takes {', '.join('-' + letter for letter in LETTERS)}, not {word!r}")
        end = position
        while end < len(words) and not words[end].startswith("-"):
            end += 1
        actions.append(Action(word[1], _settings(word[1], words[position:end])))
        position = end
    return actions


def _settings(letter: str, words: list[str]) -> dict[str, Any]:
    if letter in _SHOW:
        if words:
            raise ValueError(f"-{letter} takes no {words[0]!r}")
        return {}
    if letter == "t":
        if words not in ([], ["offline"], ["online"]):
            raise ValueError(f"-t takes offline or online, not {' '.join(words)!r}")
        return {"offline": words != ["online"]}
    if not words or len(words) % 2:
        raise ValueError(f"-{letter} changes {LETTERS[letter]}; {' '.join(words)!r} is not that")
    settings: dict[str, Any] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        key, parsed = _setting(letter, name, value)
        settings[key] = parsed
    return settings


def _setting(letter: str, name: str, value: str) -> tuple[str, Any]:
    match letter, name:
        case "C", "rx-usecs":
            coalesce_setting(_number(name, value))
            return "rx_usecs", int(value)
        case "C", "adaptive-rx":
            return "adaptive_rx", _switch(name, value)
        case "K", _:
            return feature_name(name), _switch(name, value)
        case "G", ("rx" | "tx"):
            check_descriptors(name, _number(name, value))
            return name, int(value)
        case "A", ("autoneg" | "rx" | "tx"):
            return name, _switch(name, value)
        case "s", "wol":
            parse_wake_on(value)
            return name, value
    raise ValueError(f"-{letter} changes {LETTERS[letter]}, not {name!r}")


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{name} takes a number, not {value!r}") from None


def _switch(name: str, value: str) -> bool:
    if value not in ("on", "off"):
        raise ValueError(f"{name} takes on or off, not {value!r}")
    return value == "on"
