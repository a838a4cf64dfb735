"""How long the stages of the RTL take: the parameters of the model's time, measured by ``make calibrate``.

``calibration.json`` holds them, with the commit and the digest of the NIC that they were measured on.
"""

import ast
import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

from sim.errors import UserError
from sim.rtl.build import REPOSITORY

__all__ = ["CALIBRATION", "Calibration", "Timing", "nic_digest"]

CALIBRATION: Final = REPOSITORY / "sim" / "model" / "calibration.json"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Cycles of 125 MHz. The first word of a name is the RTL's module, the rest what of it takes the time.

    What is no parameter is a contract of the RTL (how many states a descriptor passes, say), and stands beside its use.
    """

    register_access: int
    """From an access's arrival to its being performed."""
    register_answer: int
    """From there to a read's answer on the bus."""
    register_read_busy: int
    """From a read's arrival to that of the next access at the earliest."""
    register_write_busy: int
    """The same for a write."""
    register_block: int
    """What a read of a statistics counter takes longer."""
    register_reset: int
    """From CTRL.RST to the next access at the earliest."""
    arbiter_early: int
    """From a client having handed over its last word to the bus having it; the next burst may be asked for."""
    prefetch_decide: int
    """From a change of a register that makes the prefetch fetch to its request."""
    prefetch_taken: int
    """The same when the change is that a descriptor is taken."""
    prefetch_enable: int
    """The same when it is RCTL.EN or TCTL.EN."""
    prefetch_burst: int
    """From one request to the next."""
    prefetch_offer: int
    """From a descriptor's last word to its offer."""
    write_back_request: int
    """From a used descriptor having joined to the request."""
    write_back_group: int
    """What that of a group takes longer."""
    write_back_report: int
    """From the last word to the events."""
    write_back_idle: int
    """From there to taking the next descriptor."""
    receive_decide: int
    """From a frame's end on the wire to the descriptor being taken, if there is one."""
    receive_search: int
    """From the first two words on the wire to that at the earliest: the filter's search."""
    receive_dma_request: int
    """From the descriptor to the request to write data."""
    receive_dma_burst: int
    """From a burst's last word to the next one's request."""
    receive_dma_status: int
    """From the last word to the descriptor being handed to the write-back."""
    receive_dma_next: int
    """From there to the next frame's descriptor being taken."""
    receive_dma_again: int
    """From there to the next descriptor of the same frame being taken."""
    requester_burst: int
    """From a descriptor, or a request, to the next request."""
    requester_next: int
    """From a descriptor's last request to the next descriptor."""
    requester_room: int
    """How long before the last of its words is used the room of a burst can be asked for."""
    gather_item: int
    """From a descriptor to its first word."""
    gather_word: int
    """From a word on the bus to its being used."""
    gather_complete: int
    """From a descriptor's last word to the write-back."""
    segment_chunk: int
    """From a word of a packet to the next: as fast as the segmenter takes them."""
    segment_plain: int
    """From the last word of a packet that is not cut to its preamble, if the wire is free."""
    segment_resume: int
    """From there to the next packet's first descriptor."""
    segment_frame: int
    """From the last word of a frame of a cut packet to its preamble, if the wire is free."""
    segment_drain: int
    """From the last word of such a frame to the header of the next."""
    segment_complete: int
    """From the last word of a descriptor of a cut packet to the write-back."""
    mac_enable: int
    """From what lets frames go to the preamble."""
    mac_read: int
    """From the preamble to the buffer having room for its first word, seen from the gatherer."""
    mac_next: int
    """From the preamble of a packet of one word to the next packet leaving the queue."""
    mac_loopback: int
    """From the preamble to that at the receiver, in loopback."""
    mdic_end: int
    """What a command of MDIC takes beside its frame."""
    phy_link: int
    """From what makes a link to its being there."""


@cache
def nic_digest() -> str:
    """A digest of the sources of the NIC, but for comments and docstrings, and for what stands around it: proofs,
    boards and their bridge."""
    digest = hashlib.sha256()
    for path in sorted((REPOSITORY / "hw").rglob("*.py")):
        name = str(path.relative_to(REPOSITORY))
        if not name.startswith(("hw/formal/", "hw/boards/", "hw/bridge/")):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                body = getattr(node, "body", None)
                if isinstance(body, list):
                    node.body = [item for item in body if not _is_text(item)]  # type: ignore[attr-defined]
            digest.update(f"{name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What ``calibration.json`` holds."""

    commit: str
    nic: str
    """``nic_digest`` of the NIC that it was measured on."""
    timing: Timing
    open: dict[str, int] = field(default_factory=dict)
    """Parameters whose checkpoint no value closes, with the cycles by which the model is late there."""

    @classmethod
    def begin(cls, path: Path = CALIBRATION) -> Timing:
        """Where a new calibration begins: the present file's, whatever NIC it was measured on."""
        try:
            return Timing(**json.loads(path.read_text())["timing"])
        except (OSError, ValueError, KeyError, TypeError):
            return Timing(**dict.fromkeys((item.name for item in fields(Timing)), 2))

    @classmethod
    def load(cls, path: Path = CALIBRATION) -> "Calibration":
        """Raises ``UserError`` if the file is not one, or of another NIC."""
        try:
            content: dict[str, Any] = json.loads(path.read_text())
            timing = Timing(**content["timing"])
            left = {str(name): int(cycles) for name, cycles in content.get("open", {}).items()}
            calibration = cls(commit=str(content["commit"]), nic=str(content["nic"]), timing=timing, open=left)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is no calibration of the model ({error}); make calibrate writes one") from None
        missing = [item.name for item in fields(Timing) if item.name not in content["timing"]]
        wrong = [name for name, value in asdict(timing).items() if not isinstance(value, int)]
        if missing or wrong:
            raise UserError(f"{path}: {(missing + wrong)[0]} is not a number of cycles; make calibrate writes one")
        if calibration.nic != nic_digest():
            raise UserError(
                f"{path} was measured on another NIC ({calibration.nic}, this one is {nic_digest()}); "
                "make calibrate measures this one"
            )
        return calibration

    def save(self, path: Path = CALIBRATION) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
