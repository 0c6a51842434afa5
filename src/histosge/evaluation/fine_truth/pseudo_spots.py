"""Spots made of a finer truth: the molecules of its units that lie in a spot's disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from scipy import sparse

from histosge._runtime.seeds import refuse_seed
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.geometry.lattice import Lattice
from histosge.geometry.platforms import Platform
from histosge.geometry.points import Points
from histosge.section.section import Section

from .truth import FineTruth, thinned

__all__ = ["LAYOUTS", "Layout", "PseudoSpots", "SpotLayout", "pseudo_spots"]

# a measurement of fewer molecules says nothing of a gene
LEAST_MOLECULES = 10
_LAYOUT = re.compile(r"(hexagonal|square):(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)")
# a metre: beyond any section
_LARGEST_UM = 1e6
# what a lattice, and a fit, need
_LEAST_SPOTS = 12
# more spots than the largest capture area has
_MOST_SPOTS = 200_000


@dataclass(frozen=True, slots=True)
class Layout:
    """A lattice of round spots.

    Parameters
    ----------
    name
        As a user types it.
    kind
        ``"hexagonal"`` or ``"square"``.
    pitch_um, diameter_um
        Distance of neighbouring spots, and their diameter.

    Raises
    ------
    UsageError
        For spots without area, and spots that overlap.

    Examples
    --------
    >>> Layout.parse("visium").diameter_um
    55.0
    >>> Layout.parse("square:40:30")
    Layout(name='square:40:30', kind='square', pitch_um=40.0, diameter_um=30.0)
    """

    name: str
    kind: Literal["hexagonal", "square"]
    pitch_um: float
    diameter_um: float

    def __post_init__(self) -> None:
        if not 0 < self.diameter_um <= self.pitch_um < _LARGEST_UM:
            raise UsageError(
                f"Expected a `layout` whose diameter is above 0 and at most the pitch, got a diameter of "
                f"{self.diameter_um:g} and a pitch of {self.pitch_um:g} µm."
            )

    @classmethod
    def parse(cls, layout: str | Layout) -> Layout:
        """Return the layout of a name, or of ``KIND:PITCH:DIAMETER``."""
        if isinstance(layout, Layout):
            return layout
        if layout in LAYOUTS:
            return LAYOUTS[layout]
        words = _LAYOUT.fullmatch(layout)
        if words is None:
            raise UsageError(
                f"Expected `layout` {', '.join(LAYOUTS)}, hexagonal:PITCH:DIAMETER or square:PITCH:DIAMETER in µm, "
                f"got '{layout}'."
            )
        kind: Literal["hexagonal", "square"] = "square" if words[1] == "square" else "hexagonal"
        return cls(layout, kind, float(words[2]), float(words[3]))


#: Visium; spots that nearly touch; legacy ST (Ståhl et al. 2016)
LAYOUTS: dict[str, Layout] = {
    "visium": Layout("visium", "hexagonal", 100.0, 55.0),
    "wide": Layout("wide", "hexagonal", 100.0, 95.0),
    "legacy": Layout("legacy", "square", 200.0, 100.0),
}


@runtime_checkable
class SpotLayout(Protocol):
    """What scales and tables read of the spots: a :class:`Layout`, or the spots of a measured section."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def pitch_um(self) -> float:
        """Distance of neighbouring spots."""

    @property
    def diameter_um(self) -> float:
        """Of a spot."""


@dataclass(frozen=True, slots=True, eq=False)
class PseudoSpots:
    """A section whose spots were made of half of the molecules, and the other half.

    Parameters
    ----------
    section
        What a model is fitted to.
    other_half
        The molecules that no spot has.
    layout
        Of the spots.
    sparse_spots
        Spots on the lattice that hold some molecules, but too few, and were left out.
    """

    section: Section
    other_half: FineTruth
    layout: SpotLayout
    sparse_spots: int


def pseudo_spots(
    truth: FineTruth, layout: str | Layout = "visium", *, seed: int = 0, median_depth: float | None = None
) -> PseudoSpots:
    """Make spots of half of the molecules of a finer truth; the other half remains to score with.

    Parameters
    ----------
    truth
        Cells or fine bins; the molecules of a unit are those of the spot in whose disk its centre lies.
    layout
        A name of :data:`LAYOUTS`, or ``KIND:PITCH:DIAMETER``.
    seed
        Draws the division of the molecules, and phase and rotation of the lattice.
    median_depth
        Median of the molecules of a spot: molecules are thinned to it. ``None`` keeps all of the half.

    Raises
    ------
    UsageError
        For too few spots, or more molecules than there are.
    """
    refuse_seed(seed)
    layout = Layout.parse(layout)
    first, second = truth.halves(seed)
    lattice_xy, xy_um = _positions(truth.points.xy, layout, np.random.default_rng([seed, 1]))
    counts = sparse.csr_matrix(_members(truth.points.xy, xy_um, layout.diameter_um / 2) @ first.counts)
    molecules = np.asarray(counts.sum(axis=1)).ravel()
    if median_depth is not None:
        enough = molecules[molecules >= LEAST_MOLECULES]
        median = float(np.median(enough)) if len(enough) else 0.0
        if not 0 < median_depth <= median:
            raise UsageError(
                f"`median_depth` must be above 0 and at most {median:.0f}, which half of the molecules gives; got "
                f"{median_depth:g}."
            )
        counts = thinned(counts, median_depth / median, np.random.default_rng([seed, 2]))
        molecules = np.asarray(counts.sum(axis=1)).ravel()
    keep = np.flatnonzero(molecules >= LEAST_MOLECULES)
    if len(keep) < _LEAST_SPOTS:
        raise UsageError(
            f"The layout '{layout.name}' has {len(keep)} spots of {LEAST_MOLECULES} molecules on '{truth.name}'; a "
            f"fit needs {_LEAST_SPOTS}. Choose a `layout` of smaller pitch, or a larger `median_depth`."
        )
    section = _section(truth, layout, counts=counts[keep], xy_um=xy_um[keep], lattice_xy=lattice_xy[keep])
    return PseudoSpots(section, second, layout, int((molecules > 0).sum() - len(keep)))


def _section(
    truth: FineTruth, layout: Layout, *, counts: sparse.csr_matrix, xy_um: Array, lattice_xy: Array
) -> Section:
    ids = np.array([f"SPOT-{row:.0f}x{column:.0f}" for column, row in lattice_xy])
    return Section(
        truth.name,
        sparse.csr_matrix(counts),
        truth.genes,
        truth.genes,
        Points(xy_um, ids, layout.diameter_um),
        lattice_xy,
        Lattice.fit(xy_um, lattice_xy),
        Platform(layout.name, layout.pitch_um, layout.diameter_um, layout.kind),
        # without image any scale serves: pixels are not used
        1.0 if truth.slide is None else truth.slide.mpp,
        slide=truth.slide,
    )


def _positions(units_um: Array, layout: Layout, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return (column, row) and µm of a lattice of any phase and rotation that covers all units."""
    angle, phase = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1, 2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = (units_um.min(axis=0) + units_um.max(axis=0)) / 2
    reach = float(np.linalg.norm(units_um - middle, axis=1).max()) + layout.pitch_um
    hexagonal = layout.kind == "hexagonal"
    row_um = layout.pitch_um * (0.75**0.5 if hexagonal else 1.0)
    columns, rows = (int(np.ceil(reach / step)) + 1 for step in (layout.pitch_um, row_um))
    if (2 * columns + 1) * (2 * rows + 1) > _MOST_SPOTS:
        raise UsageError(
            f"The layout '{layout.name}' has more than {_MOST_SPOTS} spots on this truth. Choose a `layout` of larger "
            "pitch."
        )
    column, row = (part.ravel() for part in np.mgrid[-columns : columns + 1, -rows : rows + 1].astype(float))
    # Visium counts columns in halves of a pitch: column + row is even
    lattice_xy = np.column_stack([2 * column + np.mod(row, 2) if hexagonal else column, row])
    flat = np.column_stack([lattice_xy[:, 0] * (0.5 if hexagonal else 1.0) * layout.pitch_um, row * row_um])
    xy_um = middle + (flat + phase * [layout.pitch_um, row_um]) @ turn
    return lattice_xy, xy_um


def _members(units_um: Array, spots_um: Array, radius_um: float) -> sparse.csr_matrix:
    """Return spots × units: 1 where the centre of a unit lies in the disk of a spot."""
    from scipy.spatial import cKDTree

    lists = cKDTree(units_um).query_ball_point(spots_um, radius_um)
    lengths = np.array([len(units) for units in lists])
    members = np.concatenate([np.asarray(units, dtype=np.intp) for units in lists])
    rows = np.repeat(np.arange(len(spots_um)), lengths)
    return sparse.csr_matrix((np.ones(len(members)), (rows, members)), shape=(len(spots_um), len(units_um)))
