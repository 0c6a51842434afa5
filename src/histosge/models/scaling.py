"""Bring columns to a common scale, measured on the training spots and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.prediction.principal_components import principal_axes

__all__ = ["Columns", "Targets", "column_variances"]

# columns of smaller standard deviation are constant
_FLAT = 1e-8
# at new locations a feature further off than so many standard deviations is outside the range of the training spots
_LIMIT_SD = 6.0
# values of which copies of double precision are in memory at once: 16 MB
_AT_ONCE = 2**21
# columns of a part, at least: fewer are read from memory slowly
_LEAST_COLUMNS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Mean and standard deviation of features.

    Parameters
    ----------
    mean, scale
        One per column.
    """

    mean: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]

    @classmethod
    def of(cls, values: Float[np.ndarray, "n d"]) -> Columns:
        """Measure them; constant columns have scale 1."""
        scale = np.sqrt(column_variances(values))
        return cls(values.mean(axis=0, dtype=np.float64), np.where(scale > _FLAT, scale, 1.0))

    def apply(self, values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Return standardised values, clipped at six standard deviations."""
        # single precision, because networks and trees read it
        result = np.empty(values.shape, dtype=np.float32)
        step = max(1, _AT_ONCE // max(1, values.shape[1]))
        for start in range(0, len(values), step):
            rows = slice(start, start + step)
            standard = (values[rows] - self.mean) / self.scale
            result[rows] = np.clip(standard, -_LIMIT_SD, _LIMIT_SD)
        return result


def column_variances(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """Return the variance of each column, in double precision and bounded memory.

    The bits are those of ``values.var(axis=0, dtype=np.float64)``, which copies all values in double precision.
    """
    columns = values.shape[1]
    step = max(_LEAST_COLUMNS, _AT_ONCE // max(1, len(values)))
    # a part of one column would be summed in another order: it joins the part before
    starts = range(0, max(columns - 1, 1), step)
    ends = [*starts[1:], columns]
    parts = [
        values[:, start:end].var(axis=0, dtype=np.float64) for start, end in zip(starts, ends, strict=True)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """From expression to the targets of a network, and back.

    Parameters
    ----------
    mean, scale
        One per gene.
    loadings
        k × g: the targets are k factors of standardised expression; ``None``: they are the genes.
    """

    mean: Float[np.ndarray, " g"]
    scale: Float[np.ndarray, " g"]
    loadings: Float[np.ndarray, "k g"] | None = None

    @classmethod
    def of(
        cls,
        expression: Float[np.ndarray, "n g"],
        kind: Literal["raw", "centred", "standardised"],
        factors: int | None = None,
    ) -> Targets:
        """Measure them on the training spots.

        Parameters
        ----------
        expression
            log1p(CP10k).
        kind
            What is done to each gene.
        factors
            Number of principal components to predict in place of the genes.
        """
        genes = expression.shape[1]
        mean = np.zeros(genes) if kind == "raw" else expression.mean(axis=0)
        scale = np.ones(genes)
        if kind == "standardised":
            deviation = expression.std(axis=0)
            scale = np.where(deviation > _FLAT, deviation, 1.0)
        if factors is None:
            return cls(mean, scale)
        return cls(mean, scale, principal_axes((expression - mean) / scale, factors, exact=True))

    @property
    def width(self) -> int:
        """Number of targets."""
        return len(self.mean) if self.loadings is None else len(self.loadings)

    def encode(self, expression: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "n t"]:
        """Return the targets of expression."""
        standard = (expression - self.mean) / self.scale
        return np.asarray(standard if self.loadings is None else standard @ self.loadings.T, dtype=np.float32)

    def decode(self, targets: Float[np.ndarray, "n t"]) -> Float[np.ndarray, "n g"]:
        """Return the expression of targets."""
        standard = targets if self.loadings is None else targets @ self.loadings.astype(np.float32)
        return np.asarray(standard * self.scale + self.mean, dtype=np.float32)

    def arrays(self) -> dict[str, Array]:
        """Return the fitted arrays by name."""
        arrays = {"targets.mean": self.mean, "targets.scale": self.scale}
        return arrays if self.loadings is None else arrays | {"targets.loadings": self.loadings}
