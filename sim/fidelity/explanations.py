"""Why points of the grid miss their goals, for ``docs/fidelity.md``."""

__all__ = ["EXPLANATIONS"]

EXPLANATIONS: dict[str, str] = {}
