"""The noise ceiling: the correlation that a perfect predictor would reach with a noisy measurement."""

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
    """Return √(split-half reliability) of each gene: the correlation of the measurement with its expected value.

    Count splitting (binomial thinning) divides each count at random into two halves. Both are normalised, and their
    correlation r over spots is corrected to full depth by 2r/(1 + r) (Spearman 1910; Brown 1910). The result is 0
    where the halves do not correlate.

    Parameters
    ----------
    counts
        Raw counts, spots × all genes; the depth of a spot is its sum over all of them.
    columns
        Columns of the genes to compute the ceiling of.
    rows
        Spots to correlate over; ``None`` takes all.
    seed
        Seed of the thinning.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> counts = sparse.csr_matrix(np.random.default_rng(0).poisson([[400, 9], [90, 9]] * 50))
    >>> noise_ceiling(counts, np.array([0])).round(2).tolist()
    [0.84]
    """
    rng = np.random.default_rng(seed)
    first = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    first.data = rng.binomial(np.rint(first.data).astype(np.int64), 0.5).astype(np.float64)
    second = sparse.csr_matrix(counts - first)
    spots = slice(None) if rows is None else rows
    halves = (log_cp10k(part, columns=columns).toarray()[spots] for part in (first, second))
    r = np.nan_to_num(pearson(*halves))
    # Spearman–Brown correction; r near −1 would divide by 0
    return np.asarray(np.sqrt(np.clip(2 * r / (1 + np.maximum(r, -0.99)), 0.0, 1.0)))
