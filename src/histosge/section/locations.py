"""Where to predict: the measured spots, a refined lattice, a grid, the inside of polygons, cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from histosge._runtime.types import Array, Bool, Float, Int, frozen
from histosge.errors import DataError, UsageError
from histosge.geometry.lattice import Lattice
from histosge.geometry.points import Points
from histosge.geometry.upsampling import offsets
from histosge.images.tissue import TissueMask

from .section import Section

if TYPE_CHECKING:
    from histosge.geometry.polygons import Polygon

__all__ = ["Fringe", "Locations", "at_spots", "cells", "grid", "upsampled", "within"]

Fringe: TypeAlias = Literal["translate", "symmetric", "inner"]
# a grid of more places than this is a typing error in --spacing-um
_MOST_PLACES = 5_000_000
# beyond one pitch from every spot there is nothing to learn from
_REACH_PITCHES = 1.0
# without an image, places further than this from all spots belong to another section
_NEAR_PITCHES = 20.0
# longest shift that still belongs to a spot: the corner of its own cell, and a little
_REPRESENTATIVE = {"hexagonal": 3**-0.5 * 1.02, "square": 2**-0.5 * 1.02, "oblique": 2**-0.5 * 1.02}


@dataclass(frozen=True, slots=True, eq=False)
class Locations:
    """Places to predict at, with how each came about.

    Parameters
    ----------
    points
        The places.
    lattice_xy
        Fractional position on the section's lattice (column, row); NaN where the section has none.
    parent
        Row of the measured spot each place belongs to: the one it was shifted from, else the nearest.
    subspot
        0 for the measured positions, k for the k-th offset of a refinement, −1 for places of no class.
    observed
        True where the place is a measured spot.
    in_tissue
        True where the image shows tissue (or, without image, where the place lies among the spots).
    """

    points: Points
    lattice_xy: Float[np.ndarray, "n 2"]
    parent: Int[np.ndarray, " n"]
    subspot: Int[np.ndarray, " n"]
    observed: Bool[np.ndarray, " n"]
    in_tissue: Bool[np.ndarray, " n"]

    def __post_init__(self) -> None:
        n = len(self.points)
        for name in ("lattice_xy", "parent", "subspot", "observed", "in_tissue"):
            part: Array = getattr(self, name)
            if len(part) != n:
                raise DataError(f"Expected {n} values of {name}, got {len(part)}.")
            object.__setattr__(self, name, frozen(part))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def xy(self) -> Float[np.ndarray, "n 2"]:
        """Positions in µm."""
        return self.points.xy

    def take(self, index: Any) -> Locations:
        """Return the places at ``index`` (integers or a boolean mask)."""
        columns = (self.lattice_xy, self.parent, self.subspot, self.observed, self.in_tissue)
        return Locations(self.points.take(index), *(column[index] for column in columns))


def at_spots(section: Section, *, mask: TissueMask | None = None) -> Locations:
    """Return the measured spots as places; those of a section of which nothing was measured are not observed."""
    n = len(section)
    on_tissue = np.ones(n, dtype=bool) if mask is None else mask.contains(section.spots.xy)
    none = np.zeros(n, dtype=np.intp)
    return Locations(
        section.spots, section.lattice_xy, np.arange(n), none, np.full(n, section.measured), on_tissue
    )


def upsampled(
    section: Section,
    n_fold: int,
    *,
    boundary: str = "translate",
    table: str = "spread",
    mask: TissueMask | None = None,
) -> Locations:
    """Return the spots and their translates: ``n_fold`` places a spot.

    Parameters
    ----------
    section
        With a lattice.
    n_fold
        1 to 8.
    boundary
        ``"translate"`` shifts every spot by every offset, as the paper does: exactly N places a spot, overhanging on
        one side. ``"symmetric"`` surrounds every spot alike. ``"inner"`` keeps places whose cell is measured at all
        its corners: interpolation only.
    table
        See :func:`histosge.geometry.upsampling.offsets`.
    mask
        Tissue; ``None`` takes the surroundings of the spots.

    Returns
    -------
    The measured spots first, in their order, then class after class. Places are shifted from where their spot really
    is. The number of places delivered is the length.

    Raises
    ------
    UsageError
        For a section without lattice, and for unknown numbers and names.
    """
    lattice = _lattice_of(section)
    if boundary not in ("translate", "symmetric", "inner"):
        raise UsageError(f"Expected a fringe of translate, symmetric or inner, got '{boundary}'.")
    steps = offsets(lattice, n_fold, table)
    number, shift = _shifts(lattice, steps, symmetric=boundary != "translate")
    parent = np.tile(np.arange(len(section)), len(number))
    subspot = np.repeat(number, len(section))
    lattice_xy = section.lattice_xy[parent] + np.repeat(shift @ lattice.basis, len(section), axis=0)
    # one place a lattice position: the first parent's
    keep = np.sort(np.unique(np.round(lattice_xy, 4), axis=0, return_index=True)[1])
    if boundary == "inner":
        keep = keep[_enclosed(section, lattice, lattice_xy[keep])]
    xy_um = section.spots.xy[parent] + np.repeat(shift @ lattice.basis_um, len(section), axis=0)
    ids = _refined_ids(section.spots.ids[parent], np.repeat(np.arange(len(number)), len(section)))
    diameter_um = section.spots.diameter_um / len(steps) ** 0.5
    points = Points(xy_um[keep], ids[keep], section.spots.diameter_um if len(steps) == 1 else diameter_um)
    return _placed(section, points, lattice_xy[keep], (parent[keep], subspot[keep]), mask)


def grid(section: Section, spacing_um: float, *, mask: TissueMask | None = None) -> Locations:
    """Return a square grid over the tissue, as far as one pitch from the nearest spot.

    Raises
    ------
    UsageError
        For a spacing that is not positive or that makes more than five million places.
    """
    mask = mask or TissueMask.from_points(section.spots, section.pitch_um)
    points = _grid_points(section.spots.xy.min(0), section.spots.xy.max(0), spacing_um, section.pitch_um)
    near = _nearest(section, points.xy)[0] <= _REACH_PITCHES * section.pitch_um
    return _free(section, points.take(near & mask.contains(points.xy)), mask)


def within(section: Section, polygons: Sequence[Polygon], spacing_um: float) -> Locations:
    """Return a square grid inside polygons, wherever they are on the image.

    Raises
    ------
    UsageError
        When no grid point lies inside, or the polygons lie off the image.
    """
    corners = np.vstack([polygon.exterior for polygon in polygons])
    points = _grid_points(corners.min(0), corners.max(0), spacing_um, 0.0)
    inside = np.zeros(len(points), dtype=bool)
    for polygon in polygons:
        inside |= polygon.contains(points.xy)
    if not inside.any():
        raise UsageError(
            f"No point of a {spacing_um:g} µm grid lies inside the regions. Use a smaller --spacing-um."
        )
    points = points.take(inside)
    _refuse_elsewhere(section, points, "regions")
    return _free(section, points, None)


def cells(section: Section, centroids_um: Float[np.ndarray, "n 2"], ids: Array) -> Locations:
    """Return cells as places: mere points, at their centroids.

    Raises
    ------
    UsageError
        When they lie off the image.
    """
    points = Points(centroids_um, ids)
    _refuse_elsewhere(section, points, "cells")
    return _free(section, points, None)


def _refuse_elsewhere(section: Section, points: Points, what: str) -> None:
    """Refuse places of another image, or in another unit: none is on this one."""
    if section.slide is not None:
        here = section.slide.contains(points.xy)
    else:
        here = _nearest(section, points.xy)[0] <= _NEAR_PITCHES * section.pitch_um
    if len(points) and not here.any():
        x, y = points.xy.mean(axis=0) / 1000
        raise UsageError(
            f"None of the {what} lies on the section: they are around ({x:.1f}, {y:.1f}) mm. Coordinates must be those "
            "of the full-resolution image: pixels in GeoJSON, pixels or µm in tables, as the columns say."
        )


def _lattice_of(section: Section) -> Lattice:
    if section.lattice is None and not section.measured:
        raise UsageError(
            f"'{section.name}' is an image without spots: there is nothing to refine. Use --spacing-um, --regions or "
            "--cells."
        )
    if section.lattice is None:
        raise UsageError(
            f"The spots of '{section.name}' are on no lattice that could be refined. Use --spacing-um."
        )
    return section.lattice


def _shifts(lattice: Lattice, steps: Array, *, symmetric: bool) -> tuple[Array, Array]:
    """Return the class and the shift (fractions of a, b) of every translate; the spot itself first."""
    if not symmetric:
        return np.arange(len(steps)), steps
    cells_ab = np.array(list(product(range(-2, 3), repeat=2)))
    number = np.repeat(np.arange(len(steps)), len(cells_ab))
    shift = (steps[:, None] + cells_ab).reshape(-1, 2)
    length = np.linalg.norm(shift @ lattice.basis_um, axis=1) / lattice.pitch_um
    keep = (length <= _REPRESENTATIVE[lattice.kind]) & ((number > 0) | (length < 1e-9))
    return number[keep], shift[keep]


def _enclosed(section: Section, lattice: Lattice, lattice_xy: Array) -> Array:
    """Tell which positions have measured spots at all corners of the triangle or cell they lie in."""
    to_ab = np.linalg.inv(lattice.basis)
    first = section.lattice_xy[0]
    measured = {tuple(site) for site in np.rint((section.lattice_xy - first) @ to_ab).astype(int)}
    position = np.round((lattice_xy - first) @ to_ab, 6)
    low = np.floor(position).astype(int)
    u, v = (position - low).T
    if lattice.kind == "hexagonal":
        upper = u + v > 1
        weights = np.array(
            [np.where(upper, 0, 1 - u - v), np.where(upper, 1 - v, u), np.where(upper, 1 - u, v)]
        )
        weights = np.vstack([weights, np.where(upper, u + v - 1, 0)])
    else:
        weights = np.array([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
    corners = ((0, 0), (1, 0), (0, 1), (1, 1))
    found = [[(x + i, y + j) in measured for x, y in low] for i, j in corners]
    return np.asarray((np.array(found) | (weights < 1e-6)).all(axis=0))


def _refined_ids(barcodes: Array, number: Array) -> Array:
    """Return barcodes for the spots, ``BARCODE+k`` for their k-th translate."""
    suffix = np.char.add("+", number.astype(str))
    return np.asarray(np.where(number == 0, barcodes, np.char.add(barcodes, suffix)))


def _grid_points(low: Array, high: Array, spacing_um: float, margin_um: float) -> Points:
    if not spacing_um > 0:
        raise UsageError(f"`spacing_um` must be positive, got {spacing_um:g}. A Visium pitch is 100; try 25.")
    start = np.floor((low - margin_um) / spacing_um).astype(int)
    stop = np.ceil((high + margin_um) / spacing_um).astype(int)
    if np.prod((stop - start).astype(float)) > _MOST_PLACES:
        raise UsageError(
            f"A grid every {spacing_um:g} µm has more than {_MOST_PLACES} places. Use a wider spacing."
        )
    columns, rows = np.meshgrid(np.arange(start[0], stop[0]), np.arange(start[1], stop[1]))
    index = np.column_stack([columns.ravel(), rows.ravel()])
    ids = np.char.add(
        np.char.add("grid_", index[:, 0].astype(str)), np.char.add("_", index[:, 1].astype(str))
    )
    # the diameter of the disk that has the area of a grid cell
    return Points((index + 0.5) * spacing_um, ids, 2 * spacing_um / np.pi**0.5)


def _nearest(section: Section, xy_um: Array) -> tuple[Array, Array]:
    from scipy.spatial import cKDTree

    distance, parent = cKDTree(section.spots.xy).query(xy_um)
    return np.asarray(distance), np.asarray(parent)


def _free(section: Section, points: Points, mask: TissueMask | None) -> Locations:
    """Return places that belong to no offset class; their parent is the nearest spot."""
    if not len(points):
        raise UsageError("No place to predict at is left on the tissue. Use a smaller --spacing-um.")
    lattice_xy = np.full((len(points), 2), np.nan)
    if section.lattice is not None:
        lattice_xy = section.lattice.to_lattice(points.xy)
    parent = _nearest(section, points.xy)[1]
    return _placed(section, points, lattice_xy, (parent, np.full(len(points), -1)), mask)


def _placed(
    section: Section, points: Points, lattice_xy: Array, origin: tuple[Array, Array], mask: TissueMask | None
) -> Locations:
    """Put places together with whether they were measured and whether they are on tissue."""
    mask = mask or TissueMask.from_points(section.spots, section.pitch_um)
    parent, subspot = origin
    observed = (subspot == 0) & section.measured
    return Locations(points, lattice_xy, parent, subspot, observed, mask.contains(points.xy))
