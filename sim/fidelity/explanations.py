"""Why points of the grid miss their goals, by name, for ``docs/fidelity.md``. None does at present."""

__all__ = ["EXPLANATIONS"]

EXPLANATIONS: dict[str, str] = {}
