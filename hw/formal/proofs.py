"""All proofs."""

from hw.formal import dma, interrupt, moderation
from hw.formal.proof import Proof

__all__ = ["PROOFS"]

PROOFS: tuple[Proof, ...] = (*interrupt.PROOFS, *moderation.PROOFS, *dma.PROOFS)
"""Each has a name of its own."""
