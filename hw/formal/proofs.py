"""All proofs."""

from hw.formal import buffers, dma, interrupt, moderation, rings, streams
from hw.formal.proof import Proof

__all__ = ["PROOFS"]

PROOFS: tuple[Proof, ...] = (
    *rings.PROOFS,
    *buffers.PROOFS,
    *dma.PROOFS,
    *interrupt.PROOFS,
    *moderation.PROOFS,
    *streams.PROOFS,
)
"""Those that take longest come first. Each has a name of its own."""
