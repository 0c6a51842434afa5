"""Standardised expression of many spots, block by block from a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float, Int
from histosge.models.base import Workers

from .row_blocks import of_parts, summed
from .rows_on_disk import RowsOnDisk
from .standardise import Standardisation

__all__ = ["Moments", "SpotTargets", "StreamedValues", "members_of"]


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
    workers
        Other processes that compute sums; ``None``: this one does.
    """

    expression: Float[np.ndarray, "n g"] | sparse.csr_matrix | RowsOnDisk
    standardisation: Standardisation
    sections: Int[np.ndarray, " n"]
    expected: Float[np.ndarray, "n k"] | None = None
    axes: Float[np.ndarray, "k g"] | None = None
    limit: Float[np.ndarray, " g"] | None = None
    mean: Float[np.ndarray, " g"] | None = None
    workers: Workers | None = None

    def __len__(self) -> int:
        return len(self.sections)

    @property
    def genes(self) -> int:
        """How many genes there are."""
        return int(self.expression.shape[1])

    def at(self, rows: Array) -> Float[np.ndarray, "b g"]:
        """Return the values of some spots, in single precision."""
        values = self.standardised(rows)
        if self.expected is not None and self.axes is not None and self.limit is not None:
            expected = self.expected[rows] @ self.axes.astype(values.dtype)
            values -= expected
            limit = self.limit.astype(values.dtype)
            np.clip(values, -limit, limit, out=values)
            values += expected
        return values if self.mean is None else values - self.mean.astype(values.dtype)

    def take(self, rows: Array) -> StreamedValues:
        """Return the values of some spots; those of a matrix on disk are not read."""
        some = (
            self.expression.take(rows) if isinstance(self.expression, RowsOnDisk) else self.expression[rows]
        )
        expected = None if self.expected is None else self.expected[rows]
        # what is sent to a worker has none of its own
        return replace(self, expression=some, sections=self.sections[rows], expected=expected, workers=None)

    def moments(self, order: Array) -> Moments:
        """Return sums over the spots ``order``, block by block."""
        return Moments(len(order), *summed(_Products(self), order, self.workers))

    def moments_of_folds(self, fold: Int[np.ndarray, " n"], order: Array) -> list[Moments]:
        """Return the sums of each fold."""
        folds = [order[fold[order] == index] for index in range(fold.max() + 1)]
        parts = of_parts(_Products(self), folds, self.workers)
        return [Moments(len(rows), *sums) for rows, sums in zip(folds, parts, strict=True)]

    def errors(
        self, expected: Float[np.ndarray, "n k"], axes: Float[np.ndarray, "k g"], order: Array
    ) -> Array:
        """Return the root mean square of the values less their expectation, for each gene."""
        plain = replace(self, expected=None, axes=None, limit=None, mean=None)
        work = _Errors(plain, expected, axes.astype(np.float32))
        return np.asarray(np.sqrt(summed(work, order, self.workers)[0] / max(len(self), 1)))

    def standardised(self, rows: Array) -> Float[np.ndarray, "b g"]:
        """Return the values of some spots before they are winsorised."""
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


@dataclass(frozen=True, slots=True, eq=False)
class SpotTargets:
    """What is kriged at spots, block by block.

    Parameters
    ----------
    values
        Of the genes.
    axes
        Of the factors that are kriged instead of the genes; ``None``: the genes are.
    members
        Number of sections, whose spots are marked in columns of their own; 0: none is.
    """

    values: StreamedValues
    axes: Float[np.ndarray, "k g"] | None = None
    members: int = 0

    def __call__(self, rows: Array) -> Float[np.ndarray, "b q"]:
        """Return the targets of some spots."""
        own = self.values.at(rows)
        own = own if self.axes is None else own @ self.axes.T
        return np.hstack([own, members_of(self.values.sections[rows], self.members)]) if self.members else own

    def take(self, rows: Array) -> SpotTargets:
        """Return the targets of some spots, which are not read."""
        return replace(self, values=self.values.take(rows))


def members_of(sections: Int[np.ndarray, " b"], number: int) -> Float[np.ndarray, "b s"]:
    """Return which spots are of which of so many sections."""
    return np.asarray(sections[:, None] == np.arange(number), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Products:
    """Sums of values and of their products."""

    values: StreamedValues

    def __call__(self, blocks: Iterator[Array]) -> tuple[Array, Array]:
        number = self.values.genes
        total, products = np.zeros(number), np.zeros((number, number))
        for rows in blocks:
            values = self.values.at(rows)
            total += values.sum(axis=0, dtype=np.float64)
            # single precision within a block, double between blocks
            products += values.T @ values
        return total, products

    def take(self, rows: Array) -> _Products:
        return _Products(self.values.take(rows))


@dataclass(frozen=True, slots=True, eq=False)
class _Errors:
    """Sums of the squares of values less their expectation."""

    values: StreamedValues
    expected: Array
    axes: Array

    def __call__(self, blocks: Iterator[Array]) -> tuple[Array]:
        total = np.zeros(self.values.genes)
        for rows in blocks:
            error = self.values.standardised(rows) - self.expected[rows].astype(np.float32) @ self.axes
            total += np.einsum("ij,ij->j", error, error, dtype=np.float64)
        return (total,)

    def take(self, rows: Array) -> _Errors:
        return _Errors(self.values.take(rows), self.expected[rows], self.axes)
