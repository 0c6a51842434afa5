"""Standardised expression of many spots, block by block from a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int

from .row_blocks import blocks_of, summed
from .standardise import Standardisation

__all__ = ["Moments", "StreamedValues"]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums of the values over some spots, and of their products.

    Parameters
    ----------
    spots
        How many.
    total
        Sum of the values of each gene.
    products
        Of the values of each pair of genes.
    """

    spots: int
    total: Float[np.ndarray, " g"]
    products: Float[np.ndarray, "g g"]

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.spots + other.spots, self.total + other.total, self.products + other.products)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.spots - other.spots, self.total - other.total, self.products - other.products)

    @property
    def mean(self) -> Float[np.ndarray, " g"]:
        """Mean of each gene."""
        return np.asarray(self.total / max(self.spots, 1))

    def centred(self, mean: Float[np.ndarray, " g"]) -> Float[np.ndarray, "g g"]:
        """Return the products of the values less a mean, which may be that of other spots too."""
        cross = np.outer(self.total, mean)
        return np.asarray(self.products - cross - cross.T + self.spots * np.outer(mean, mean))


@dataclass(frozen=True, slots=True, eq=False)
class StreamedValues:
    """Standardised, weighted expression (Eq. 2), and where limits are given winsorised (Eq. 14); never held whole.

    Parameters
    ----------
    expression
        log1p(CP10k), spots × genes.
    standardisation
        Of the genes.
    sections
        Of the spots.
    expected, axes
        Leave-one-out factor scores of all spots, and their loadings; ``None``: nothing is winsorised.
    limit
        Furthest distance of a value from its expectation, for each gene.
    mean
        Of each gene after that; taken off.
    """

    expression: Float[np.ndarray, "n g"] | sparse.csr_matrix
    standardisation: Standardisation
    sections: Int[np.ndarray, " n"]
    expected: Float[np.ndarray, "n k"] | None = None
    axes: Float[np.ndarray, "k g"] | None = None
    limit: Float[np.ndarray, " g"] | None = None
    mean: Float[np.ndarray, " g"] | None = None

    def __len__(self) -> int:
        return len(self.sections)

    @property
    def genes(self) -> int:
        """How many genes there are."""
        return int(self.expression.shape[1])

    def at(self, rows: Array) -> Float[np.ndarray, "b g"]:
        """Return the values of some spots, in single precision."""
        values = self._standardised(rows)
        if self.expected is not None and self.axes is not None and self.limit is not None:
            expected = self.expected[rows] @ self.axes.astype(values.dtype)
            values -= expected
            limit = self.limit.astype(values.dtype)
            np.clip(values, -limit, limit, out=values)
            values += expected
        return values if self.mean is None else values - self.mean.astype(values.dtype)

    def moments(self, order: Array) -> Moments:
        """Return sums over the spots ``order``, block by block."""
        number = self.genes

        def work(blocks: Iterator[Array]) -> tuple[Array, Array]:
            total, products = np.zeros(number), np.zeros((number, number))
            for rows in blocks:
                values = self.at(rows)
                total += values.sum(axis=0, dtype=np.float64)
                # single precision within a block, double between blocks
                products += values.T @ values
            return total, products

        total, products = summed(work, order)
        return Moments(len(order), total, products)

    def moments_of_folds(self, fold: Int[np.ndarray, " n"], order: Array) -> list[Moments]:
        """Return the sums of each fold."""
        number = self.genes

        def work(rows: Array) -> Moments:
            total, products = np.zeros(number), np.zeros((number, number))
            for some in blocks_of(rows):
                values = self.at(some)
                total += values.sum(axis=0, dtype=np.float64)
                products += values.T @ values
            return Moments(len(rows), total, products)

        return map_parts(work, [order[fold[order] == index] for index in range(fold.max() + 1)])

    def errors(
        self, expected: Float[np.ndarray, "n k"], axes: Float[np.ndarray, "k g"], order: Array
    ) -> Array:
        """Return the root mean square of the values less their expectation, for each gene."""
        single = axes.astype(np.float32)

        def work(blocks: Iterator[Array]) -> tuple[Array]:
            total = np.zeros(self.genes)
            for rows in blocks:
                error = self._standardised(rows) - expected[rows].astype(np.float32) @ single
                total += np.einsum("ij,ij->j", error, error, dtype=np.float64)
            return (total,)

        return np.asarray(np.sqrt(summed(work, order)[0] / max(len(self), 1)))

    def _standardised(self, rows: Array) -> Array:
        some = self.expression[rows]
        # a copy: it is changed below
        dense = sparse.csr_matrix(some).toarray() if sparse.issparse(some) else some
        values = np.array(dense, dtype=np.float32)
        factor = (self.standardisation.weight / self.standardisation.scale).astype(np.float32)
        means = self.standardisation.means.astype(np.float32)
        for index in np.unique(self.sections[rows]):
            own = slice(None) if (self.sections[rows] == index).all() else self.sections[rows] == index
            values[own] = (values[own] - means[index]) * factor
        return np.asarray(values)
