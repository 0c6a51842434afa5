"""Expression brought to a common scale: genes by their spread and reliability, sections by their means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.models.blocks import runs

from .inducing_points import evenly

__all__ = ["Standard", "principal", "reliability"]

_FLAT = 1e-8
# genes of which nothing is reproducible keep a little weight
_LEAST = 0.01
# spots whose molecules are dealt: a correlation needs no more
_DEALT, _DEALT_AT_ONCE = 5000, 256


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """What is taken off and divided out before factors are sought.

    Parameters
    ----------
    means
        Of each gene, one row a section, and a last row for any other: the mean of the sections' means, which also
        stands in for sections of which no spot was fitted.
    scale
        Standard deviation of each gene within sections; 1 where it does not vary.
    weight
        Square root of each gene's reliability: noisy genes have less say in what the factors are.
    """

    means: Float[np.ndarray, "s g"]
    scale: Float[np.ndarray, " g"]
    weight: Float[np.ndarray, " g"]

    @classmethod
    def fit(
        cls,
        expression: Float[np.ndarray, "n g"],
        depth: Float[np.ndarray, " n"],
        sections: Array,
        seed: int,
    ) -> Standard:
        """Learn from the fitted spots."""
        fitted = np.unique(sections)
        own = np.array([expression[sections == index].mean(axis=0) for index in fitted])
        means = np.tile(own.mean(axis=0), (int(fitted[-1]) + 2, 1))
        means[fitted] = own
        sd = (expression - means[sections]).std(axis=0)
        scale = np.where(sd > _FLAT, sd, 1.0)
        return cls(means, scale, np.sqrt(reliability(expression, depth, sections, seed)))

    def encode(self, expression: Float[np.ndarray, "n g"], sections: Array) -> Float[np.ndarray, "n g"]:
        """Return standardised, weighted expression."""
        return np.asarray((expression - self.means[sections]) * (self.weight / self.scale))

    @property
    def back(self) -> Float[np.ndarray, " g"]:
        """Factor from weighted standardised values to log1p(CP10k)."""
        return np.asarray(self.scale / self.weight)

    def offset(self, section: int) -> Float[np.ndarray, " g"]:
        """Return the genes' means in a section; of one that was not fitted, those of all."""
        return np.asarray(self.means[section if 0 <= section < len(self.means) - 1 else -1])

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {f"standard.{item.name}": getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Standard:
        """Return what :meth:`arrays` was made of."""
        return cls(*(arrays[f"standard.{item.name}"] for item in fields(cls)))


def reliability(
    expression: Float[np.ndarray, "n g"],
    depth: Float[np.ndarray, " n"],
    sections: Array | None = None,
    seed: int = 0,
) -> Float[np.ndarray, " g"]:
    """Return how well each gene repeats itself, 0.01 … 1: split-half correlation of its molecules.

    The molecules of every spot are dealt into two halves at random (binomial thinning of Poisson counts gives
    independent halves), which are normalised alike; the correlation is brought to full depth by Spearman–Brown. It
    is that within sections: what sections differ in repeats itself without being tissue.

    Parameters
    ----------
    expression
        log1p(CP10k), from which the counts follow.
    depth
        Total counts of each spot.
    sections
        Index of the section of each; ``None``: all are of one.
    seed
        Deals the molecules.
    """
    sections = np.zeros(len(expression), dtype=np.intp) if sections is None else sections
    rows = evenly(len(expression), _DEALT)
    expression, sections = expression[rows], sections[rows]
    depth = np.maximum(np.asarray(depth[rows], dtype=np.float64), 1.0)[:, None]
    rng = np.random.default_rng(seed)
    squares = np.zeros((3, expression.shape[1]))
    for index in np.unique(sections):
        own = np.flatnonzero(sections == index)
        sums = np.zeros((5, expression.shape[1]))
        for part in runs(len(own), _DEALT_AT_ONCE):
            one, two = _halves(expression[own[part]], depth[own[part]], rng)
            sums += [values.sum(axis=0) for values in (one * one, two * two, one * two, one, two)]
        one, two = sums[3:]
        squares += sums[:3] - np.array([one * one, two * two, one * two]) / len(own)
    size = np.sqrt(np.maximum(squares[0] * squares[1], 0.0))
    half = np.divide(squares[2], size, out=np.zeros_like(size), where=size > _FLAT)
    half = np.clip(half, 0.0, 1.0)
    return np.asarray(np.clip(2 * half / (1 + half), _LEAST, 1.0))


def _halves(expression: Array, depth: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the expression of both halves of the molecules of spots."""
    counts = np.rint(np.expm1(np.minimum(expression, 20.0)) * depth / 1e4).astype(np.int64)
    first = rng.binomial(np.maximum(counts, 0), 0.5)
    one, two = (np.log1p(half * (2e4 / depth)) for half in (first, counts - first))
    return one, two


def principal(matrix: Float[np.ndarray, "n g"], most: int, share: float = 1.0) -> Float[np.ndarray, "k g"]:
    """Return the orthonormal rows along which a matrix is largest.

    Parameters
    ----------
    matrix
        Not centred again.
    most
        At most this many.
    share
        As many as hold this share of the squares.
    """
    from scipy.linalg import eigh

    wide = matrix.shape[1] > matrix.shape[0]
    squares = np.asarray(matrix @ matrix.T if wide else matrix.T @ matrix, dtype=np.float64)
    size = len(squares)
    power, turn = eigh(squares, subset_by_index=(max(0, size - most), size - 1), check_finite=False)
    power, turn = np.maximum(power[::-1], 0.0), turn[:, ::-1]
    total = float(np.trace(squares))
    enough = int(np.searchsorted(np.cumsum(power), share * total * (1 - 1e-12))) + 1
    number = max(1, min(most, enough, int((power > 1e-10 * max(power[0], 1e-300)).sum())))
    rows = turn[:, :number].T
    if wide:
        rows = rows @ matrix / np.sqrt(np.maximum(power[:number], 1e-300))[:, None]
    # the largest entry of each is positive: the sign of a direction means nothing
    peak = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return np.asarray(rows * np.where(peak < 0, -1.0, 1.0))
