"""Formal proofs of what the NIC's parts promise: each an environment around one component (``hw.formal.proofs``)."""
