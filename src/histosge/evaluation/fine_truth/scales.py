"""The finer truth at a scale: molecules of bins or of cells, and where they lie beside the spots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.section.locations import Locations
from histosge.section.section import Section

from .pseudo_spots import LEAST_MOLECULES, PseudoSpots
from .truth import FineTruth

__all__ = ["CELLS", "ScaledTruth", "scale_name", "scaled"]

#: the scale of the units of a truth of cells, beside the widths of bins
CELLS = "cells"
# locations further than so many pitches from every spot would be extrapolated
_MOST_PITCHES = 1.0
# nearest spots that a bin may touch
_NEIGHBOURS = 4


@dataclass(frozen=True, slots=True, eq=False)
class ScaledTruth:
    """Molecules of the half that no spot has, at one scale.

    Parameters
    ----------
    scale
        ``"cells"``, or the width of the bins with its unit.
    xy_um
        Centres of the bins or cells.
    counts
        Their molecules, bins × genes.
    parts
        Locations to predict at: of each bin as many as are needed for none to be wider than a spot.
    bin_of_part
        The bin that each part belongs to.
    zone
        ``"inside"``: the centre lies in a spot; ``"between"``: no spot touches it; ``"edge"``: neither.
    nearest_um
        Distance of the centre to the nearest spot's centre.
    """

    scale: str
    xy_um: Float[np.ndarray, "n 2"]
    counts: sparse.csr_matrix
    parts: Locations
    bin_of_part: Int[np.ndarray, " p"]
    zone: Array
    nearest_um: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.xy_um)

    def of_parts(self, values: Float[np.ndarray, "p g"]) -> Float[np.ndarray, "n g"]:
        """Return the mean over the parts of each bin."""
        if len(values) == len(self):
            return values
        members = np.bincount(self.bin_of_part, minlength=len(self))
        shape = (len(self), len(values))
        mean = sparse.csr_matrix(
            (1 / members[self.bin_of_part], (self.bin_of_part, np.arange(len(values)))), shape=shape
        )
        return np.asarray(mean @ values, dtype=values.dtype)


def scale_name(scale: float | str) -> str:
    """Return the name of a scale in tables: ``cells``, or a width with its unit.

    Examples
    --------
    >>> scale_name(25.0), scale_name("cells")
    ('25 µm', 'cells')
    """
    return CELLS if scale == CELLS else f"{float(scale):g} µm"


def scaled(spots: PseudoSpots, scale: float | str) -> ScaledTruth:
    """Return the truth at ``scale``: bins of that width in µm, or ``"cells"``.

    Bins and cells of fewer than ten molecules, and those further than one pitch from every spot, are left out.

    Raises
    ------
    UsageError
        For a width that is not a multiple of the truth's bins, cells of a truth of bins, or a scale at which hardly
        anything is left.
    """
    truth, section = spots.other_half, spots.section
    xy_um, counts, width_um = _units(truth) if scale == CELLS else _bins(truth, scale)
    nearest_um, zone = _zones(xy_um, width_um, section)
    molecules = np.asarray(counts.sum(axis=1)).ravel()
    keep = (molecules >= LEAST_MOLECULES) & (nearest_um <= _MOST_PITCHES * spots.layout.pitch_um)
    if keep.sum() < LEAST_MOLECULES:
        raise UsageError(
            f"At the scale {scale_name(scale)}, {int(keep.sum())} bins of '{truth.name}' hold {LEAST_MOLECULES} "
            "molecules. Choose larger `widths_um`."
        )
    xy_um = xy_um[keep]
    parts, bin_of_part = _parts(xy_um, width_um, section)
    return ScaledTruth(
        scale_name(scale),
        xy_um,
        sparse.csr_matrix(counts[np.flatnonzero(keep)]),
        parts,
        bin_of_part=bin_of_part,
        zone=zone[keep],
        nearest_um=nearest_um[keep],
    )


def _units(truth: FineTruth) -> tuple[Array, sparse.csr_matrix, float]:
    if truth.unit != "cell":
        raise UsageError(f"'{truth.name}' has bins, not cells. Leave `cells` out of the scales.")
    return np.array(truth.points.xy), truth.counts, 0.0


def _bins(truth: FineTruth, scale: float | str) -> tuple[Array, sparse.csr_matrix, float]:
    """Return centres and molecules of square bins; a unit belongs to the bin that its centre lies in."""
    try:
        width_um = float(scale)
    except ValueError:
        raise UsageError(f"Expected `widths_um` as numbers or 'cells', got '{scale}'.") from None
    if not 0 < width_um < 1e5:
        raise UsageError(f"Expected `widths_um` above 0, got {scale}.")
    ratio = width_um / truth.unit_um if truth.unit_um else 1.0
    if ratio < 0.999 or abs(ratio - round(ratio)) > 1e-3:
        raise UsageError(
            f"Expected `widths_um` of a multiple of the {truth.unit_um:g} µm bins of '{truth.name}', got {width_um:g}."
        )
    # bins of a truth start at the edge of its first bin: a grid that cuts through bins would move molecules
    start = truth.points.xy.min(axis=0) - truth.unit_um / 2
    index = np.floor((truth.points.xy - start) / width_um + 1e-6).astype(np.int64)
    bins, of_unit = np.unique(index, axis=0, return_inverse=True)
    shape = (len(bins), len(truth))
    members = sparse.csr_matrix((np.ones(len(truth)), (of_unit.ravel(), np.arange(len(truth)))), shape=shape)
    return start + (bins + 0.5) * width_um, sparse.csr_matrix(members @ truth.counts), width_um


def _zones(xy_um: Array, width_um: float, section: Section) -> tuple[Array, Array]:
    """Return the distance to the nearest spot, and whether a bin lies in a spot, between spots, or at an edge."""
    from scipy.spatial import cKDTree

    radius_um = section.spots.diameter_um / 2
    distance, row = cKDTree(section.spots.xy).query(xy_um, k=min(_NEIGHBOURS, len(section)))
    # distance of a spot's centre to the square
    gap = np.maximum(np.abs(section.spots.xy[row] - xy_um[:, None]) - width_um / 2, 0.0)
    touched = (np.linalg.norm(gap, axis=2) < radius_um).any(axis=1)
    zone = np.where(distance[:, 0] <= radius_um, "inside", np.where(touched, "edge", "between"))
    return np.asarray(distance[:, 0]), zone


def _parts(xy_um: Array, width_um: float, section: Section) -> tuple[Locations, Array]:
    """Return the locations to predict at: the centres, or those of parts of bins that are wider than a spot."""
    from scipy.spatial import cKDTree

    number = max(1, round(width_um / section.spots.diameter_um))
    steps = (np.arange(number) + 0.5) / number - 0.5
    shift = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) * width_um
    xy_um = (xy_um[:, None] + shift).reshape(-1, 2)
    n = len(xy_um)
    # the diameter of the disk with the area of a part
    points = Points(xy_um, np.arange(n).astype(str), 2 * width_um / number / np.pi**0.5)
    lattice_xy = np.full((n, 2), np.nan)
    if section.lattice is not None:
        lattice_xy = section.lattice.to_lattice(xy_um)
    locations = Locations(
        points,
        lattice_xy,
        parent=cKDTree(section.spots.xy).query(xy_um)[1],
        subspot=np.full(n, -1),
        observed=np.zeros(n, dtype=bool),
        in_tissue=np.ones(n, dtype=bool),
    )
    return locations, np.repeat(np.arange(n // len(shift)), len(shift))
