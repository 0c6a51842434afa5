"""Arrays of shapely polygons, made of rings in bulk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histosge._runtime.types import Array

__all__ = ["joined_pieces", "polygon_pieces"]

# border and holes of each polygon of a cell
Polygons = Sequence[Sequence[Array]]


def polygon_pieces(cells: Sequence[Polygons]) -> tuple[Array, Array]:
    """Return the polygons of cells, and the row of the cell that each belongs to; open rings are closed.

    Rings go to GEOS in one call: a million cells one by one take minutes.

    Examples
    --------
    >>> square = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])
    >>> polygons, row = polygon_pieces([[[square]], [], [[square], [square + 5]]])
    >>> [shape.area for shape in polygons], row.tolist()
    ([4.0, 4.0, 4.0], [0, 2, 2])
    """
    import shapely

    rings = [ring for cell in cells for polygon in cell for ring in polygon]
    if not rings:
        return np.empty(0, dtype=object), np.empty(0, dtype=int)
    ring_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    linear = shapely.linearrings(np.vstack(rings), indices=ring_of)
    sizes = [len(polygon) for cell in cells for polygon in cell]
    polygons = shapely.polygons(linear, indices=np.repeat(np.arange(len(sizes)), sizes))
    return polygons, np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])


def joined_pieces(polygons: Array, row: Array, number: int) -> Array:
    """Return one polygon or multipolygon for each of ``number`` cells; ``None`` for those without.

    Parameters
    ----------
    polygons, row
        As :func:`polygon_pieces` returns them; rows ascend.
    number
        Of cells.
    """
    import shapely

    result = np.full(number, None, dtype=object)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    pieces = np.diff(np.append(first, len(row)))
    single = first[pieces == 1]
    result[row[single]] = polygons[single]
    for start, count in zip(first[pieces > 1], pieces[pieces > 1], strict=True):
        parts = polygons[start : start + count]
        whole = shapely.multipolygons(parts)
        # pieces that overlap are one
        result[row[start]] = whole if whole.is_valid else shapely.union_all(shapely.make_valid(parts))
    return result
