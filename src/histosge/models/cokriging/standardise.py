"""Expression on a common scale: genes by their spread and reliability, sections by their means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
from scipy import sparse

from histosge._runtime.draws import fair_coins, hashed
from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import runs

__all__ = ["Coins", "Standardisation", "reliability"]

# a gene of smaller standard deviation does not vary
_FLAT = 1e-8
# genes without reproducible signal keep a little weight
_LEAST_RELIABILITY = 0.01
# spots whose counts are split, which is enough for a correlation; and how many at a time
_SPLIT_SPOTS, _BLOCK = 5000, 256
# log1p(CP10k) cannot be larger by much; keeps the counts finite
_MOST_EXPRESSION = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Coins:
    """What decides how counts are split: a hash of the name of each spot and of each gene.

    The split of a count then depends on its spot and gene, and not on the order of the table.
    """

    spots: Array
    genes: Array

    @classmethod
    def of(cls, spots: Iterable[object], genes: Iterable[object], seed: int) -> Coins:
        """Return the coins of spots and genes with these names."""
        return cls(hashed(spots, seed, "spot"), hashed(genes, seed, "gene"))


@dataclass(frozen=True, slots=True, eq=False)
class Standardisation:
    """From expression to standardised, weighted expression and back (Eq. 2 of docs/method.md).

    Parameters
    ----------
    means
        Of each gene: one row for each section and a last row for any other, the mean of the sections' means, which
        also stands in for sections without training spots.
    scale
        Standard deviation of each gene within sections; 1 where it does not vary.
    weight
        Square root of each gene's reliability, so that noisy genes determine the factors less.
    """

    means: Float[np.ndarray, "s g"]
    scale: Float[np.ndarray, " g"]
    weight: Float[np.ndarray, " g"]

    @classmethod
    def fit(
        cls,
        expression: Float[np.ndarray, "n g"] | sparse.csr_matrix,
        depth: Float[np.ndarray, " n"],
        *,
        sections: Int[np.ndarray, " n"],
        coins: Coins | None = None,
        measured: Float[np.ndarray, "n g"] | None = None,
    ) -> Standardisation:
        """Fit to the training spots; ``coins`` split the counts, which follow from ``measured``: log1p(CP10k)."""
        measured = expression if measured is None else measured
        fitted = np.unique(sections)
        section_means = np.array(
            [np.asarray(expression[sections == index].mean(axis=0)).ravel() for index in fitted]
        )
        means = np.tile(section_means.mean(axis=0), (int(fitted[-1]) + 2, 1))
        means[fitted] = section_means
        sd = (
            _sparse_sd(expression, means, sections)
            if sparse.issparse(expression)
            else (expression - means[sections]).std(axis=0)
        )
        scale = np.where(sd > _FLAT, sd, 1.0)
        return cls(means, scale, np.sqrt(reliability(measured, depth, sections=sections, coins=coins)))

    def transform(
        self, expression: Float[np.ndarray, "n g"], sections: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n g"]:
        """Return standardised, weighted expression."""
        return np.asarray((expression - self.means[sections]) * (self.weight / self.scale))

    @property
    def inverse_scale(self) -> Float[np.ndarray, " g"]:
        """Factor from standardised, weighted values to log1p(CP10k)."""
        return np.asarray(self.scale / self.weight)

    def row_of(self, section: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Return the row of ``means`` of each section index; the last for sections that were not fitted."""
        return np.asarray(np.minimum(section, len(self.means) - 1))

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {f"standardisation.{item.name}": getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Standardisation:
        """Return the standardisation whose :meth:`arrays` these are."""
        return cls(**{item.name: arrays[f"standardisation.{item.name}"] for item in fields(cls)})


def _sparse_sd(expression: sparse.csr_matrix, means: Array, sections: Array) -> Array:
    """Return the standard deviation within sections of a matrix whose zeros are not held."""
    squares = np.asarray(expression.multiply(expression).sum(axis=0)).ravel()
    number = np.bincount(sections, minlength=len(means))
    variance = (squares - number @ means**2) / len(sections)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def reliability(
    expression: Float[np.ndarray, "n g"] | sparse.csr_matrix,
    depth: Float[np.ndarray, " n"],
    *,
    sections: Int[np.ndarray, " n"] | None = None,
    coins: Coins | None = None,
) -> Float[np.ndarray, " g"]:
    """Return the split-half reliability of each gene, 0.01 … 1 (Eq. 1 of docs/method.md).

    Count splitting: the counts of each spot are split into two halves at random. Binomial thinning of Poisson counts
    gives independent halves, which are normalised alike. Their correlation is brought to full depth by the formula of
    Spearman and Brown. It is taken within sections, because a difference between sections is reproducible without
    being a pattern of the tissue.

    Parameters
    ----------
    expression
        log1p(CP10k), from which the counts follow.
    depth
        Total counts of each spot.
    sections
        Index of the section of each spot; ``None``: all are in one section.
    coins
        Those of the split; ``None`` throws them by row and column number.
    """
    coins = Coins.of(range(len(expression)), range(expression.shape[1]), 0) if coins is None else coins
    sections = np.zeros(len(expression), dtype=np.intp) if sections is None else sections
    # some at random, the same ones in any order of the rows
    rows = np.sort(np.argsort(coins.spots, kind="stable")[:_SPLIT_SPOTS])
    expression, sections = expression[rows], sections[rows]
    expression = sparse.csr_matrix(expression).toarray() if sparse.issparse(expression) else expression
    depth = np.maximum(np.asarray(depth[rows], dtype=np.float64), 1.0)[:, None]
    # sums of squares of both halves and of their product, within sections
    squares = np.zeros((3, expression.shape[1]))
    for index in np.unique(sections):
        spots = np.flatnonzero(sections == index)
        sums = np.zeros((5, expression.shape[1]))
        for part in runs(len(spots), _BLOCK):
            some = spots[part]
            left, right = _halves(expression[some], depth[some], coins.spots[rows[some]], coins.genes)
            sums += [values.sum(axis=0) for values in (left * left, right * right, left * right, left, right)]
        left, right = sums[3:]
        squares += sums[:3] - np.array([left * left, right * right, left * right]) / len(spots)
    size = np.sqrt(np.maximum(squares[0] * squares[1], 0.0))
    half = np.divide(squares[2], size, out=np.zeros_like(size), where=size > _FLAT)
    half = np.clip(half, 0.0, 1.0)
    return np.asarray(np.clip(2 * half / (1 + half), _LEAST_RELIABILITY, 1.0))


def _halves(expression: Array, depth: Array, spots: Array, genes: Array) -> tuple[Array, Array]:
    """Return the expression of both halves of the counts of some spots."""
    counts = np.rint(np.expm1(np.minimum(expression, _MOST_EXPRESSION)) * depth / 1e4).astype(np.int64)
    counts = np.maximum(counts, 0)
    first = fair_coins(counts, spots, genes)
    left, right = (np.log1p(half * (2e4 / depth)) for half in (first, counts - first))
    return left, right
