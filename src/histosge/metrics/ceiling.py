"""What a perfect predictor could reach: the measurement is noisy, and nobody can predict its noise."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.section.expression import log_cp10k

from .pearson import pearson

__all__ = ["noise_ceiling"]


def noise_ceiling(
    counts: sparse.csr_matrix, columns: Array, *, rows: Array | None = None, seed: int = 0
) -> Float[np.ndarray, " g"]:
    """Return √(reliability) of each gene: the correlation of the truth with an endlessly deep measurement of it.

    Each count is split at random into halves (binomial thinning), both are normalised, and their correlation over
    spots is stepped up to full depth by r → 2r/(1 + r) (Spearman 1910; Brown 1910). 0 where halves do not agree.

    Parameters
    ----------
    counts
        Raw counts, spots × all genes: depth is over all of them.
    columns
        Genes to answer for.
    rows
        Spots to correlate over; ``None``: all.
    seed
        Of the thinning.
    """
    rng = np.random.default_rng(seed)
    half = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    half.data = rng.binomial(np.rint(half.data).astype(np.int64), 0.5).astype(np.float64)
    other = sparse.csr_matrix(counts - half)
    one, two = (log_cp10k(part, columns=columns).toarray() for part in (half, other))
    chosen = slice(None) if rows is None else rows
    r = np.nan_to_num(pearson(one[chosen], two[chosen]))
    return np.asarray(np.sqrt(np.clip(2 * r / (1 + np.maximum(r, -0.99)), 0.0, 1.0)))
