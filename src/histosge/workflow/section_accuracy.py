"""How genes fare in a section of which nothing was fitted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge.errors import DataError
from histosge.prediction.factored import Basis

__all__ = ["Elsewhere"]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What leaving out one section at a time has shown.

    Parameters
    ----------
    sections
        How many were left out in turn.
    skill
        Mean over them of each gene's correlation with what was measured there, in the order of the panel; 0 where it
        is the same everywhere.
    coverage
        Share of the measured values within their 90 % intervals, as these come; ``None`` where the model knows none.
    stretch
        What each gene's standard deviations must be multiplied by for such intervals to hold 90 %, at least 1: sections
        differ by more than spots of one section do.
    """

    sections: int
    skill: tuple[float, ...]
    coverage: float | None
    stretch: tuple[float, ...]

    def told(self, basis: Basis) -> Basis:
        """Return a basis that says so of its genes."""
        skill, stretch = (np.array(values, dtype=np.float32) for values in (self.skill, self.stretch))
        return replace(basis, r_loo=skill, calibration_factor=basis.calibration_factor * stretch)

    def summary(self) -> dict[str, float | None]:
        """Return what a record says of it."""
        return {"sections": self.sections, "skill": float(np.mean(self.skill)), "coverage": self.coverage}

    def write(self, path: Path) -> None:
        """Keep it."""
        with atomic_path(path) as draft:
            draft.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Elsewhere | None:
        """Return what :meth:`write` kept; ``None`` where that is nothing.

        Raises
        ------
        DataError
            When it is damaged.
        """
        if not path.exists():
            return None
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            skill, stretch = (tuple(map(float, held[name])) for name in ("skill", "stretch"))
            return cls(int(held["sections"]), skill, held["coverage"], stretch)
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"'{path}' is damaged. Remove it, and run again.") from error
