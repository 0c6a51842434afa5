"""Where to predict: the measured spots, a refined lattice, a grid, the inside of polygons, cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._errors import DataError
from ._types import Array, Bool, Float, Int, frozen
from .points import Points

__all__ = ["Locations"]


@dataclass(frozen=True, slots=True, eq=False)
class Locations:
    """Places to predict at, with how each came about.

    Parameters
    ----------
    points
        The places.
    lattice_xy
        Fractional position on the section's lattice (column, row); NaN where the section has none.
    parent
        Row of the measured spot each place belongs to: the one it was shifted from, else the nearest.
    offset_class
        0 for the measured positions, k for the k-th offset of a refinement, −1 for places of no class.
    observed
        True where the place is a measured spot.
    in_tissue
        True where the image shows tissue (or, without image, where the place lies among the spots).
    """

    points: Points
    lattice_xy: Float[np.ndarray, "n 2"]
    parent: Int[np.ndarray, " n"]
    offset_class: Int[np.ndarray, " n"]
    observed: Bool[np.ndarray, " n"]
    in_tissue: Bool[np.ndarray, " n"]

    def __post_init__(self) -> None:
        n = len(self.points)
        for name in ("lattice_xy", "parent", "offset_class", "observed", "in_tissue"):
            part: Array = getattr(self, name)
            if len(part) != n:
                raise DataError(f"Expected {n} values of {name}, got {len(part)}.")
            object.__setattr__(self, name, frozen(part))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def xy(self) -> Float[np.ndarray, "n 2"]:
        """Positions in µm."""
        return self.points.xy

    def take(self, index: Any) -> Locations:
        """Return the places at ``index`` (integers or a boolean mask)."""
        columns = (self.lattice_xy, self.parent, self.offset_class, self.observed, self.in_tissue)
        return Locations(self.points.take(index), *(column[index] for column in columns))
