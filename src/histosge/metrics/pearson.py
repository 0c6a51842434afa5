"""Pearson's correlation of each gene over spots: the only implementation in the package."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.types import Float

from .base import Metric, MetricCard

__all__ = ["ENTRIES", "Centred", "pearson"]

# relative to the norm of the values: a column that varies less is constant up to rounding
_CONSTANT = 1e-6


def pearson(truth: Float[np.ndarray, "n g"], prediction: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " g"]:
    """Return Pearson's r of each column; NaN where one side is constant, because r is undefined there.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 3.0]])
    >>> pearson(truth, np.array([[2.0, 5.0], [4.0, 5.0], [8.0, 5.0]])).round(6).tolist()
    [1.0, nan]
    """
    left, right = Centred.of(truth), Centred.of(prediction)
    return left.correlation(right, np.einsum("ng,ng->g", left.values, right.values))


@dataclass(frozen=True, slots=True, eq=False)
class Centred:
    """Columns less their means.

    Parameters
    ----------
    values
        Deviations from the mean of each column.
    square
        Sum of squares of each column of them.
    scale
        The same before the mean was taken away.
    """

    values: Float[np.ndarray, "n g"]
    square: Float[np.ndarray, " g"]
    scale: Float[np.ndarray, " g"]

    @classmethod
    def of(cls, values: Float[np.ndarray, "n g"]) -> Centred:
        """Take the mean away from each column."""
        values = np.asarray(values, dtype=np.float64)
        mean = values.mean(axis=0)
        centred = values - mean
        square = np.einsum("ng,ng->g", centred, centred)
        return cls(centred, square, square + len(values) * mean**2)

    def less(self, square: Float[np.ndarray, " g"]) -> Centred:
        """Return the columns with as much of their squares taken away."""
        return replace(self, square=np.maximum(self.square - square, 0.0))

    def correlation(self, other: Centred, products: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
        """Return the correlations that follow from sums of products; NaN where one side is constant."""
        size = np.sqrt(self._square * other._square)
        r = np.full(len(size), np.nan)
        return np.asarray(np.divide(products, size, out=r, where=size > 0))

    @property
    def _square(self) -> Float[np.ndarray, " g"]:
        return np.asarray(np.where(self.square > _CONSTANT**2 * self.scale, self.square, 0.0))


ENTRIES = (
    Metric(
        MetricCard(
            "pcc",
            "Pearson's correlation over spots; undefined for a constant prediction, and then counted as 0.",
            "higher",
            (-1.0, 1.0),
            citation="pearson1895",
        ),
        lambda comparison: pearson(comparison.truth, comparison.prediction),
    ),
)
