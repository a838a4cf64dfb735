"""How long the stages of the RTL take: the parameters of the model's time, measured by ``make calibrate``.

``calibration.json`` holds them, with the commit and the digest of the NIC that they were measured on.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sim.errors import UserError
from sim.rtl.build import REPOSITORY

__all__ = ["CALIBRATION", "Calibration", "Timing", "nic_digest"]

CALIBRATION = Path(__file__).with_name("calibration.json")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Cycles of 125 MHz. The first word of a name is the RTL's module, the rest what of it takes the time."""

    register_write: int = 0
    """From a write's arrival to the first cycle in which its effect is seen."""
    register_write_busy: int = 0
    """From an access's arrival to that of the next at the earliest, after a write."""
    register_read: int = 0
    """From a read's arrival to the cycle in which the value is taken."""
    register_read_busy: int = 0
    register_answer: int = 0
    """From there to the answer on the bus."""
    register_block: int = 0
    """What a read of a statistics counter takes longer."""
    register_reset: int = 0
    """From CTRL.RST to the next access at the earliest."""
    interrupt_cause: int = 0
    """From a pulse to its bit in ICR."""
    interrupt_pin: int = 0
    """From the pin's rise to the host seeing it."""
    arbiter_read: int = 0
    """From a client's read request to the bus having it."""
    arbiter_write: int = 0
    """From a client's write request to the bus having the first word."""
    prefetch_decide: int = 0
    """From a change that makes the prefetch fetch to its request."""
    prefetch_taken: int = 0
    """From a descriptor being taken to looking whether to fetch."""
    prefetch_burst: int = 0
    """From one request to the next."""
    prefetch_again: int = 0
    """From the last request of a fetch to looking again."""
    prefetch_offer: int = 0
    """From a descriptor's last word to its offer."""
    prefetch_period: int = 0
    """From a descriptor being taken to the offer of the next."""
    write_back_use: int = 0
    """From a used descriptor being taken to its joining."""
    write_back_period: int = 0
    """From there to the next being taken."""
    write_back_request: int = 0
    """From joining to the request."""
    write_back_burst: int = 0
    """From a burst's last word to the next one's request."""
    write_back_report: int = 0
    """From the last word to the events."""
    write_back_idle: int = 0
    """From there to taking the next."""
    mac_receive: int = 0
    """From a frame's end on the wire to its last word at the filter."""
    receive_first_word: int = 0
    """From the begin of the preamble to the first word at the filter."""
    receive_decide: int = 0
    """From the last word to the decision."""
    receive_search: int = 0
    """From the first two words on the wire to the decision at the earliest."""
    receive_commit: int = 0
    """From the decision to the frame leaving the buffer."""
    receive_read_ahead: int = 0
    """Words that leave the buffer before a descriptor is there."""
    receive_dma_frame: int = 0
    """From a frame to the descriptor being taken."""
    receive_dma_descriptor: int = 0
    """From there to knowing the buffer."""
    receive_dma_request: int = 0
    """From there to the request."""
    receive_dma_burst: int = 0
    """From a burst's last word to the next one's request."""
    receive_dma_status: int = 0
    """From the last word to the descriptor being handed to the write-back."""
    receive_dma_next: int = 0
    """From there to the next frame or descriptor."""
    requester_burst: int = 0
    """From a descriptor, or a request, to the next request."""
    requester_next: int = 0
    """From a descriptor's last request to the next descriptor."""
    gather_empty: int = 0
    """From a descriptor without data to the gatherer."""
    gather_word: int = 0
    """From a word on the bus to the gatherer."""
    gather_item: int = 0
    """From a descriptor to its first word."""
    gather_complete: int = 0
    """From its last word to the write-back."""
    segment_plain: int = 0
    """From the last word of a packet that is not cut to its being in the buffer."""
    segment_next: int = 0
    """From there to the next packet's first descriptor."""
    segment_header: int = 0
    """Before the header of a frame."""
    segment_frame: int = 0
    """From the last word of a frame of a cut packet to its being in the buffer."""
    segment_drain: int = 0
    """From there to the next frame."""
    segment_words: int = 0
    """Words between gatherer and buffer."""
    segment_resume: int = 0
    """From room in the buffer to the next packet's words."""
    mac_start: int = 0
    """From a packet in the buffer to the preamble."""
    mac_enable: int = 0
    """From TCTL.EN, or the end of a pause, to the preamble."""
    mac_read: int = 0
    """From the preamble to the first word leaving the buffer."""
    mac_loopback: int = 0
    """From the preamble to that at the receiver, in loopback."""
    eeprom_read: int = 0
    """From EERD.START to DONE."""
    mdic_end: int = 0
    """What a command of MDIC takes beside its frame."""
    phy_link: int = 0
    """From what makes a link to its being there."""


def nic_digest() -> str:
    """A digest of the sources of the NIC."""
    digest = hashlib.sha256()
    for path in sorted((REPOSITORY / "hw").rglob("*.py")):
        digest.update(f"{path.relative_to(REPOSITORY)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What ``calibration.json`` holds."""

    commit: str
    nic: str
    """``nic_digest`` of the NIC that it was measured on."""
    timing: Timing

    @classmethod
    def load(cls, path: Path = CALIBRATION) -> "Calibration":
        """Raises ``UserError`` if the file is not one, or of another NIC."""
        try:
            content: dict[str, Any] = json.loads(path.read_text())
            timing = Timing(**content["timing"])
            calibration = cls(commit=str(content["commit"]), nic=str(content["nic"]), timing=timing)
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
