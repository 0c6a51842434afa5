"""Regions that were drawn in other tools, from QuPath's GeoJSON, in µm."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array, Bool, Float, frozen
from histosge.errors import DataError

from .geojson import Shape, read_shapes

__all__ = ["Polygon", "centroid_of", "read_polygons", "report_left_out"]


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """A region.

    Parameters
    ----------
    name
        The name in QuPath; empty where it has none.
    exterior
        Its border in µm.
    holes
        Borders of its holes, in µm.
    """

    name: str
    exterior: Float[np.ndarray, "m 2"]
    holes: tuple[Array, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "exterior", frozen(np.asarray(self.exterior, dtype=np.float64)))

    def contains(self, xy_um: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Return which positions lie inside."""
        import shapely

        # holes of fewer than three corners have no area
        shape = shapely.Polygon(self.exterior, [hole for hole in self.holes if len(hole) >= 3])
        # outlines drawn by hand may cross themselves
        return np.asarray(shapely.contains_xy(shapely.make_valid(shape), xy_um[:, 0], xy_um[:, 1]))


def read_polygons(path: Path, *, mpp: float) -> tuple[Polygon, ...]:
    """Read regions from GeoJSON as QuPath exports it (coordinates in full-resolution pixels).

    Parameters
    ----------
    path
        A FeatureCollection, a list of features or one feature; polygons and multipolygons.
    mpp
        µm per full-resolution pixel.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is no GeoJSON or holds no polygon.
    """
    shapes, left_out = read_shapes(path, points=False)
    if not shapes:
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(left_out.items())) or "none"
        raise DataError(
            f"Expected polygons in '{path}', got {counts}. Export annotations from QuPath as GeoJSON."
        )
    report_left_out(left_out, path)
    return tuple(
        Polygon(shape.name, border * mpp, tuple(hole * mpp for hole in holes))
        for shape in shapes
        for border, *holes in shape.polygons
    )


def centroid_of(shape: Shape) -> Array | None:
    """Return the centroid of all polygons of a shape, weighted by area; ``None`` where they have none."""
    import shapely

    if not shape.polygons:
        return np.asarray(shape.points.mean(axis=0)) if len(shape.points) else None
    try:
        pieces = [shapely.make_valid(shapely.Polygon(border, holes)) for border, *holes in shape.polygons]
        centre = (pieces[0] if len(pieces) == 1 else shapely.union_all(pieces)).centroid
    except (shapely.errors.GEOSException, ValueError):
        return None
    return None if centre.is_empty else np.array([centre.x, centre.y])


def report_left_out(left_out: Counter[str], path: Path) -> None:
    """Warn of what a file holds beside polygons, with a count of each kind."""
    if left_out:
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(left_out.items()))
        emit(
            [
                Message(
                    "warning", f"'{path}' holds features that are no polygons, which were left out: {counts}."
                )
            ]
        )
