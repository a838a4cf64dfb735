"""What a session is asked for, and the files that it leaves."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One call of ``niclab qemu``. At most one of ``tap``, ``stack`` and ``replay`` is at the wire's far end."""

    socket: Path
    tap: str | None = None
    """Name of a TAP device."""
    stack: bool = False
    """Our own stack."""
    replay: Path | None = None
    """A capture whose frames are sent to the guest."""
    capture: Path | None = None
    """Where every frame is written, as pcapng."""
    trace: Path | None = None
    """Where all that reaches the NIC and leaves it is written, see ``sim.qemu.trace``."""
    itr: Path | None = None
    """Where the history of ITR is written, see ``sim.qemu.itr_history``."""
    clients: int = 1
    """How many are served, one after the other; 0: for ever."""
    seed: int = 1
    """Of our own stack's random numbers."""

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), default=str)
        (folder / "settings.json").write_text(text)

    @classmethod
    def read(cls, folder: Path) -> "Settings":
        content: dict[str, Any] = json.loads((folder / "settings.json").read_text())
        for name in ("socket", "replay", "capture", "trace", "itr"):
            content[name] = None if content[name] is None else Path(content[name])
        return cls(**content)
