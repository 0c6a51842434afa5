"""Where to predict: at the measured spots, at sub-spots, on a grid, inside regions, at cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from histosge._runtime.summary import as_text, plural
from histosge._runtime.types import Array, Bool, Float, Int, frozen
from histosge.errors import DataError, UsageError
from histosge.geometry.lattice import Lattice
from histosge.geometry.points import Points
from histosge.geometry.polygons import Polygon
from histosge.geometry.upsampling import offsets
from histosge.images.tissue import TissueMask
from histosge.segmentation.cells import Cells

from .between_spots import between_spots
from .placement import refuse_off_section
from .section import Section

__all__ = ["Boundary", "Locations", "at_cells", "at_spots", "check_boundary", "grid", "upsampled", "within"]

#: how the upsampled lattice ends at the edge of the measured spots
Boundary: TypeAlias = Literal["translate", "symmetric", "inner"]
# a grid of more locations than this is a mistyped spacing
_MAX_LOCATIONS = 5_000_000
# grid locations further than one pitch from every spot are extrapolation and are left out
_MAX_DISTANCE_PITCHES = 1.0
# longest offset, in pitches, that still belongs to a spot: the corner of its lattice cell, with 2 % tolerance
_CELL_RADIUS = {"hexagonal": 3**-0.5 * 1.02, "square": 2**-0.5 * 1.02, "oblique": 2**-0.5 * 1.02}


@dataclass(frozen=True, slots=True, eq=False)
class Locations:
    """Locations to predict at.

    Parameters
    ----------
    points
        Positions in µm, ids and diameter.
    lattice_xy
        Fractional position on the section's lattice (column, row); NaN where the section has none.
    parent
        Row of the measured spot that a location belongs to: the spot of a sub-spot, else the nearest spot.
    subspot
        Sub-spot index: 0 at the measured positions, k at the k-th offset of the upsampled lattice, −1 elsewhere.
    observed
        True where the location is a measured spot.
    in_tissue
        True where the image shows tissue (or, without image, where the location lies among the spots).
    cells
        The cells that the locations are, row by row; ``None`` where the locations are no cells.

    Raises
    ------
    DataError
        When the parts differ in length.
    """

    points: Points
    lattice_xy: Float[np.ndarray, "n 2"]
    parent: Int[np.ndarray, " n"]
    subspot: Int[np.ndarray, " n"]
    observed: Bool[np.ndarray, " n"]
    in_tissue: Bool[np.ndarray, " n"]
    cells: Cells | None = None

    def __post_init__(self) -> None:
        n = len(self.points)
        for name in ("lattice_xy", "parent", "subspot", "observed", "in_tissue"):
            part: Array = getattr(self, name)
            if len(part) != n:
                raise DataError(f"Expected {n} values of {name}, got {len(part)}.")
            object.__setattr__(self, name, frozen(part))
        if self.cells is not None and len(self.cells) != n:
            raise DataError(f"Expected {n} cells, got {len(self.cells)}.")

    def __repr__(self) -> str:
        values = {
            "locations": plural(len(self), "location"),
            "measured": f"{int(self.observed.sum())} measured",
            "tissue": f"{int(self.in_tissue.sum())} in tissue",
        }
        return as_text("Locations", values)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def xy(self) -> Float[np.ndarray, "n 2"]:
        """Positions in µm."""
        return self.points.xy

    def distance_um(self, spots: Points) -> Float[np.ndarray, " n"]:
        """Return the distance of each location to the spot that it belongs to; outside of the spots, to the nearest."""
        return np.asarray(np.linalg.norm(self.xy - spots.xy[self.parent], axis=1))

    def take(self, index: Any) -> Locations:
        """Return the locations at ``index`` (integers or a boolean mask)."""
        columns = (self.lattice_xy, self.parent, self.subspot, self.observed, self.in_tissue)
        cells = None if self.cells is None else self.cells.take(index)
        return Locations(self.points.take(index), *(column[index] for column in columns), cells=cells)


def at_spots(section: Section, *, mask: TissueMask | None = None) -> Locations:
    """Return the positions of a section's spots; sampling positions of a section without counts are not observed.

    Parameters
    ----------
    section
        Whose spots.
    mask
        Tissue; ``None`` takes all spots to be on tissue.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> section = synthetic(columns=8, rows=8, genes=12).section
    >>> len(at_spots(section)) == len(section)
    True
    """
    n = len(section)
    on_tissue = np.ones(n, dtype=bool) if mask is None else mask.contains(section.spots.xy)
    return Locations(
        section.spots,
        section.lattice_xy,
        parent=np.arange(n),
        subspot=np.zeros(n, dtype=np.intp),
        observed=np.full(n, section.has_counts),
        in_tissue=on_tissue,
    )


def upsampled(
    section: Section,
    factor: int,
    *,
    boundary: str = "translate",
    table: str = "maximin",
    mask: TissueMask | None = None,
) -> Locations:
    """Return the sub-spots of an upsampled lattice: about ``factor`` locations a spot.

    Parameters
    ----------
    section
        With a lattice.
    factor
        Upsampling factor, 1 to 8.
    boundary
        ``"translate"`` shifts every spot by every offset, as in the paper: exactly ``factor`` locations a spot, which
        extend beyond the spots on one side. ``"symmetric"`` surrounds every spot evenly. ``"inner"`` keeps locations
        between measured spots only: interpolation without extrapolation.
    table
        Which offsets, see :func:`histosge.geometry.upsampling.offsets`.
    mask
        Tissue; ``None`` takes the surroundings of the spots.

    Returns
    -------
    The measured spots first, in their order, then sub-spot index by sub-spot index. Sub-spots are offset from the
    measured position of their spot, not from its ideal lattice point.

    Raises
    ------
    UsageError
        For a section without lattice, an unknown factor, boundary or table.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> section = synthetic(columns=8, rows=8, genes=12).section
    >>> len(upsampled(section, 4)) == 4 * len(section)
    True
    """
    lattice = _lattice_of(section)
    check_boundary(boundary)
    fractions = offsets(lattice, factor, table)
    index, shift = _translates(lattice, fractions, symmetric=boundary != "translate")
    parent = np.tile(np.arange(len(section)), len(index))
    subspot = np.repeat(index, len(section))
    lattice_xy = section.lattice_xy[parent] + np.repeat(shift @ lattice.basis, len(section), axis=0)
    # neighbouring spots share positions of the symmetric boundary; the first parent keeps them
    keep = np.sort(np.unique(np.round(lattice_xy, 4), axis=0, return_index=True)[1])
    if boundary == "inner":
        keep = keep[between_spots(section, lattice, lattice_xy[keep])]
    xy_um = section.spots.xy[parent] + np.repeat(shift @ lattice.basis_um, len(section), axis=0)
    ids = _subspot_ids(section.spots.ids[parent], np.repeat(np.arange(len(index)), len(section)))
    diameter_um = section.spots.diameter_um
    if len(fractions) > 1:
        # sub-spots share the area of their spot
        diameter_um = diameter_um / len(fractions) ** 0.5
    points = Points(xy_um[keep], ids[keep], diameter_um)
    return _with_tissue(
        section, points, lattice_xy[keep], parent=parent[keep], subspot=subspot[keep], mask=mask
    )


def grid(
    section: Section, spacing_um: float, *, mask: TissueMask | None = None, reach_um: float | None = None
) -> Locations:
    """Return a square grid over the tissue, up to one pitch from the nearest spot, or further.

    Parameters
    ----------
    section
        Whose tissue.
    spacing_um
        Distance of grid points.
    mask
        Tissue; ``None`` takes the surroundings of the spots.
    reach_um
        How far from the nearest spot the grid reaches; infinity: as far as the image. ``None``: one pitch.

    Raises
    ------
    UsageError
        For a spacing that is not positive or that gives more than five million locations.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> section = synthetic(columns=8, rows=8, genes=12).section
    >>> len(grid(section, 50.0)) > len(section)
    True
    """
    mask = mask or TissueMask.from_points(section.spots, section.pitch_um)
    low, high, reach = (
        section.spots.xy.min(0),
        section.spots.xy.max(0),
        _MAX_DISTANCE_PITCHES * section.pitch_um,
    )
    if reach_um is not None:
        reach = reach_um
        # no further than the image: there is no tissue beyond
        size_um = np.array(section.slide.size_um) if section.slide is not None else high
        low, high = np.maximum(low - reach, 0.0), np.minimum(high + reach, size_um)
    points = _grid_points(low, high, spacing_um, section.pitch_um if reach_um is None else 0.0)
    near = _nearest(section, points.xy)[0] <= reach
    return _off_lattice(section, points.take(near & mask.contains(points.xy)), mask)


def within(section: Section, polygons: Sequence[Polygon], spacing_um: float) -> Locations:
    """Return a square grid inside polygons, anywhere on the image.

    Parameters
    ----------
    section
        Whose image the polygons were drawn on.
    polygons
        Regions in µm, as :func:`histosge.geometry.polygons.read_polygons` returns them.
    spacing_um
        Distance of grid points.

    Raises
    ------
    UsageError
        When no grid point lies inside, or a fifth of the polygons' area lies off the image.
    """
    corners = np.vstack([polygon.exterior for polygon in polygons])
    points = _grid_points(corners.min(0), corners.max(0), spacing_um, 0.0)
    inside = np.zeros(len(points), dtype=bool)
    for polygon in polygons:
        inside |= polygon.contains(points.xy)
    if not inside.any():
        raise UsageError(
            f"No point of a {spacing_um:g} µm grid lies inside the regions. Use a smaller `spacing_um`."
        )
    points = points.take(inside)
    refuse_off_section(section, points, "regions")
    return _off_lattice(section, points, None)


def at_cells(section: Section, cells: Cells) -> Locations:
    """Return the centroids of cells as locations, with the cells themselves.

    Parameters
    ----------
    section
        Whose image the cells were detected on.
    cells
        Their ids and centroids in µm; outlines, nuclei and classes where they are known.

    Raises
    ------
    UsageError
        When more than 5 % of them lie off the image.
    """
    points = Points(cells.xy_um, cells.ids)
    refuse_off_section(section, points, "cells")
    return replace(_off_lattice(section, points, None), cells=cells)


def check_boundary(boundary: str) -> None:
    """Refuse an unknown boundary handling.

    Raises
    ------
    UsageError
        For another word than those of :data:`Boundary`.
    """
    if boundary not in get_args(Boundary):
        raise UsageError(f"Expected `boundary` translate, symmetric or inner, got '{boundary}'.")


def _lattice_of(section: Section) -> Lattice:
    if section.lattice is None and not section.has_counts:
        raise UsageError(
            f"'{section.name}' is an image without spots to upsample. Use `spacing_um`, `regions` or `cells`."
        )
    if section.lattice is None:
        raise UsageError(
            f"The spots of '{section.name}' are on no lattice that could be upsampled. Use `spacing_um`."
        )
    return section.lattice


def _translates(lattice: Lattice, fractions: Array, *, symmetric: bool) -> tuple[Array, Array]:
    """Return the sub-spot index and the shift (fractions of a, b) of every translate; the spot itself first."""
    if not symmetric:
        return np.arange(len(fractions)), fractions
    # all lattice translates of each offset that lie in the spot's own cell
    neighbours = np.array(list(product(range(-2, 3), repeat=2)))
    index = np.repeat(np.arange(len(fractions)), len(neighbours))
    shift = (fractions[:, None] + neighbours).reshape(-1, 2)
    length = np.linalg.norm(shift @ lattice.basis_um, axis=1) / lattice.pitch_um
    keep = (length <= _CELL_RADIUS[lattice.kind]) & ((index > 0) | (length < 1e-9))
    return index[keep], shift[keep]


def _subspot_ids(barcodes: Array, number: Array) -> Array:
    """Return barcodes for the spots, ``BARCODE+k`` for their k-th translate."""
    suffix = np.char.add("+", number.astype(str))
    return np.asarray(np.where(number == 0, barcodes, np.char.add(barcodes, suffix)))


def _grid_points(low: Array, high: Array, spacing_um: float, margin_um: float) -> Points:
    if not spacing_um > 0:
        raise UsageError(f"`spacing_um` must be positive, got {spacing_um:g}. A Visium pitch is 100; try 25.")
    # multiples of the spacing in the image frame: the same grid for overlapping regions
    start = np.floor((low - margin_um) / spacing_um).astype(int)
    stop = np.ceil((high + margin_um) / spacing_um).astype(int)
    if np.prod((stop - start).astype(float)) > _MAX_LOCATIONS:
        raise UsageError(
            f"A grid every {spacing_um:g} µm has more than {_MAX_LOCATIONS} locations. Use a larger `spacing_um`."
        )
    columns, rows = np.meshgrid(np.arange(start[0], stop[0]), np.arange(start[1], stop[1]))
    index = np.column_stack([columns.ravel(), rows.ravel()])
    ids = np.char.add(
        np.char.add("grid_", index[:, 0].astype(str)), np.char.add("_", index[:, 1].astype(str))
    )
    # the diameter of the disk with the area of a grid cell
    return Points((index + 0.5) * spacing_um, ids, 2 * spacing_um / np.pi**0.5)


def _nearest(section: Section, xy_um: Array) -> tuple[Array, Array]:
    """Return the distance to the nearest spot and its row."""
    from scipy.spatial import cKDTree

    distance, row = cKDTree(section.spots.xy).query(xy_um)
    return np.asarray(distance), np.asarray(row)


def _off_lattice(section: Section, points: Points, mask: TissueMask | None) -> Locations:
    """Return locations without sub-spot index; their parent is the nearest spot."""
    if not len(points):
        raise UsageError("No location to predict is left on the tissue. Use a smaller `spacing_um`.")
    lattice_xy = np.full((len(points), 2), np.nan)
    if section.lattice is not None:
        lattice_xy = section.lattice.to_lattice(points.xy)
    parent = _nearest(section, points.xy)[1]
    subspot = np.full(len(points), -1)
    return _with_tissue(section, points, lattice_xy, parent=parent, subspot=subspot, mask=mask)


def _with_tissue(
    section: Section,
    points: Points,
    lattice_xy: Array,
    *,
    parent: Array,
    subspot: Array,
    mask: TissueMask | None,
) -> Locations:
    """Return locations with whether they were measured and whether they are on tissue."""
    mask = mask or TissueMask.from_points(section.spots, section.pitch_um)
    observed = (subspot == 0) & section.has_counts
    return Locations(
        points, lattice_xy, parent, subspot=subspot, observed=observed, in_tissue=mask.contains(points.xy)
    )
