"""Fill a map by nearest location: each pixel has the value of the location next to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.geometry.spacing import median_spacing_um
from histosge.section.locations import Locations

__all__ = ["NearestLocationMap", "nearest_location_map"]

# pixels along the longer side of a map: at least four a location at ×8 of a whole Visium section
_PIXELS = 900
# locations in the middle of the section from which the spacing is estimated
_SAMPLE = 2000
# neighbouring spots compared with a location, and the shift of their mean, in pitches, of a location outside of them
_NEIGHBOURS, _MAX_SHIFT_PITCHES = 4, 0.4
# printed arrays are not perfectly even; without a margin gaps between locations would show
_MARGIN = 1.25


@dataclass(frozen=True, slots=True, eq=False)
class NearestLocationMap:
    """A raster of the nearest location of each pixel.

    Parameters
    ----------
    row
        Row of the nearest location, −1 where none is near.
    extent
        Borders in µm: left, right, bottom, top.
    drawn
        Rows of the locations that are drawn.
    """

    row: Int[np.ndarray, "h w"]
    extent: tuple[float, float, float, float]
    drawn: Int[np.ndarray, " m"]

    @property
    def number(self) -> int:
        """How many locations are drawn."""
        return len(self.drawn)

    def paint(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, "h w"]:
        """Return values of the locations as an image, NaN where no location is near."""
        return np.where(self.row >= 0, np.asarray(values, dtype=np.float64)[self.row], np.nan)


def nearest_location_map(locations: Locations, corners: Float[np.ndarray, "2 2"]) -> NearestLocationMap:
    """Assign each pixel of a view to the nearest location, if one is near.

    Drawn are locations that are measured, on tissue or surrounded by spots. Near means within the circle through three
    neighbouring locations, so that a lattice of any shape is covered without gaps and nothing is drawn beyond its
    border.

    Parameters
    ----------
    locations
        The locations.
    corners
        Of the view in µm: (left, top), (right, bottom).
    """
    from scipy.spatial import cKDTree

    drawn = np.flatnonzero(locations.in_tissue | locations.observed | _surrounded_by_spots(locations))
    drawn = drawn if len(drawn) else np.arange(len(locations))
    xy_um = locations.xy[drawn]
    width, height = corners[1] - corners[0]
    pixel = max(width, height) / _PIXELS
    columns, rows = (max(1, round(float(side) / pixel)) for side in (width, height))
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns * width, (np.arange(rows) + 0.5) / rows * height)
    centres = np.column_stack([x.ravel(), y.ravel()]) + corners[0]
    # at least one pixel: a single location must stay visible
    distance, nearest = cKDTree(xy_um).query(centres)
    near = distance <= max(_circumradius(xy_um), pixel)
    row = np.where(near, drawn[np.minimum(nearest, len(drawn) - 1)], -1)
    (left, top), (right, bottom) = corners
    return NearestLocationMap(row.reshape(rows, columns), (left, right, bottom, top), drawn)


def _surrounded_by_spots(locations: Locations) -> Array:
    """Return which locations have measured spots on all sides: tissue too pale for the mask must not become a hole."""
    from scipy.spatial import cKDTree

    spots = locations.xy[locations.observed]
    if len(spots) <= _NEIGHBOURS:
        return np.zeros(len(locations), dtype=bool)
    neighbours = cKDTree(spots).query(locations.xy, k=_NEIGHBOURS)[1]
    # the mean of the nearest spots lies close by where they surround the location, and to one side at the border
    shift = np.linalg.norm(spots[neighbours].mean(axis=1) - locations.xy, axis=1)
    return np.asarray(shift < _MAX_SHIFT_PITCHES * median_spacing_um(spots))


def _circumradius(xy_um: Array) -> float:
    """Return the median radius of the circles through three neighbouring locations, with a margin."""
    from scipy.spatial import Delaunay, QhullError

    middle = np.argsort(np.linalg.norm(xy_um - np.median(xy_um, axis=0), axis=1))[:_SAMPLE]
    try:
        corners = xy_um[middle][Delaunay(xy_um[middle]).simplices]
    except (QhullError, ValueError):
        # a single location, or all on a line
        return float(np.ptp(xy_um, axis=0).max()) / max(len(xy_um) - 1, 1)
    # R = abc / 4A for a triangle with sides a, b, c and area A
    sides = [np.linalg.norm(corners[:, i] - corners[:, j], axis=1) for i, j in ((0, 1), (1, 2), (2, 0))]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    area = np.abs(ax * by - ay * bx) / 2
    return _MARGIN * float(np.median(np.prod(sides, axis=0) / np.maximum(4 * area, 1e-9)))
