"""The measured values of a report, as sparse columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from histosge._runtime.names import positions
from histosge._runtime.types import Array, Float
from histosge.errors import DataError
from histosge.geometry.points import Points
from histosge.section.expression import TARGET_SUM, depth
from histosge.section.section import Section

from .pack import blob, varints

__all__ = ["Chunk", "Measured", "chunks"]

# stored values of a chunk: what a browser unpacks in some milliseconds when a gene is chosen
_CHUNK_VALUES = 120_000
_CHUNK_GENES = 512
# steps of values that are not counts
_STEPS = 4000


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Spots and their measured values.

    Parameters
    ----------
    spots
        The measured spots, µm.
    genes
        Names of the columns.
    matrix
        Spots × genes: counts where ``depth`` is known, else log1p(CP10k).
    depth
        Total counts of each spot over all genes, or ``None``.
    """

    spots: Points
    genes: Array
    matrix: sparse.csc_matrix
    depth: Float[np.ndarray, " s"] | None

    def __post_init__(self) -> None:
        if self.matrix.shape != (len(self.spots), len(self.genes)):
            raise DataError(
                f"Expected measured values of {len(self.spots)} spots × {len(self.genes)} genes, "
                f"got {self.matrix.shape}."
            )

    @classmethod
    def of(cls, section: Section, genes: Array) -> Measured:
        """Return the counts of those of ``genes`` that the section has."""
        columns = positions(genes, section.genes)
        names, columns = np.asarray(genes, dtype=str)[columns >= 0], columns[columns >= 0]
        counts = sparse.csc_matrix(section.counts[:, columns])
        return cls(section.spots, names, counts, depth(section.counts))

    @property
    def kind(self) -> Literal["counts", "values"]:
        """Whether the matrix holds counts."""
        return "values" if self.depth is None else "counts"

    @property
    def step(self) -> float:
        """Value of one step of the codes: one count, or a step of log1p(CP10k)."""
        if self.depth is not None or not self.matrix.nnz:
            return 1.0
        return float(self.matrix.data.max()) / _STEPS

    def log_cp10k(self) -> sparse.csc_matrix:
        """Return log1p(CP10k), spots × genes."""
        if self.depth is None:
            return self.matrix
        scaled = sparse.csc_matrix(self.matrix, dtype=np.float64, copy=True)
        scaled.data *= (TARGET_SUM / np.maximum(self.depth, 1.0))[scaled.indices]
        np.log1p(scaled.data, out=scaled.data)
        return scaled


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some genes' values: their number, and a blob of numbers of values, gaps between spots, codes."""

    genes: int
    text: str


def chunks(measured: Measured, order: Array, *, budget_bytes: int) -> list[Chunk]:
    """Return the measured values in chunks of genes, in order, until the budget is spent.

    Parameters
    ----------
    measured
        The values.
    order
        Its columns, the most important first.
    budget_bytes
        Most characters that all chunks together may take.
    """
    matrix = measured.matrix.tocsc()
    matrix.sort_indices()
    stored = np.diff(matrix.indptr)[order]
    result: list[Chunk] = []
    spent = 0
    for start, stop in _spans(stored):
        text = blob(_encoded(matrix, order[start:stop], measured.step))
        spent += len(text)
        if spent > budget_bytes:
            break
        result.append(Chunk(stop - start, text))
    return result


def _spans(stored: Array) -> Sequence[tuple[int, int]]:
    """Cut genes into runs of bounded numbers of values."""
    spans, start, total = [], 0, 0
    for index, number in enumerate(stored):
        if index > start and (total + number > _CHUNK_VALUES or index - start == _CHUNK_GENES):
            spans.append((start, index))
            start, total = index, 0
        total += int(number)
    if start < len(stored):
        spans.append((start, len(stored)))
    return spans


def _encoded(matrix: sparse.csc_matrix, columns: Array, step: float) -> bytes:
    part = matrix[:, columns]
    # gaps between spots are small numbers, which take one byte
    gaps = np.diff(part.indices, prepend=0)
    # the first gap of each gene counts from spot 0
    starts = part.indptr[:-1][np.diff(part.indptr) > 0]
    gaps[starts] = part.indices[starts]
    codes = np.maximum(np.rint(part.data / step), 1)
    return varints(np.diff(part.indptr)) + varints(gaps) + varints(codes)
