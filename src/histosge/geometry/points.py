"""Points in the tissue, in micrometres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.summary import as_text, plural
from histosge._runtime.types import Array, Float, frozen
from histosge.errors import DataError, UsageError

__all__ = ["Points"]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Named points with a support: spots, bins, cells or mere points.

    Parameters
    ----------
    xy
        Positions in µm in the image frame: x to the right, y downwards, (0, 0) the image's upper left corner.
    ids
        One unique name a point: a barcode, a cell id.
    diameter_um
        Diameter of the disk that a point stands for, in µm: 55 for a Visium spot, 0 for a mere point.

    Raises
    ------
    DataError
        For positions that are not finite, repeated ids, or lengths that differ.
    UsageError
        For a negative diameter.

    Examples
    --------
    >>> import numpy as np
    >>> points = Points(np.array([[0.0, 0.0], [100.0, 0.0]]), np.array(["A", "B"]), 55.0)
    >>> len(points), points.take([1]).ids.tolist()
    (2, ['B'])
    """

    xy: Float[np.ndarray, "n 2"]
    ids: Array
    diameter_um: float = 0.0

    def __post_init__(self) -> None:
        xy = np.ascontiguousarray(self.xy, dtype=np.float64)
        ids = np.asarray(self.ids, dtype=str)
        if xy.ndim != 2 or xy.shape[1] != 2 or ids.shape != (len(xy),):
            raise DataError(f"Expected positions (n, 2) and n ids, got {xy.shape} and {ids.shape}.")
        if not np.isfinite(xy).all():
            bad = ids[~np.isfinite(xy).all(1)][0]
            raise DataError(
                f"Expected finite positions, got NaN or infinity for '{bad}'. Check the positions file."
            )
        if len(np.unique(ids)) != len(ids):
            raise DataError("Expected unique ids for the points, got repeated ones. Check the barcodes.")
        if not self.diameter_um >= 0:
            raise UsageError(f"`diameter_um` must be 0 or more, got {self.diameter_um}.")
        object.__setattr__(self, "xy", frozen(xy))
        object.__setattr__(self, "ids", frozen(ids))

    def __repr__(self) -> str:
        wide = f"{self.diameter_um:g} µm wide" if self.diameter_um else ""
        return as_text("Points", {"points": plural(len(self), "point"), "diameter": wide})

    def __len__(self) -> int:
        return len(self.xy)

    def take(self, index: Any) -> Points:
        """Return the points at ``index`` (integers or a boolean mask), in that order."""
        return Points(self.xy[index], self.ids[index], self.diameter_um)
