"""Square tiles of the tissue, and the spots that would measure each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int, frozen
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points
from histosge.images.tissue import TissueMask

from .locations import Locations
from .section import Section

__all__ = ["Tiles", "least_tile_um", "spots_along", "tiles_at", "tiles_of"]

# tiles further than so many pitches from every spot are extrapolation
_MAX_DISTANCE_PITCHES = 1.0
# share of a tile that lies on tissue
_LEAST_SHARE = 0.5
# tiles of fewer spots along a side stand for a single spot
_SEVERAL = 1.5
# more tiles than this are a mistyped width
_MOST_TILES = 1_000_000
# spots that would lie in a tile, along a side: more change its mean by little
_MOST_ALONG = 8


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Square tiles, and in each the spots that would measure it: as dense as those of the section, evenly spread.

    Parameters
    ----------
    centres_um
        Centres of the tiles in µm.
    width_um
        Width of a tile.
    ids
        Their names.
    points
        Centres of the spots in them.
    tile
        The tile of each spot, ascending.
    weight
        How many spots of the section each stands for, at most 1: a tile of 1.5 pitches has 2.25 spots on average, and
        not the four that are spread in it.

    Raises
    ------
    DataError
        When a tile has no spot.
    """

    centres_um: Float[np.ndarray, "n 2"]
    width_um: float
    ids: Array
    points: Locations
    tile: Int[np.ndarray, " p"]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not np.array_equal(np.unique(self.tile), np.arange(len(self.centres_um))):
            raise DataError("Expected at least one spot in every tile.")
        object.__setattr__(self, "centres_um", frozen(self.centres_um))
        object.__setattr__(self, "ids", frozen(np.asarray(self.ids, dtype=str)))

    def __len__(self) -> int:
        return len(self.centres_um)

    @property
    def spots(self) -> Float[np.ndarray, " n"]:
        """Number of spots that would measure each tile, on average or fewer."""
        return np.bincount(self.tile, minlength=len(self)) * self.weight

    def corners_um(self) -> Float[np.ndarray, "n 4 2"]:
        """Return the corners of each tile."""
        around = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * self.width_um / 2
        return np.asarray(self.centres_um[:, None] + around)


def least_tile_um(section: Section) -> float:
    """Return the width of the smallest tile of a section: a square of the area of a spot.

    Examples
    --------
    >>> import histosge as hs
    >>> round(least_tile_um(hs.synthetic(columns=8, rows=8, genes=12).section))
    49
    """
    return float(section.spots.diameter_um * np.pi**0.5 / 2)


def tiles_of(section: Section, width_um: float, *, mask: TissueMask | None = None) -> Tiles:
    """Return square tiles side by side over the tissue, at multiples of their width in the frame of the image.

    A tile is kept where at least half of it is tissue within one pitch of a spot.

    Parameters
    ----------
    section
        Whose tissue.
    width_um
        Width of a tile.
    mask
        Tissue; ``None`` takes the surroundings of the spots.

    Raises
    ------
    UsageError
        For a width that is not positive, that is smaller than a spot or that leaves no tile or too many.

    Examples
    --------
    >>> import histosge as hs
    >>> tiles = tiles_of(hs.synthetic(columns=8, rows=8, genes=12).section, 200.0)
    >>> int(tiles.spots.max())
    4
    """
    low, high = section.spots.xy.min(axis=0), section.spots.xy.max(axis=0)
    _refuse_width(section, width_um)
    start, stop = np.floor(low / width_um).astype(int), np.floor(high / width_um).astype(int) + 1
    if np.prod((stop - start).astype(float)) > _MOST_TILES:
        raise UsageError(f"Tiles of `tile_um` {width_um:g} are more than {_MOST_TILES}. Choose wider ones.")
    column, row = (part.ravel() for part in np.meshgrid(*map(np.arange, start, stop)))
    index = np.column_stack([column, row])
    return tiles_at(section, (index + 0.5) * width_um, width_um, names=index, mask=mask)


def tiles_at(
    section: Section,
    centres_um: Float[np.ndarray, "n 2"],
    width_um: float,
    *,
    names: Array | None = None,
    mask: TissueMask | None = None,
    anywhere: bool = False,
) -> Tiles:
    """Return square tiles around centres, without those that are not on tissue.

    Parameters
    ----------
    section
        Whose tissue.
    centres_um
        Centres.
    width_um
        Width of a tile.
    names
        Column and row of each tile; ``None``: numbers.
    mask
        Tissue; ``None`` takes the surroundings of the spots.
    anywhere
        Whether to keep tiles off the tissue and far from spots too.

    Raises
    ------
    UsageError
        As for :func:`tiles_of`.
    """
    from scipy.spatial import cKDTree

    _refuse_width(section, width_um)
    spots_wide = spots_along(section, width_um)
    along = min(max(1, round(spots_wide)), _MOST_ALONG)
    steps = ((np.arange(along) + 0.5) / along - 0.5) * width_um
    shift = np.column_stack([part.ravel() for part in np.meshgrid(steps, steps)])
    xy_um = (np.asarray(centres_um)[:, None] + shift).reshape(-1, 2)
    tile = np.repeat(np.arange(len(centres_um)), len(shift))
    distance, parent = cKDTree(section.spots.xy).query(xy_um)
    mask = mask or TissueMask.from_points(section.spots, section.pitch_um)
    near = (distance <= _MAX_DISTANCE_PITCHES * section.pitch_um) & mask.contains(xy_um)
    near |= anywhere
    kept = np.bincount(tile[near], minlength=len(centres_um)) >= _LEAST_SHARE * len(shift)
    near &= kept[tile]
    if not kept.any():
        raise UsageError(f"No tile of `tile_um` {width_um:g} lies on the tissue. Choose narrower ones.")
    rows = np.flatnonzero(kept)
    ids = np.array([f"tile_{'_'.join(map(str, np.atleast_1d(name)))}" for name in
                    (np.arange(len(kept)) if names is None else names)[rows]])  # fmt: skip
    xy_um, tile, parent = xy_um[near], np.cumsum(kept)[tile[near]] - 1, parent[near]
    return Tiles(
        np.asarray(centres_um)[rows],
        width_um,
        ids,
        _points(section, xy_um, parent),
        tile,
        weight=min((spots_wide / along) ** 2, 1.0),
    )


def _points(section: Section, xy_um: Array, parent: Array) -> Locations:
    n = len(xy_um)
    lattice_xy = np.full((n, 2), np.nan) if section.lattice is None else section.lattice.to_lattice(xy_um)
    return Locations(
        Points(xy_um, np.arange(n).astype(str), section.spots.diameter_um),
        lattice_xy,
        parent=parent,
        subspot=np.full(n, -1),
        observed=np.zeros(n, dtype=bool),
        in_tissue=np.ones(n, dtype=bool),
    )


def spots_along(section: Section, width_um: float) -> float:
    """Return how many spots lie along a tile on average; 1 for a tile that is about a pitch wide or narrower.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12, lattice="square").section
    >>> round(spots_along(section, 100.0), 3), round(spots_along(section, 500.0), 3)
    (1.0, 2.5)
    """
    hexagonal = section.lattice is not None and section.lattice.kind == "hexagonal"
    # the width of the square that a spot has to itself
    spacing_um = section.pitch_um * (0.75**0.25 if hexagonal else 1.0)
    along = width_um / spacing_um
    return along if along >= _SEVERAL else 1.0


def _refuse_width(section: Section, width_um: float) -> None:
    least = least_tile_um(section)
    if not np.isfinite(width_um) or not width_um > 0:
        raise UsageError(f"`tile_um` must be a positive number, got {width_um:g}.")
    if width_um < least * 0.999:
        raise UsageError(
            f"Expected a `tile_um` of at least {np.ceil(least):g} µm, the area of a spot of "
            f"{section.spots.diameter_um:g} µm, got {width_um:g}. What is finer was not measured and cannot be tested."
        )
