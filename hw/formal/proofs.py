"""All proofs."""

from hw.formal import buffers, dma, interrupt, moderation, rings, streams
from hw.formal.proof import Proof

__all__ = ["PROOFS"]

PROOFS: tuple[Proof, ...] = (*streams.PROOFS, *interrupt.PROOFS, *moderation.PROOFS, *dma.PROOFS, *buffers.PROOFS, *rings.PROOFS)
"""Each has a name of its own."""
