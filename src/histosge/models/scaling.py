"""Bringing columns to a common scale, learnt on the spots fitted and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["Columns", "Targets"]

# columns that vary less are constant
_FLAT = 1e-8
# a feature further off than this many deviations at a new place has left what was learnt
_FAR = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Mean and standard deviation of features.

    Parameters
    ----------
    mean, scale
        One a column.
    """

    mean: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]

    @classmethod
    def of(cls, values: Float[np.ndarray, "n d"]) -> Columns:
        """Measure them; constant columns keep scale 1."""
        scale = values.std(axis=0, dtype=np.float64)
        return cls(values.mean(axis=0, dtype=np.float64), np.where(scale > _FLAT, scale, 1.0))

    def apply(self, values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Return standardised values, at most six deviations off."""
        return np.asarray(np.clip((values - self.mean) / self.scale, -_FAR, _FAR), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What a network learns to answer in place of raw expression, and the way back.

    Parameters
    ----------
    mean, scale
        One a gene.
    loadings
        k × g: the network answers k factors of standardised expression; ``None``: it answers every gene.
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
        """Learn them from the spots fitted."""
        genes = expression.shape[1]
        mean = np.zeros(genes) if kind == "raw" else expression.mean(axis=0)
        scale = np.ones(genes)
        if kind == "standardised":
            deviation = expression.std(axis=0)
            scale = np.where(deviation > _FLAT, deviation, 1.0)
        if factors is None:
            return cls(mean, scale)
        _, _, loadings = np.linalg.svd((expression - mean) / scale, full_matrices=False)
        # the largest entry of each factor is positive: the sign of a singular vector means nothing
        peak = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=1)[:, None], axis=1)
        return cls(mean, scale, (loadings * np.sign(peak))[:factors])

    @property
    def width(self) -> int:
        """Numbers the network answers."""
        return len(self.mean) if self.loadings is None else len(self.loadings)

    def encode(self, expression: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "n t"]:
        """Return what the network is to answer."""
        standard = (expression - self.mean) / self.scale
        return np.asarray(standard if self.loadings is None else standard @ self.loadings.T, dtype=np.float32)

    def decode(self, answers: Float[np.ndarray, "n t"]) -> Float[np.ndarray, "n g"]:
        """Return expression."""
        standard = answers if self.loadings is None else answers @ self.loadings.astype(np.float32)
        return np.asarray(standard * self.scale + self.mean, dtype=np.float32)

    def arrays(self) -> dict[str, Array]:
        """Return the fitted arrays by name."""
        held = {"targets.mean": self.mean, "targets.scale": self.scale}
        return held if self.loadings is None else held | {"targets.loadings": self.loadings}
