"""Outlines of cells as files of other tools hold them: rings in pixels, colours of classes."""

from __future__ import annotations

import colorsys
import zlib
from typing import Any

import numpy as np

__all__ = ["colour_of", "outline_px"]

# a hundredth of a pixel, as QuPath itself writes
_DIGITS_PX = 2
_GOLDEN = 0.6180339887498949


def outline_px(outline: Any, mpp: float) -> dict[str, Any]:
    """Return a polygon or multipolygon in µm as a GeoJSON geometry in pixels, to a hundredth.

    Examples
    --------
    >>> import shapely
    >>> outline_px(shapely.box(0, 0, 2, 1), 0.5)["coordinates"][0][:2]
    [[4.0, 0.0], [4.0, 2.0]]
    """
    polygons = list(getattr(outline, "geoms", [outline]))
    parts = [[_ring(ring, mpp) for ring in (polygon.exterior, *polygon.interiors)] for polygon in polygons]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def colour_of(word: str) -> list[int]:
    """Return a colour of a class, red, green and blue from 0 to 255, the same in every file.

    Hues are spread by the golden ratio from a checksum of the name: a palette in the order of the classes would change
    when a class is added.
    """
    number = zlib.crc32(word.encode())
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1.0, 0.65, 0.85)
    return [round(255 * part) for part in (red, green, blue)]


def _ring(ring: Any, mpp: float) -> list[list[float]]:
    positions: list[list[float]] = (np.asarray(ring.coords)[:, :2] / mpp).round(_DIGITS_PX).tolist()
    return positions
