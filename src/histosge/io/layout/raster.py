"""Locations as pixels of a regular grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError
from histosge.section.locations import Locations

__all__ = ["Raster"]

# a location further than this from the centre of its pixel, in pixels, is on no square grid
_OFF_GRID = 0.05
# largest distance from a location to its pixels, in units of the spacing: the corners of a hexagonal cell are 0.58
# away, those of a square cell 0.71
_MAX_DISTANCE = 0.75
# pixels along the median cell that has an outline
_PIXELS_PER_CELL = 10
_MAX_PIXELS = 200_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """The location that each pixel shows.

    Parameters
    ----------
    row
        Row of the location; −1 where there is none.
    pixel_um
        Side of a pixel.
    first_um
        (x, y) of the centre of the upper left pixel.
    """

    row: Int[np.ndarray, "h w"]
    pixel_um: float
    first_um: Float[np.ndarray, " 2"]

    @classmethod
    def of(cls, locations: Locations, *, spacing_um: float) -> Raster:
        """Return the raster of locations.

        Locations on a square grid parallel to the image's edges are one pixel each. For all others (hexagonal lattices,
        cells known by centroid alone) pixels are half as wide as the spacing, and each pixel shows the nearest
        location. Cells with outlines are painted: a pixel shows the cell that its centre lies in, the last of several,
        and is a tenth as wide as the median cell.

        Parameters
        ----------
        locations
            At least one.
        spacing_um
            Width of the pixel where there is only one location.

        Raises
        ------
        UsageError
            Without locations, and for more pixels than viewers open.
        """
        xy = locations.xy
        if not len(xy):
            raise UsageError("Expected locations to make an image of, got none.")
        if locations.cells is not None and locations.cells.outlines is not None:
            return cls._painted(locations.cells.outlines)
        if len(xy) > 1:
            nearest = cKDTree(xy).query(xy, k=2)[0][:, 1]
            # round to a tenth of a nanometre, the precision of positions
            spacing_um = round(float(np.median(nearest[nearest > 0])), 4) if nearest.any() else spacing_um
        low, side = xy.min(axis=0), np.ptp(xy, axis=0) / spacing_um
        _refuse_large(float(np.prod(2 * side + 3)), f"locations {spacing_um:g} µm apart")
        square = cls._square(xy, low, spacing_um)
        return cls._nearest(xy, low, spacing_um) if square is None else square

    @classmethod
    def _square(cls, xy: Array, low: Array, spacing_um: float) -> Raster | None:
        """Return one pixel a location, or ``None`` where locations are on no square grid."""
        position = (xy - low) / spacing_um
        x, y = np.rint(position).astype(np.intp).T
        row = np.full((y.max() + 1, x.max() + 1), -1, dtype=np.intp)
        row[y, x] = np.arange(len(xy))
        distinct = np.count_nonzero(row >= 0) == len(xy)
        on_grid = np.abs(position - np.rint(position)).max() < _OFF_GRID
        return cls(row, spacing_um, low) if distinct and on_grid else None

    @classmethod
    def _nearest(cls, xy: Array, low: Array, spacing_um: float) -> Raster:
        pixel_um = spacing_um / 2
        first = low - pixel_um
        width, height = np.ceil(np.ptp(xy, axis=0) / pixel_um).astype(int) + 3
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        centre = np.column_stack([x.ravel(), y.ravel()]) * pixel_um + first
        nearest = cKDTree(xy).query(centre, distance_upper_bound=_MAX_DISTANCE * spacing_um)[1]
        # the tree returns the number of points where none is near enough
        row = np.where(nearest < len(xy), nearest, -1).reshape(height, width)
        return cls(row, pixel_um, first)

    @classmethod
    def _painted(cls, outlines: Array) -> Raster:
        """Return the outlines of cells, painted one after the other."""
        import shapely

        diameter_um = 2 * float(np.sqrt(np.median(shapely.area(outlines)) / np.pi))
        pixel_um = diameter_um / _PIXELS_PER_CELL
        bounds = shapely.bounds(outlines)
        first = bounds[:, :2].min(axis=0)
        width, height = np.ceil((bounds[:, 2:].max(axis=0) - first) / pixel_um).astype(int) + 1
        _refuse_large(float(width) * float(height), f"cells {diameter_um:.3g} µm wide")
        row = np.full((height, width), -1, dtype=np.intp)
        low, high = ((bounds[:, part] - first) / pixel_um for part in (slice(0, 2), slice(2, 4)))
        starts, stops = np.floor(low).astype(int), np.ceil(high).astype(int) + 1
        for number, outline in enumerate(outlines):
            (x0, y0), (x1, y1) = starts[number], stops[number]
            x, y = np.meshgrid(np.arange(x0, min(x1, width)), np.arange(y0, min(y1, height)))
            inside = shapely.contains_xy(
                outline, first[0] + (x + 0.5) * pixel_um, first[1] + (y + 0.5) * pixel_um
            )
            if inside.any():
                row[y[inside], x[inside]] = number
            else:
                # smaller than the pixels between whose centres it lies
                row[y0, x0] = number
        return cls(row, pixel_um, first + pixel_um / 2)

    @property
    def shown(self) -> Array:
        """Return the mask of pixels that show a location."""
        return np.asarray(self.row >= 0)

    def image(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, "h w"]:
        """Return the values as an image, 0 where there is no location."""
        return np.where(self.shown, np.asarray(values, dtype=np.float32)[self.row], np.float32(0))

    def halved(self, image: Array, weight: Array) -> tuple[Array, Array]:
        """Return an image half as large, and the share of each pixel that shows locations.

        A pixel is the mean of those of its four pixels that show a location: the edge of the tissue does not fade.
        """
        weight = weight.astype(np.float32)
        total, share = _sums_of_four(image * weight), _sums_of_four(weight)
        mean = np.divide(total, share, out=np.zeros_like(total), where=share > 0)
        return mean.astype(np.float32), share / 4


def _refuse_large(pixels: float, what: str) -> None:
    if pixels > _MAX_PIXELS:
        raise UsageError(
            f"An image of {what} would have {pixels:.0f} pixels. Choose the format h5ad or spatialdata."
        )


def _sums_of_four(image: Array) -> Any:
    """Return sums over 2 × 2 pixels; pixels beyond the edge count as 0."""
    height, width = image.shape
    even = np.pad(image, ((0, height % 2), (0, width % 2)))
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).sum(axis=(1, 3))
