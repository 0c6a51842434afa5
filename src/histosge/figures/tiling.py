"""Places as areas: each pixel of a map belongs to the place next to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.geometry.spacing import median_spacing_um
from histosge.section.locations import Locations

__all__ = ["Tiling", "tiling"]

# pixels along the longer side of a map: four and more to a place at ×8 of a whole Visium section
_PIXELS = 900
# places from which their distance is learnt
_SAMPLE = 2000
# spots looked at around a place, and the shift of their mean, in pitches, where they lie on one side of it
_AROUND, _ONE_SIDED = 4, 0.4
# printed arrays are not perfectly even, and must not show seams
_SLACK = 1.25


@dataclass(frozen=True, slots=True, eq=False)
class Tiling:
    """A picture whose pixels are numbers of places.

    Parameters
    ----------
    place
        Row of the place each pixel belongs to, −1 where none is near.
    extent
        Borders in µm: left, right, bottom, top.
    drawn
        Rows of the places that are drawn.
    """

    place: Int[np.ndarray, "h w"]
    extent: tuple[float, float, float, float]
    drawn: Int[np.ndarray, " m"]

    @property
    def places(self) -> int:
        """How many places are drawn."""
        return len(self.drawn)

    def paint(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, "h w"]:
        """Return the values of the places as a picture, NaN where there is none."""
        return np.where(self.place >= 0, np.asarray(values, dtype=np.float64)[self.place], np.nan)


def tiling(locations: Locations, window: Float[np.ndarray, "2 2"]) -> Tiling:
    """Give each pixel of a window to the nearest place that is measured, on tissue or between spots, if one is near.

    Near means within the circle through three neighbouring places, so that a lattice of any shape is covered
    without seams, and nothing beyond its border is.

    Parameters
    ----------
    locations
        The places.
    window
        Corners of the map in µm: (left, top), (right, bottom).
    """
    from scipy.spatial import cKDTree

    drawn = np.flatnonzero(locations.in_tissue | locations.observed | _enclosed(locations))
    drawn = drawn if len(drawn) else np.arange(len(locations))
    xy_um = locations.xy[drawn]
    width, height = window[1] - window[0]
    pixel = max(width, height) / _PIXELS
    columns, rows = (max(1, round(float(side) / pixel)) for side in (width, height))
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns * width, (np.arange(rows) + 0.5) / rows * height)
    centres = np.column_stack([x.ravel(), y.ravel()]) + window[0]
    distance, nearest = cKDTree(xy_um).query(centres)
    found = np.where(distance <= max(_reach(xy_um), pixel), drawn[np.minimum(nearest, len(drawn) - 1)], -1)
    (left, top), (right, bottom) = window
    return Tiling(found.reshape(rows, columns), (left, right, bottom, top), drawn)


def _enclosed(locations: Locations) -> Array:
    """Tell which places have measured spots on all sides: tissue too pale for the mask must not look like holes."""
    from scipy.spatial import cKDTree

    spots = locations.xy[locations.observed]
    if len(spots) <= _AROUND:
        return np.zeros(len(locations), dtype=bool)
    tree = cKDTree(spots)
    pitch_um = median_spacing_um(spots)
    # the nearest spots pull in all directions, or all in one
    pull = spots[tree.query(locations.xy, k=_AROUND)[1]].mean(axis=1) - locations.xy
    return np.asarray(np.linalg.norm(pull, axis=1) < _ONE_SIDED * pitch_um)


def _reach(xy_um: Array) -> float:
    """Return the radius of the circle through three neighbouring places, the median of those in the middle."""
    from scipy.spatial import Delaunay, QhullError

    middle = np.argsort(np.linalg.norm(xy_um - np.median(xy_um, axis=0), axis=1))[:_SAMPLE]
    try:
        corners = xy_um[middle][Delaunay(xy_um[middle]).simplices]
    except (QhullError, ValueError):
        # one place, or all on a line
        return float(np.ptp(xy_um, axis=0).max()) / max(len(xy_um) - 1, 1)
    sides = [np.linalg.norm(corners[:, i] - corners[:, j], axis=1) for i, j in ((0, 1), (1, 2), (2, 0))]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    area = np.abs(ax * by - ay * bx) / 2
    return _SLACK * float(np.median(np.prod(sides, axis=0) / np.maximum(4 * area, 1e-9)))
