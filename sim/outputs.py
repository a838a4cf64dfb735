"""What a run leaves beside its rows."""

from dataclasses import dataclass

__all__ = ["Outputs"]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Each is a file in the run's folder."""

    capture: bool = False
    """``capture.pcapng``: the frames on A's wire."""
    waves: bool = False
    """``dump.fst`` and view files; several times slower, RTL alone."""
    timeline: bool = False
    """``timeline.json``: what happened when, for Perfetto."""

    @property
    def any(self) -> bool:
        return self.capture or self.waves or self.timeline
