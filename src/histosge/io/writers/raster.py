"""Places as pixels of a regular grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError
from histosge.section.locations import Locations

__all__ = ["Raster"]

# a place further than this from the middle of its pixel, in pixels, is on no square grid
_OFF_GRID = 0.05
# how far a place reaches, in distances between neighbours: the corners of a hexagon are 0.58 away, of a square 0.71
_REACH = 0.75
_MOST_PIXELS = 200_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Which place each pixel shows.

    Parameters
    ----------
    place
        Row of the place; −1 where there is none.
    pixel_um
        Side of a pixel.
    first_um
        (x, y) of the middle of the upper left pixel.
    """

    place: Int[np.ndarray, "h w"]
    pixel_um: float
    first_um: Float[np.ndarray, " 2"]

    @classmethod
    def of(cls, places: Locations, *, spacing_um: float) -> Raster:
        """Lay pixels over places.

        Places on a square grid along the image's edges are one pixel each. All others (hexagonal lattices, cells) are
        shown by pixels half as wide as their distance, each pixel by the nearest place.

        Parameters
        ----------
        places
            At least one.
        spacing_um
            Distance between neighbours, where there is only one place.

        Raises
        ------
        UsageError
            For no places, or so many pixels that nobody could open them.
        """
        xy = places.xy
        if not len(xy):
            raise UsageError("There is no place to make an image of.")
        if len(xy) > 1:
            nearest = cKDTree(xy).query(xy, k=2)[0][:, 1]
            # a tenth of a nanometre is rounding of positions
            spacing_um = round(float(np.median(nearest[nearest > 0])), 4) if nearest.any() else spacing_um
        low, side = xy.min(axis=0), np.ptp(xy, axis=0) / spacing_um
        if np.prod(2 * side + 3) > _MOST_PIXELS:
            raise UsageError(
                f"An image of places {spacing_um:g} µm apart would have {np.prod(2 * side):.0f} pixels. Export them "
                "as h5ad or SpatialData."
            )
        exact = cls._square(xy, low, spacing_um)
        return cls._nearest(xy, low, spacing_um) if exact is None else exact

    @classmethod
    def _square(cls, xy: Array, low: Array, spacing_um: float) -> Raster | None:
        """Return one pixel a place, or ``None`` where places are not so arranged."""
        position = (xy - low) / spacing_um
        column, row = np.rint(position).astype(np.intp).T
        place = np.full((row.max() + 1, column.max() + 1), -1, dtype=np.intp)
        place[row, column] = np.arange(len(xy))
        shown = np.count_nonzero(place >= 0) == len(xy)
        on_grid = np.abs(position - np.rint(position)).max() < _OFF_GRID
        return cls(place, spacing_um, low) if shown and on_grid else None

    @classmethod
    def _nearest(cls, xy: Array, low: Array, spacing_um: float) -> Raster:
        pixel_um = spacing_um / 2
        first = low - pixel_um
        width, height = np.ceil(np.ptp(xy, axis=0) / pixel_um).astype(int) + 3
        column, row = np.meshgrid(np.arange(width), np.arange(height))
        middle = np.column_stack([column.ravel(), row.ravel()]) * pixel_um + first
        found = cKDTree(xy).query(middle, distance_upper_bound=_REACH * spacing_um)[1]
        place = np.where(found < len(xy), found, -1).reshape(height, width)
        return cls(place, pixel_um, first)

    @property
    def shown(self) -> Array:
        """Where there is a place."""
        return np.asarray(self.place >= 0)

    def image(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, "h w"]:
        """Return the values as an image, 0 where there is no place."""
        return np.where(self.shown, np.asarray(values, dtype=np.float32)[self.place], np.float32(0))

    def halved(self, image: Array, weight: Array) -> tuple[Array, Array]:
        """Return an image half as large, and the share of each pixel that has a place.

        A pixel is the mean of the four below it, of those that have places: the edge of the tissue does not fade.
        """
        weight = weight.astype(np.float32)
        total, share = _fours(image * weight), _fours(weight)
        mean = np.divide(total, share, out=np.zeros_like(total), where=share > 0)
        return mean.astype(np.float32), share / 4


def _fours(image: Array) -> Any:
    """Return sums over 2 × 2 pixels; beyond the edge there is nothing."""
    height, width = image.shape
    even = np.pad(image, ((0, height % 2), (0, width % 2)))
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).sum(axis=(1, 3))
