"""The noise ceiling: the correlation that a perfect predictor would reach with a noisy measurement."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.section.expression import depth, log_cp10k, log_depth

from .given_depth import correlations

__all__ = ["noise_ceiling", "noise_ceilings"]

# each halves the part of the error that comes from the random division; more than five gain little
_THINNINGS = 5
# reliabilities among which the distribution over genes is sought, and steps of the search, which converges slowly
# where it no longer matters
_GRID = np.linspace(0.0, 1.0, 101)[:-1]
_STEPS = 200
# arctanh is infinite at 1
_LARGEST = 0.9999


def noise_ceiling(
    counts: sparse.csr_matrix,
    columns: Array,
    *,
    rows: Array | None = None,
    given_depth: bool = False,
    size_factor: bool = True,
    thinnings: int = _THINNINGS,
    seed: int = 0,
) -> Float[np.ndarray, " g"]:
    """Return √(split-half reliability) of each gene: the correlation of this measurement with its expected value.

    Count splitting (binomial thinning) divides each count at random into two halves. Both are normalised; their
    correlation r over spots, corrected to full depth, is the reliability ρ = 2r/(1 + r) (Spearman 1910; Brown 1910).
    The errors of r are large beside the correlations of most genes: √max(ρ, 0) of a gene without any signal is 0.18
    on average at 90 spots, and 0.09 at 1500. The distribution of ρ over the genes is therefore estimated first, by
    maximum likelihood without assuming a form (Kiefer & Wolfowitz 1956), with the error of r measured between
    thinnings; each gene's ceiling is the expectation of √ρ given its own r. The mean over genes is then right to
    about 0.03, and 0.05 where no gene has a signal.

    Parameters
    ----------
    counts
        Raw counts, spots × all genes; the depth of a spot is its sum over all of them.
    columns
        Columns of the genes to compute the ceiling of.
    rows
        Spots to correlate over; ``None`` takes all.
    given_depth
        With the log depth partialled out of both halves. Halves share the depth of their spot, which is reproducible
        without being a pattern of the gene: this is the ceiling of ``pcc_given_depth``.
    size_factor
        Whether expression is log1p(CP10k); otherwise it is log1p of the counts themselves, as HEST-Benchmark has it.
    thinnings
        How often the counts are divided; 2 or more.
    seed
        Seed of the thinning.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> counts = sparse.csr_matrix(np.random.default_rng(0).poisson([[400, 9], [90, 9]] * 50))
    >>> noise_ceiling(counts, np.array([0])).round(2).tolist()
    [0.86]
    """
    plain, partial = noise_ceilings(
        counts, columns, rows=rows, size_factor=size_factor, thinnings=thinnings, seed=seed
    )
    return partial if given_depth else plain


def noise_ceilings(
    counts: sparse.csr_matrix,
    columns: Array,
    *,
    rows: Array | None = None,
    size_factor: bool = True,
    thinnings: int = _THINNINGS,
    seed: int = 0,
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """Return :func:`noise_ceiling` without and with the depth partialled out, from the same thinnings."""
    spots = np.arange(counts.shape[0]) if rows is None else np.asarray(rows)
    level = log_depth(depth(counts))[spots]
    halves = _halves(counts, columns, spots=spots, size_factor=size_factor, seeds=(seed, thinnings))
    r = np.nan_to_num(np.array([correlations(left, right, level) for left, right in halves]))
    plain, partial = np.moveaxis(np.arctanh(np.clip(r, -_LARGEST, _LARGEST)), 1, 0)
    return _ceiling(plain), _ceiling(partial)


def _ceiling(z: Float[np.ndarray, "t g"]) -> Float[np.ndarray, " g"]:
    # the error of r is in equal parts that of the counts and that of their division, of which the mean over thinnings
    # has less; the second is seen between thinnings
    between = float(z.var(axis=0, ddof=1).mean())
    return _expected_root(z.mean(axis=0), between * (1 + 1 / len(z)))


def _halves(
    counts: sparse.csr_matrix,
    columns: Array,
    *,
    spots: Array,
    size_factor: bool,
    seeds: tuple[int, int],
) -> Iterator[tuple[Array, Array]]:
    """Yield the expression of both halves of the counts for each thinning."""
    seed, thinnings = seeds
    rng = np.random.default_rng(seed)
    whole = sparse.csr_matrix(counts, dtype=np.float64)
    number = np.rint(whole.data).astype(np.int64)
    for _ in range(thinnings):
        first, second = whole.copy(), whole.copy()
        first.data = rng.binomial(number, 0.5).astype(np.float64)
        second.data = whole.data - first.data
        left, right = (
            log_cp10k(part, columns=columns) if size_factor else np.log1p(2 * part[:, columns])
            for part in (first, second)
        )
        yield left[spots].toarray(), right[spots].toarray()


def _expected_root(z: Float[np.ndarray, " g"], variance: float) -> Float[np.ndarray, " g"]:
    """Return the expectation of √ρ of each gene given Fisher's z of its halves, which has an error of ``variance``."""
    # the correlation of halves that has reliability ρ: the Spearman–Brown formula, solved for r
    grid = np.arctanh(_GRID / (2 - _GRID))
    distance = (z[:, None] - grid) ** 2
    # relative to the nearest reliability, so that no row is 0 throughout
    likelihood = np.exp(-0.5 * (distance - distance.min(axis=1, keepdims=True)) / max(variance, 1e-9))
    prior = np.full(len(grid), 1 / len(grid))
    for _ in range(_STEPS):
        posterior = likelihood * prior
        posterior /= posterior.sum(axis=1, keepdims=True)
        prior = posterior.mean(axis=0)
    return np.asarray(posterior @ np.sqrt(_GRID))
