"""Find spots of one section that are measured again in another: copies, thinned, moved, mirrored or cut out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Int

__all__ = ["Copies", "copied_spots"]

# spots and genes that are compared at most: a copy shows in a sample of them
_TEST_SPOTS, _OTHER_SPOTS, _GENES = 4000, 10_000, 1000
# genes with fewer molecules over all spots say nothing of a single spot
_MOLECULES = 20
# the next spots in similarity, with which the most similar one is compared
_RIVALS = 5
# fewer pairs than this are chance
_PAIRS = 8
# correlations of copies are 1, whose Fisher z is infinite
_MOST_R = 0.999
# excess of correlation, as Fisher's z, that tissue does not have, and its standard errors
_EXCESS, _STANDARD_ERRORS = 0.15, 6.0


@dataclass(frozen=True, slots=True)
class Copies:
    """Spots of two sections that are alike.

    Parameters
    ----------
    pairs
        Pairs of spots that are each other's most similar, by one half of the genes.
    excess
        Mean over the pairs, in the other half of the genes: their correlation less that with the next most similar
        spots, as Fisher's z. Two sections of one tissue have about 0.
    standard_error
        Of ``excess``.
    """

    pairs: int
    excess: float
    standard_error: float

    @property
    def certain(self) -> bool:
        """Whether the spots share molecules: an excess that two measurements of one tissue do not have."""
        limit = max(_EXCESS, _STANDARD_ERRORS * self.standard_error)
        return self.pairs >= _PAIRS and self.excess > limit


def copied_spots(test: sparse.csr_matrix, others: sparse.csr_matrix, *, seed: int = 0) -> Copies:
    """Compare spots by their counts.

    Counts of one spot that were saved twice, or divided, share molecules, and so correlate beyond what two spots of
    one tissue do: by √p where a share p of the molecules was kept. Positions and barcodes are not used, so that moved,
    mirrored and renamed copies are found too. Pairs are chosen with one half of the genes and judged with the other:
    the largest of many correlations is large by chance, and the other half does not know which one it was.

    Parameters
    ----------
    test, others
        Raw counts, spots × genes; the same genes in one order.
    seed
        Of the samples of spots and of the halves of the genes.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> rng = np.random.default_rng(0)
    >>> first, second = (sparse.csr_matrix(rng.poisson(3.0, (60, 200))) for _ in range(2))
    >>> thinned = sparse.csr_matrix(rng.binomial(first.toarray(), 0.5)[::-1])
    >>> copied_spots(first, second).certain, copied_spots(first, thinned).certain
    (False, True)
    """
    rng = np.random.default_rng(seed)
    total = np.minimum(*(np.asarray(part.sum(axis=0)).ravel() for part in (test, others)))
    genes = np.argsort(-total, kind="stable")[:_GENES]
    genes = rng.permutation(genes[total[genes] >= _MOLECULES])
    first, second = (
        _residuals(part[_sample(part.shape[0], number, rng)][:, genes])
        for part, number in ((test, _TEST_SPOTS), (others, _OTHER_SPOTS))
    )
    half = len(genes) // 2
    if half < 2 or min(len(first), len(second)) <= _RIVALS:
        return Copies(0, 0.0, np.inf)
    chosen_by = _standardised(first[:, :half]) @ _standardised(second[:, :half]).T
    nearest = np.argpartition(-chosen_by, _RIVALS, axis=1)[:, : _RIVALS + 1]
    order = np.argsort(-np.take_along_axis(chosen_by, nearest, axis=1), axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, order, axis=1)
    # each other's most similar: a spot that was cut out has no partner
    rows = np.flatnonzero(chosen_by.argmax(axis=0)[nearest[:, 0]] == np.arange(len(first)))
    if len(rows) < 2:
        return Copies(len(rows), 0.0, np.inf)
    halves = _standardised(first[rows, half:]), _standardised(second[:, half:])
    r = np.einsum("pg,pkg->pk", halves[0], halves[1][nearest[rows]])
    # Fisher's z: a step from 0.9 to 0.99 is as large as one from 0 to 0.83
    judged = np.arctanh(np.clip(r, -_MOST_R, _MOST_R))
    excess = judged[:, 0] - judged[:, 1:].mean(axis=1)
    return Copies(len(rows), float(excess.mean()), float(excess.std(ddof=1) / np.sqrt(len(rows))))


def _sample(size: int, most: int, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    return np.arange(size) if size <= most else np.sort(rng.choice(size, most, replace=False))


def _residuals(counts: sparse.csr_matrix) -> Array:
    """Return Pearson residuals of spots with counts: all genes have about the same noise."""
    values = np.asarray(counts.toarray(), dtype=np.float32)
    values = values[values.sum(axis=1) > 0]
    expected = values.sum(axis=1, keepdims=True) * (values.sum(axis=0) / max(values.sum(), 1.0))
    # as far as ±√n, as Lause et al. (2021) do: a rare gene's single molecule is no outlier of thousands
    limit = np.sqrt(max(len(values), 1))
    return np.asarray(np.clip((values - expected) / np.sqrt(np.maximum(expected, 1e-6)), -limit, limit))


def _standardised(values: Array) -> Array:
    """Return rows whose products are their correlations."""
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9))
