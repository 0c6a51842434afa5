"""Fill a map by nearest location: each pixel has the value of the location next to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.geometry.covered_area import covered_pixels
from histosge.geometry.spacing import median_spacing_um
from histosge.section.locations import Locations

__all__ = ["NearestLocationMap", "nearest_location_map"]

# pixels along the longer side of a map: at least four a location at ×8 of a whole Visium section
_PIXELS = 900
# neighbouring spots compared with a location, and the shift of their mean, in pitches, of a location outside of them
_NEIGHBOURS, _MAX_SHIFT_PITCHES = 4, 0.4


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

    Drawn are locations that are measured, on tissue or surrounded by spots. What is near, see
    :func:`~histosge.geometry.covered_area.covered_pixels`.

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
    near = covered_pixels(
        xy_um,
        centres.reshape(rows, columns, 2),
        distance=distance.reshape(rows, columns),
        pitch_um=_pitch_um(locations),
    )
    row = np.where(near, drawn[np.minimum(nearest, len(drawn) - 1)].reshape(rows, columns), -1)
    (left, top), (right, bottom) = corners
    return NearestLocationMap(row, (left, right, bottom, top), drawn)


def _pitch_um(locations: Locations) -> float:
    """Return the distance of the measured spots; without any, that of the locations."""
    spots = locations.xy[locations.observed]
    xy_um = spots if len(spots) > 1 else locations.xy
    return median_spacing_um(xy_um) if len(xy_um) > 1 else 1.0


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
