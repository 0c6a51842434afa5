"""The area that locations stand for: where a map of them may be painted."""

from __future__ import annotations

from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["circumradii", "covered_area"]

# in median circumradii of neighbouring locations: wider triangles are holes or lie along the border, and printed arrays
# are not perfectly even; how far beyond the outermost locations is painted, half of the distance on a square lattice;
# and the radius of a location without neighbours
_WIDEST, _BEYOND, _ALONE = 1.6, 0.7, 1.25


def covered_area(xy_um: Float[np.ndarray, "n 2"]) -> tuple[Array, ...]:
    """Return the borders, in µm, of the area of locations: outer borders and holes, to be filled by the even-odd rule.

    The triangles of neighbouring locations (delaunay1934) and half a distance beyond them: a lattice of any shape is
    covered without gaps, and its border is as straight as its rows. Locations without neighbours have a disc each.
    Nothing is returned for fewer than three locations, or locations on a line.

    Parameters
    ----------
    xy_um
        The locations.

    Examples
    --------
    >>> xy = np.array([(x, y) for x in (0.0, 100.0, 200.0) for y in (0.0, 100.0)])
    >>> border, = covered_area(xy)
    >>> border.min(axis=0).round(), border.max(axis=0).round()
    (array([-49., -49.]), array([249., 149.]))
    """
    import shapely
    from scipy.spatial import Delaunay, QhullError

    try:
        triangles = Delaunay(xy_um).simplices
    except (QhullError, ValueError):
        return ()
    radius = circumradii(xy_um[triangles])
    median = float(np.median(radius))
    # coverage_union_all joins edges that triangles share, without intersecting them
    close = triangles[radius <= _WIDEST * median]
    alone = np.setdiff1d(np.arange(len(xy_um)), close)
    inner = shapely.coverage_union_all(shapely.polygons(xy_um[close]))
    parts = [
        shapely.buffer(inner, _BEYOND * median, join_style="mitre", mitre_limit=1.5),
        shapely.union_all(shapely.buffer(shapely.points(xy_um[alone]), _ALONE * median)),
    ]
    return tuple(_rings(shapely.simplify(shapely.union_all(parts), 0.02 * median)))


def circumradii(corners: Float[np.ndarray, "t 3 2"]) -> Float[np.ndarray, " t"]:
    """Return the radius of the circle through the corners of each triangle."""
    # R = abc / 4A for a triangle with sides a, b, c and area A
    sides = [np.linalg.norm(corners[:, i] - corners[:, j], axis=1) for i, j in ((0, 1), (1, 2), (2, 0))]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    area = np.abs(ax * by - ay * bx) / 2
    return np.asarray(np.prod(sides, axis=0) / np.maximum(4 * area, 1e-9))


def _rings(shape: Any) -> list[Array]:
    import shapely

    polygons = [part for part in shapely.get_parts(shape) if isinstance(part, shapely.Polygon)]
    borders = [ring for part in polygons for ring in (part.exterior, *part.interiors)]
    return [np.asarray(ring.coords)[:-1] for ring in borders if len(ring.coords) > 3]
