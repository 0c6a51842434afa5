"""A map of cells by their outlines: each pixel has the value of the cell whose outline covers it."""

from __future__ import annotations

from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.section.locations import Locations

from .nearest_location import NearestLocationMap, nearest_location_map

__all__ = ["cell_map", "location_map"]

# pixels along the longer side of a map: a cell of 8 µm is two of them on a section of 6 mm
_PIXELS = 1500


def location_map(locations: Locations, corners: Float[np.ndarray, "2 2"]) -> NearestLocationMap:
    """Return the map of outlines where they are known, and else that of the nearest location."""
    cells = locations.cells
    if cells is None or cells.outlines is None:
        return nearest_location_map(locations, corners)
    return cell_map(cells.outlines, corners)


def cell_map(outlines: Array, corners: Float[np.ndarray, "2 2"]) -> NearestLocationMap:
    """Paint outlines into a raster of their rows; of cells that overlap the later one is on top.

    The outermost pixels that an outline touches belong to it, so that cells smaller than a pixel are drawn. Holes are
    filled.

    Parameters
    ----------
    outlines
        shapely polygons or multipolygons in µm.
    corners
        Of the view in µm: (left, top), (right, bottom).
    """
    import shapely
    from PIL import Image, ImageDraw

    (left, top), (right, bottom) = corners
    pixel_um = max(right - left, bottom - top) / _PIXELS
    size = (max(1, round((right - left) / pixel_um)), max(1, round((bottom - top) / pixel_um)))
    image = Image.new("I", size, -1)
    draw = ImageDraw.Draw(image)
    grow = np.array(size) / (corners[1] - corners[0])
    parts, row = shapely.get_parts(outlines, return_index=True)
    xy_um, ring = shapely.get_coordinates(shapely.get_exterior_ring(parts), return_index=True)
    # centres of pixels are at whole numbers for the drawing, and at halves in the view
    xy_px = (xy_um - corners[0]) * grow - 0.5
    for number, positions in zip(row.tolist(), _rings(xy_px, ring), strict=True):
        draw.polygon(positions, fill=number)
    return NearestLocationMap(np.asarray(image), (left, right, bottom, top), np.arange(len(outlines)))


def _rings(xy_px: Array, ring: Array) -> list[Any]:
    """Return the positions of each ring as one flat list."""
    ends = np.flatnonzero(np.diff(ring)) + 1
    return [part.ravel().tolist() for part in np.split(xy_px, ends)]
