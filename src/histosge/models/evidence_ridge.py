"""Bayesian linear regression of many genes at once, each with its own share of noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int

__all__ = ["Shrinkage"]

# noise over signal variance; log-spaced: the likelihood is flat on this scale
_RATIOS = np.geomspace(1e-3, 1e4, 36)


@dataclass(frozen=True, slots=True, eq=False)
class Shrinkage:
    """y = mean + φ·w + noise with w ~ N(0, τ²), noise ~ N(0, ρτ²); ρ by marginal likelihood, gene by gene.

    A Gaussian process with kernel φ·φ' is this model, and so is ridge regression.

    Parameters
    ----------
    mean
        One a gene.
    turn
        d × m: from features to the directions in which they are uncorrelated.
    power
        Sum of squares along each direction.
    weights
        m × g, along those directions.
    choice
        Which of the noise ratios each gene has.
    variance
        τ² of each gene.
    """

    mean: Float[np.ndarray, " g"]
    turn: Float[np.ndarray, "d m"]
    power: Float[np.ndarray, " m"]
    weights: Float[np.ndarray, "m g"]
    choice: Int[np.ndarray, " g"]
    variance: Float[np.ndarray, " g"]

    @classmethod
    def fit(cls, features: Float[np.ndarray, "n d"], values: Float[np.ndarray, "n g"]) -> Shrinkage:
        """Learn weights and noise."""
        from scipy.linalg import eigh

        n = len(values)
        mean = values.mean(axis=0)
        centred = values - mean
        power, turn = eigh(features.T @ features)
        keep = power > 1e-10 * max(power[-1], 1e-300)
        power, turn = power[keep], turn[:, keep]
        along = (features @ turn).T @ centred / np.sqrt(power)[:, None]
        rest = np.maximum((centred**2).sum(axis=0) - (along**2).sum(axis=0), 0.0)
        surprise = np.empty((len(_RATIOS), values.shape[1]))
        for row, ratio in enumerate(_RATIOS):
            scale = _variance(along, rest, power, ratio, n)
            determinant = np.log(power + ratio).sum() + (n - len(power)) * np.log(ratio)
            surprise[row] = n * np.log(np.maximum(scale, 1e-300)) + determinant
        choice = surprise.argmin(axis=0)
        ratio = _RATIOS[choice]
        shrunk = np.sqrt(power)[:, None] / (power[:, None] + ratio)
        variance = (along**2 / (power[:, None] + ratio)).sum(axis=0) / n + rest / ratio / n
        return cls(mean, turn, power, shrunk * along, choice, variance)

    def predict(
        self, features: Float[np.ndarray, "b d"], beyond: Float[np.ndarray, " b"] | None = None
    ) -> tuple[Float[np.ndarray, "b g"], Float[np.ndarray, "b g"]]:
        """Return means and standard deviations of a new measurement, noise included.

        Parameters
        ----------
        features
            Of the places.
        beyond
            Prior variance (in units of τ²) that the features of a place do not carry.
        """
        turned = features @ self.turn
        squares = turned**2
        used = np.unique(self.choice)
        # uncertainty of the weights, and the noise itself, for each noise ratio in use
        doubt = np.stack(
            [squares @ (_RATIOS[index] / (self.power + _RATIOS[index])) for index in used], axis=1
        )
        doubt += _RATIOS[used] + (0 if beyond is None else beyond[:, None])
        sd = np.sqrt(doubt[:, np.searchsorted(used, self.choice)] * self.variance)
        mean = self.mean + turned @ self.weights
        return mean.astype(np.float32), sd.astype(np.float32)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        names = ("mean", "turn", "power", "weights", "choice", "variance")
        return {f"shrinkage.{name}": getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Shrinkage:
        """Return what :meth:`arrays` was made of."""
        names = ("mean", "turn", "power", "weights", "choice", "variance")
        return cls(*(arrays[f"shrinkage.{name}"] for name in names))


def _variance(along: Array, rest: Array, power: Array, ratio: float, n: int) -> Array:
    """Return τ² by marginal likelihood, given the noise ratio."""
    return np.asarray(((along**2 / (power[:, None] + ratio)).sum(axis=0) + rest / ratio) / n)
