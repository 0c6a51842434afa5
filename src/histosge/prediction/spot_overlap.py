"""How much of each spot's disk the cells cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.segmentation.cells import Cells

__all__ = ["Overlap", "overlap"]

# segments of a quarter of a spot's circle: its area is 0.04 % too small
_SEGMENTS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """Pairs of a cell and a spot that share area, and the area of each spot that no cell covers.

    Parameters
    ----------
    cell, spot
        Rows of the pairs.
    area_um2
        What they share.
    free_um2
        Area of each spot's disk between the cells. Where outlines overlap, their common part counts for each of them,
        and less is left.
    """

    cell: Int[np.ndarray, " p"]
    spot: Int[np.ndarray, " p"]
    area_um2: Float[np.ndarray, " p"]
    free_um2: Float[np.ndarray, " s"]


def overlap(cells: Cells, spots: Points) -> Overlap:
    """Return which cells lie in which spots, and with how much of their area.

    Parameters
    ----------
    cells
        With outlines.
    spots
        The measured spots, disks of their diameter.

    Raises
    ------
    UsageError
        For cells known by centroid alone, and spots without extent.

    Examples
    --------
    >>> import shapely
    >>> cells = Cells(np.array(["a"]), np.array([[5.0, 5.0]]), np.array([shapely.box(0, 0, 10, 10)]))
    >>> shared = overlap(cells, Points(np.array([[0.0, 5.0]]), np.array(["S"]), 100.0))
    >>> shared.area_um2.tolist(), round(float(shared.free_um2[0]) / 7850, 2)
    ([100.0], 0.99)
    """
    import shapely

    if cells.outlines is None:
        raise UsageError("Expected cells with outlines, got centroids alone: no share of a spot follows.")
    if not spots.diameter_um > 0:
        raise UsageError(
            "Expected spots with a diameter, got points. Give the section's `diameter_um` when it is read."
        )
    radius_um = spots.diameter_um / 2
    disks = shapely.buffer(shapely.points(spots.xy), radius_um, quad_segs=_SEGMENTS)
    tree = shapely.STRtree(cells.outlines)
    spot, cell = tree.query(disks, predicate="intersects")
    order = np.lexsort((cell, spot))
    spot, cell = spot[order], cell[order]
    area_um2 = _shared_area(cells.outlines[cell], disks[spot], spots.xy[spot], radius_um)
    kept = area_um2 > 0
    spot, cell, area_um2 = spot[kept], cell[kept], area_um2[kept]
    covered = np.bincount(spot, weights=area_um2, minlength=len(spots))
    return Overlap(cell, spot, area_um2, np.maximum(shapely.area(disks) - covered, 0.0))


def _shared_area(outlines: Array, disks: Array, centres_um: Array, radius_um: float) -> Array:
    """Return the areas of intersections; those of cells that lie inside a disk wholly are their own."""
    import shapely

    area_um2 = np.asarray(shapely.area(outlines), dtype=np.float64)
    # a cell whose bounding box lies inside the inscribed circle needs no intersection
    low, high = (shapely.bounds(outlines)[:, part].reshape(-1, 2) for part in (slice(0, 2), slice(2, 4)))
    reach = np.hypot(*np.maximum(np.abs(low - centres_um), np.abs(high - centres_um)).T)
    cut = np.flatnonzero(reach > radius_um * np.cos(np.pi / (4 * _SEGMENTS)))
    area_um2[cut] = shapely.area(shapely.intersection(outlines[cut], disks[cut]))
    return area_um2
