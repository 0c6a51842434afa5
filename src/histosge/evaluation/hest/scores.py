"""Scores of predictions in samples that were not fitted: over all of them together, and in each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.metrics.ceiling import noise_ceiling
from histosge.metrics.pearson import pearson

from .rows import Rows
from .sample import Sample

__all__ = ["FoldScores", "ceiling_of", "level_of"]


@dataclass(frozen=True, slots=True, eq=False)
class FoldScores:
    """Correlations of one fold.

    Parameters
    ----------
    genes
        Their names.
    pooled
        Over the spots of all test samples together, as the benchmark has it: differences between samples count.
    by_sample
        Over the spots of each test sample.
    """

    genes: tuple[str, ...]
    pooled: Float[np.ndarray, " g"]
    by_sample: dict[str, Float[np.ndarray, " g"]]

    @classmethod
    def of(
        cls, genes: tuple[str, ...], names: Sequence[str], parts: Sequence[tuple[Array, Array]]
    ) -> FoldScores:
        """Score pairs of truth and prediction, one a sample; r of a constant prediction is not defined."""
        truth, predicted = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
        by_sample = {name: pearson(*part) for name, part in zip(names, parts, strict=True)}
        return cls(genes, pearson(truth, predicted), by_sample)

    @property
    def mean(self) -> float:
        """Mean over genes of the pooled r; not a number where one is not defined, as the benchmark has it."""
        return float(self.pooled.mean())

    def tidy(self) -> Iterator[dict[str, object]]:
        """Yield a line for each gene, pooled (``sample`` empty) and in each sample."""
        for name, values in {"": self.pooled, **self.by_sample}.items():
            for gene, r in zip(self.genes, values.tolist(), strict=True):
                yield {"sample": name, "gene": gene, "r": r}


def level_of(predicted: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "n g"]:
    """Return the mean of a prediction over the spots of a sample, at each spot.

    What its pooled correlation is, differences between samples alone reach.
    """
    return np.broadcast_to(predicted.mean(axis=0), predicted.shape)


def ceiling_of(
    genes: tuple[str, ...], samples: Sequence[Sample], rows: Sequence[Rows], seed: int
) -> FoldScores:
    """Return the noise ceiling of the test samples: what a perfect prediction of their expression would reach."""
    counts = [
        sparse.csr_matrix(sample.counts[_positions(sample, part)])
        for sample, part in zip(samples, rows, strict=True)
    ]
    columns = np.arange(len(genes))

    def of(part: sparse.csr_matrix) -> Array:
        return noise_ceiling(part, columns, size_factor=False, seed=seed)

    names = [sample.name for sample in samples]
    pooled = of(sparse.csr_matrix(sparse.vstack(counts)))
    return FoldScores(genes, pooled, dict(zip(names, map(of, counts), strict=True)))


def _positions(sample: Sample, rows: Rows) -> Array:
    """Return the rows of a sample that some of its spots are."""
    asked = {name.partition("/")[2] for name in rows.ids.tolist()}
    return np.flatnonzero([barcode in asked for barcode in sample.barcodes.tolist()])
