"""Measured spots of a section, to be scored at the finer truth of another one, such as the neighbouring section."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array, Float
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points
from histosge.section.section import Section

from .pseudo_spots import LEAST_MOLECULES, PseudoSpots
from .truth import FineTruth, thinned

__all__ = ["MeasuredSpots", "read_registration", "scored_at"]

# two scales of one registration in µm, and both against 1: tissue is stretched by a few per cent
_MOST_SCALE = 1.15
# fewer common genes compare nothing
_LEAST_GENES = 2
# share of the cells or bins within a pitch of a spot, below which two sections do not lie on one another
_LEAST_OVERLAP = 0.2
_LEAST_SPOTS = 12


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredSpots:
    """The spots of a section, and where they lie in the frame of a finer truth.

    Parameters
    ----------
    section
        What models are fitted to.
    to_truth
        3 × 3: from (x, y, 1) in µm of the section to µm of the truth. By default both share a frame.

    Raises
    ------
    UsageError
        For a matrix that is no map between two frames in µm.
    """

    section: Section
    to_truth: Float[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        matrix = np.asarray(self.to_truth, dtype=np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or matrix[2].tolist() != [0.0, 0.0, 1.0]:
            raise UsageError(
                "Expected `registration` as a 3 × 3 matrix of finite numbers whose last row is 0 0 1, got another one."
            )
        large, small = np.linalg.svd(matrix[:2, :2], compute_uv=False)
        if not 1 / _MOST_SCALE < small <= large < _MOST_SCALE:
            raise UsageError(
                f"Expected `registration` between two frames in µm, whose scale is about 1, got scales of {small:.3g} "
                f"and {large:.3g}. Give it for µm, not for pixels."
            )
        object.__setattr__(self, "to_truth", matrix)

    @property
    def name(self) -> str:
        """What tables call the spots."""
        return f"spots of {self.section.name}"

    @property
    def pitch_um(self) -> float:
        """Distance of neighbouring spots."""
        return self.section.pitch_um

    @property
    def diameter_um(self) -> float:
        """Of a spot."""
        return float(self.section.spots.diameter_um)


def read_registration(path: Path | str) -> Float[np.ndarray, "3 3"]:
    """Read a 3 × 3 matrix: three lines of three numbers, separated by blanks or commas.

    Raises
    ------
    UsageError
        When there is no such file, or it holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"Expected `registration` as a file with a 3 × 3 matrix, got nothing at '{path}'.")
    try:
        lines = path.read_text(encoding="utf-8").replace(",", " ").splitlines()
        matrix = np.array([[float(word) for word in line.split()] for line in lines if line.strip()])
    except ValueError as error:
        raise UsageError(f"Expected three lines of three numbers in '{path}', got something else.") from error
    if matrix.shape != (3, 3):
        raise UsageError(f"Expected three lines of three numbers in '{path}', got {matrix.shape}.")
    return matrix


def scored_at(
    truth: FineTruth, spots: MeasuredSpots, *, seed: int = 0, median_depth: float | None = None
) -> PseudoSpots:
    """Return measured spots with the genes of a finer truth, and the truth moved into their frame.

    The truth is of other molecules than the spots, so that nothing is divided; the frame is the section's, where its
    image lies.

    Parameters
    ----------
    truth
        Cells or fine bins of the other section.
    spots
        The measured spots.
    seed
        Draws the molecules that are kept where depth is thinned.
    median_depth
        Median molecules of a spot in the common genes; ``None`` keeps all.

    Raises
    ------
    DataError
        For sections without common genes, or that do not lie on one another.
    UsageError
        For more molecules than there are.
    """
    section = spots.section
    columns, of_truth, message = _common_genes(section, truth)
    counts = _of_genes(section.counts, columns)
    molecules = np.asarray(counts.sum(axis=1)).ravel()
    keep = np.flatnonzero(molecules >= LEAST_MOLECULES)
    if len(keep) < _LEAST_SPOTS:
        raise DataError(
            f"'{section.name}' has {len(keep)} spots of {LEAST_MOLECULES} molecules in the genes of '{truth.name}'; a "
            f"fit needs {_LEAST_SPOTS}."
        )
    if median_depth is not None:
        median = float(np.median(molecules[keep]))
        if not 0 < median_depth <= median:
            raise UsageError(
                f"`median_depth` must be above 0 and at most {median:.0f}, what '{section.name}' has; got "
                f"{median_depth:g}."
            )
        counts = thinned(counts, median_depth / median, np.random.default_rng([seed, 2]))
        keep = keep[np.asarray(counts[keep].sum(axis=1)).ravel() >= LEAST_MOLECULES]
    fitted = replace(
        section.take(keep),
        counts=counts[keep],
        genes=section.genes[columns],
        gene_ids=section.gene_ids[columns],
    ).with_messages(message)
    moved = _moved(truth, spots, of_truth)
    _refuse_apart(moved, fitted, spots)
    return PseudoSpots(fitted, moved, spots, int((molecules > 0).sum() - len(keep)))


def _common_genes(section: Section, truth: FineTruth) -> tuple[Array, Array, Message]:
    """Return the columns of the common genes in the section and in the truth; names are those of either kind."""
    matches = [
        np.intersect1d(names, truth.genes, return_indices=True) for names in (section.genes, section.gene_ids)
    ]
    _, columns, of_truth = max(matches, key=lambda part: len(part[0]))
    if len(columns) < _LEAST_GENES:
        raise DataError(
            f"'{section.name}' and '{truth.name}' have {len(columns)} genes in common; {_LEAST_GENES} are needed. "
            "Check that both name genes alike."
        )
    text = (
        f"{len(columns)} of {len(truth.genes)} genes of '{truth.name}' are in '{section.name}'; both are normalised by "
        "the molecules of these genes."
    )
    return columns, of_truth, Message("info", text)


def _of_genes(counts: sparse.csr_matrix, columns: Array) -> sparse.csr_matrix:
    """Return some columns; their indices are sorted now, because a section's are read-only."""
    some = sparse.csr_matrix(counts[:, columns], dtype=np.float64)
    some.sort_indices()
    return some


def _moved(truth: FineTruth, spots: MeasuredSpots, columns: Array) -> FineTruth:
    """Return the truth's common genes in the frame of the section, without an image of its own."""
    homogeneous = np.column_stack([truth.points.xy, np.ones(len(truth))])
    xy_um = (homogeneous @ np.linalg.inv(spots.to_truth).T)[:, :2]
    points = Points(xy_um, truth.points.ids, truth.points.diameter_um)
    return replace(
        truth, counts=_of_genes(truth.counts, columns), genes=truth.genes[columns], points=points, slide=None
    )


def _refuse_apart(truth: FineTruth, section: Section, spots: MeasuredSpots) -> None:
    from scipy.spatial import cKDTree

    distance_um = cKDTree(section.spots.xy).query(truth.points.xy)[0]
    near = float((distance_um <= spots.pitch_um).mean())
    if near < _LEAST_OVERLAP:
        raise DataError(
            f"{100 * near:.0f} % of '{truth.name}' lie within {spots.pitch_um:.0f} µm of a spot of '{section.name}'. "
            "The two do not share a frame in µm; give the matrix from the section to the truth as `registration`."
        )
