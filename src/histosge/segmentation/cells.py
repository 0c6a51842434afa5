"""The cells of a section: ids, outlines, nuclei and classes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float, frozen
from histosge.errors import DataError

__all__ = ["Cells"]

# diameters are rounded to so many classes an octave, because models compare locations of one diameter at a time: half
# a class, 9 %, of a cell changes no kernel that spots can determine
_CLASSES_PER_OCTAVE = 4


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells in µm of the section's image frame: x to the right, y downwards.

    Row i of every part is cell i, in the order of the user's file.

    Parameters
    ----------
    ids
        One unique name a cell, as in the user's file.
    xy_um
        Centroids, (n, 2).
    outlines
        shapely polygons or multipolygons, valid and with an area, (n,); ``None`` for cells known by centroid alone.
    nuclei
        Outlines of the nuclei likewise; an entry is ``None`` where a cell has no nucleus.
    classes
        Class of each cell in the user's words; an empty string where it has none. ``None``: the file has no classes.
    confidence
        Probability of each detection, 0 to 1, where the program that found the cells states it; NaN where not.
    source
        What found or held the cells: a name of the registry of sources or of segmenters.

    Raises
    ------
    DataError
        For parts of unequal length, repeated ids, positions that are not finite, outlines without area.

    Examples
    --------
    >>> import shapely
    >>> cells = Cells(np.array(["a"]), np.array([[5.0, 5.0]]), np.array([shapely.box(0, 0, 10, 10)]))
    >>> cells.area_um2.tolist(), cells.take([0]).ids.tolist()
    ([100.0], ['a'])
    """

    ids: Array
    xy_um: Float[np.ndarray, "n 2"]
    outlines: Array | None = None
    nuclei: Array | None = None
    classes: Array | None = None
    confidence: Float[np.ndarray, " n"] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids, dtype=str)
        xy_um = np.ascontiguousarray(self.xy_um, dtype=np.float64)
        if ids.ndim != 1 or xy_um.shape != (len(ids), 2):
            raise DataError(
                f"Expected n ids and centroids (n, 2) of cells, got {ids.shape} and {xy_um.shape}."
            )
        if len(np.unique(ids)) != len(ids):
            raise DataError("Expected unique ids of cells, got repeated ones. Number the repeats.")
        if not np.isfinite(xy_um).all():
            bad = ids[~np.isfinite(xy_um).all(axis=1)][0]
            raise DataError(f"Expected finite centroids of cells, got NaN or infinity for '{bad}'.")
        object.__setattr__(self, "ids", frozen(ids))
        object.__setattr__(self, "xy_um", frozen(xy_um))
        for name in ("outlines", "nuclei", "classes", "confidence"):
            part = getattr(self, name)
            if part is None:
                continue
            if np.shape(part) != ids.shape:
                raise DataError(f"Expected {len(ids)} values of {name}, got {np.shape(part)}.")
            object.__setattr__(self, name, frozen(np.asarray(part)))
        self._refuse_without_area()

    def _refuse_without_area(self) -> None:
        import shapely

        if self.outlines is None:
            return
        bad = np.flatnonzero(~(shapely.area(self.outlines) > 0))
        if len(bad):
            raise DataError(
                f"Expected outlines with an area, got none for {len(bad)} cells, as '{self.ids[bad[0]]}'. Leave them "
                "out."
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        parts = ", ".join(
            n for n in ("outlines", "nuclei", "classes", "confidence") if getattr(self, n) is not None
        )
        return f"Cells({len(self)} cells of {self.source or 'no named source'}; {parts or 'centroids alone'})"

    @property
    def area_um2(self) -> Float[np.ndarray, " n"]:
        """Areas of the outlines; NaN where there are none."""
        import shapely

        if self.outlines is None:
            return np.full(len(self), np.nan)
        return np.asarray(shapely.area(self.outlines), dtype=np.float64)

    def diameters_um(self, index: Any = slice(None)) -> Float[np.ndarray, " n"]:
        """Return diameters of the disks with the areas of the cells at ``index``, rounded to a quarter of an octave.

        Cells known by centroid alone are points of diameter 0.
        """
        import shapely

        if self.outlines is None:
            return np.zeros(len(self.ids[index]))
        octaves = np.log2(2 * np.sqrt(shapely.area(self.outlines[index]) / np.pi))
        return np.asarray(2 ** (np.round(octaves * _CLASSES_PER_OCTAVE) / _CLASSES_PER_OCTAVE))

    def take(self, index: Any) -> Cells:
        """Return the cells at ``index`` (integers or a boolean mask), in that order."""
        rows = {
            field.name: part[index]
            for field in fields(self)
            if isinstance(part := getattr(self, field.name), np.ndarray)
        }
        return replace(self, **rows)
