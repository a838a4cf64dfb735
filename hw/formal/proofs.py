"""All proofs."""

from hw.formal import buffers, dma, interrupt, moderation, streams
from hw.formal.proof import Proof

__all__ = ["PROOFS"]

PROOFS: tuple[Proof, ...] = (*streams.PROOFS, *interrupt.PROOFS, *moderation.PROOFS, *dma.PROOFS, *buffers.PROOFS)
"""Each has a name of its own."""
