"""The level of each gene in other data: mean and standard deviation of log1p(CP10k)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histosge._runtime.types import Array, Float, Int

from .profiles import Census, Profiles

__all__ = ["merged_levels", "source_levels"]

# the scale of expression: counts per this number
_PER = 1e4


def source_levels(profiles: Profiles, census: Census) -> Float[np.ndarray, "2 g"]:
    """Return mean and standard deviation of log1p(CP10k) of each gene over the profiles of a source."""
    total, squares = np.zeros((2, len(profiles.genes)))
    for block in profiles.blocks_of(census.rows):
        values = block.astype(np.float64)
        depth = np.maximum(np.asarray(values.sum(axis=1)).ravel(), 1.0)
        # zeros stay zeros: only what was counted is visited
        values.data = np.log1p(values.data * np.repeat(_PER / depth, np.diff(values.indptr)))
        total += np.asarray(values.sum(axis=0)).ravel()
        squares += np.asarray(values.multiply(values).sum(axis=0)).ravel()
    mean = total / len(census.rows)
    return np.stack([mean, np.sqrt(np.maximum(squares / len(census.rows) - mean**2, 0.0))])


def merged_levels(
    parts: Sequence[tuple[Array, Int[np.ndarray, " m"]]], genes: int
) -> Float[np.ndarray, "2 g"]:
    """Return the mean over sources of means and of variances; NaN for genes that none of them has.

    Parameters
    ----------
    parts
        Of each source its levels, and the positions of its genes among all.
    genes
        Number of all genes.
    """
    sums, sources = np.zeros((2, genes)), np.zeros(genes)
    for levels, columns in parts:
        known = np.isfinite(levels[0])
        sums[0, columns[known]] += levels[0, known]
        sums[1, columns[known]] += levels[1, known] ** 2
        sources[columns[known]] += 1
    mean, variance = np.divide(sums, sources, out=np.full((2, genes), np.nan), where=sources > 0)
    return np.stack([mean, np.sqrt(variance)])
