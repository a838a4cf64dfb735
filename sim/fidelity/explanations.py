"""Why points of the grid miss their goals, for ``docs/fidelity.md``."""

__all__ = ["EXPLANATIONS"]

_COINCIDENCE = (
    "Frames of both directions come with the same period. When the buffer is full the model completes a transmit "
    "descriptor some 5 cycles sooner, and so TXDW and RXT0, which on the RTL share an interrupt, come one by one"
)
_FLUSH = (
    "The read of ICR waits until memory shows the writes before it. The next frame's write falls within a few cycles "
    "of that read; on the RTL it comes just before (the answer is half a microsecond later), in the model just behind. "
    "From there on the frames, which come at a fixed pace, meet other polls. Open: which cycle it is"
)

EXPLANATIONS = {
    "both-line-rate-1518": f"{_COINCIDENCE}.",
    "receive-latency-200": f"{_FLUSH}.",
    "receive-latency-2000": f"{_FLUSH}.",
}
