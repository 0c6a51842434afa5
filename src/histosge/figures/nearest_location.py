"""Fill a map by nearest location: each pixel has the value of the location next to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.geometry.covered_area import circumradii
from histosge.geometry.spacing import median_spacing_um
from histosge.section.locations import Locations

__all__ = ["NearestLocationMap", "nearest_location_map"]

# pixels along the longer side of a map: at least four a location at ×8 of a whole Visium section
_PIXELS = 900
# locations in the middle of the section from which the spacing is estimated
_SAMPLE = 2000
# neighbouring spots compared with a location, and the shift of their mean, in pitches, of a location outside of them
_NEIGHBOURS, _MAX_SHIFT_PITCHES = 4, 0.4
# in median circumradii of neighbouring locations: wider triangles are holes or lie along the border, and printed arrays
# are not perfectly even; how far beyond the outermost locations is painted, half of the distance on a square lattice;
# and the radius of a location without neighbours
_WIDEST, _BEYOND, _ALONE = 1.6, 0.7, 1.25


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

    Drawn are locations that are measured, on tissue or surrounded by spots. Near means within the triangles of
    neighbouring locations (delaunay1934), or half a distance beyond them: a lattice of any shape is covered without
    gaps, and its border is as straight as its rows.

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
    distance, nearest = cKDTree(xy_um).query(centres)
    near = _near(xy_um, centres.reshape(rows, columns, 2), distance.reshape(rows, columns), pixel)
    row = np.where(near, drawn[np.minimum(nearest, len(drawn) - 1)].reshape(rows, columns), -1)
    (left, top), (right, bottom) = corners
    return NearestLocationMap(row, (left, right, bottom, top), drawn)


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


def _near(xy_um: Array, centres: Array, distance: Array, pixel: float) -> Array:
    """Return which pixels of an image are painted.

    Parameters
    ----------
    xy_um
        Of the locations.
    centres, distance
        Centre of each pixel, and its distance to the nearest location.
    pixel
        Its width.
    """
    from scipy.ndimage import distance_transform_edt
    from scipy.spatial import Delaunay, QhullError

    try:
        mesh = Delaunay(xy_um)
    except (QhullError, ValueError):
        # a single location, or all on a line; at least one pixel, so that it stays visible
        extent = float(np.ptp(xy_um, axis=0).max()) / max(len(xy_um) - 1, 1)
        return np.asarray(distance <= max(extent, pixel))
    radius = circumradii(xy_um[mesh.simplices])
    median = float(np.median(radius[_central(xy_um, mesh.simplices)]))
    close = radius <= _WIDEST * median
    triangle = mesh.find_simplex(centres)
    covered = (triangle >= 0) & close[triangle]
    beyond = distance_transform_edt(~covered) * pixel if covered.any() else np.full(covered.shape, np.inf)
    near = covered | (beyond <= _BEYOND * median)
    alone = np.setdiff1d(np.arange(len(xy_um)), mesh.simplices[close])
    if len(alone):
        from scipy.spatial import cKDTree

        reach = max(_ALONE * median, pixel)
        near |= (cKDTree(xy_um[alone]).query(centres, distance_upper_bound=reach)[0] <= reach) & (
            distance <= reach
        )
    return np.asarray(near)


def _central(xy_um: Array, triangles: Array) -> Array:
    """Return the triangles of the locations in the middle of the section, where no border makes them wide."""
    middle = np.argsort(np.linalg.norm(xy_um - np.median(xy_um, axis=0), axis=1))[:_SAMPLE]
    central = np.isin(triangles, middle).all(axis=1)
    return np.flatnonzero(central) if central.any() else np.arange(len(triangles))
