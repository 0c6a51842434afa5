"""A finer truth: the molecules of single cells or of fine bins, and their division into two halves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array, frozen
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.section.section import Section

__all__ = ["FineTruth", "thinned"]


@dataclass(frozen=True, slots=True, eq=False)
class FineTruth:
    """Counts of units that are smaller than spots.

    Parameters
    ----------
    name
        Its name in tables and figures.
    counts
        Raw counts, units × genes.
    genes
        Unique gene names, one a column.
    points
        Centres of the units in µm, in the frame of the image where there is one.
    unit
        ``"cell"``, or ``"bin"`` for square bins.
    unit_um
        Width of a bin; 0 for cells, which stand for the points at their centres.
    slide
        H&E image of the same section; ``None`` where there is none.
    messages
        What was converted when it was read.
    sources
        Files that it was read from, which no output may replace.

    Raises
    ------
    DataError
        When lengths differ, gene names repeat, or counts are no whole numbers of 0 or more.
    """

    name: str
    counts: sparse.csr_matrix
    genes: Array
    points: Points
    unit: Literal["cell", "bin"] = "cell"
    unit_um: float = 0.0
    slide: SlideImage | None = None
    messages: tuple[Message, ...] = ()
    sources: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        counts = sparse.csr_matrix(self.counts)
        genes = np.asarray(self.genes, dtype=str)
        if counts.shape != (len(self.points), len(genes)):
            raise DataError(
                f"Expected counts of {len(self.points)} units × {len(genes)} genes, got {counts.shape}."
            )
        if len(np.unique(genes)) != len(genes):
            raise DataError("Expected unique gene names, got repeated ones. Make them unique.")
        data = counts.data
        if data.size and not (np.isfinite(data).all() and data.min() >= 0 and (data == np.rint(data)).all()):
            raise DataError(
                "Expected raw counts, whole numbers of 0 or more, got other values. Molecules cannot be divided "
                "without them; give the raw counts."
            )
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "genes", frozen(genes))

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def of_section(cls, section: Section) -> FineTruth:
        """Return the bins of a Visium HD section as a finer truth.

        Raises
        ------
        UsageError
            For a section of another platform: its spots are not finer than spots.
        """
        if not section.platform.name.startswith("visium_hd") or section.platform.pitch_um is None:
            raise UsageError(
                f"Expected a truth of cells or of Visium HD bins, got '{section.name}' of the platform "
                f"{section.platform.name}. Give a table of cells (csv, parquet, h5ad) or a folder square_002um."
            )
        return cls(
            section.name,
            section.counts,
            section.genes,
            section.spots,
            "bin",
            unit_um=section.platform.pitch_um,
            slide=section.slide,
            messages=section.messages,
            sources=section.sources,
        )

    def halves(self, seed: int) -> tuple[FineTruth, FineTruth]:
        """Divide the molecules at random: each is in the first or in the second half with probability ½.

        Halves of Poisson counts are independent (binomial thinning; Neufeld et al. 2024), so that spots made of the
        first may be scored with the second anywhere, inside the spots too.
        """
        first = thinned(self.counts, 0.5, np.random.default_rng([seed, 0]))
        second = sparse.csr_matrix(self.counts - first)
        second.eliminate_zeros()
        return replace(self, counts=first), replace(self, counts=second)


def thinned(counts: sparse.csr_matrix, share: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Return counts of which every molecule was kept with the probability ``share``.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> counts = sparse.csr_matrix(np.full((2, 2), 100))
    >>> bool((thinned(counts, 0.5, np.random.default_rng(0)).toarray() < 100).all())
    True
    """
    result = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    result.data = rng.binomial(np.rint(result.data).astype(np.int64), share).astype(np.float64)
    result.eliminate_zeros()
    return result
