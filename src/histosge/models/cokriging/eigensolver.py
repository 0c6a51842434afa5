"""Gaussian processes of one covariance for many targets at once, each with its own share of noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.models.blocks import runs

__all__ = ["RATIOS", "Answers", "Spectrum", "precision"]

# noise over signal variance; log-spaced: the likelihood is flat on this scale
RATIOS = np.geomspace(1e-2, 1e4, 28)
# directions of less power than this (against the least noise) are lost in noise whatever is measured
_LEAST_POWER = 0.1 * RATIOS[0]
_JITTER = 1e-6
# fewer spots are worked out in double precision
_DOUBLE = 1000
# spots whose directions are squared at once
_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What targets measured at the fitted spots say, averaged over what their noise may be.

    The posterior of the noise ratio is worked out on a grid, and predictions are averaged over it: where few spots
    cannot tell signal from noise, a single best ratio would be overconfident either way.

    Parameters
    ----------
    mean
        Of each target.
    along
        Coefficients along the directions of the spectrum.
    power
        Of those directions.
    inverse
        Of power and noise together, along each direction, one column a target.
    diagonal
        The same along the fitted spots, not the directions.
    variance
        Signal variance of each target.
    noise
        Variance of one measurement around the signal.
    evidence
        Log marginal likelihood, averaged over the ratio.
    left_out
        Prediction of each fitted spot from all others.
    """

    mean: Float[np.ndarray, " q"]
    along: Float[np.ndarray, "r q"]
    power: Float[np.ndarray, " r"]
    inverse: Float[np.ndarray, "r q"]
    diagonal: Float[np.ndarray, "n q"]
    variance: Float[np.ndarray, " q"]
    noise: Float[np.ndarray, " q"]
    evidence: Float[np.ndarray, " q"]
    left_out: Float[np.ndarray, "n q"]

    @property
    def kept(self) -> Float[np.ndarray, "r q"]:
        """Share of the prior variance along each direction that measuring removes, one column a target."""
        return np.asarray(self.power[:, None] * self.inverse)

    @property
    def left_out_variance(self) -> Float[np.ndarray, "n q"]:
        """Variance of the signal at each fitted spot, the spot itself left out."""
        return np.asarray(np.maximum(self.variance / self.diagonal - self.noise, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """A covariance of the fitted spots along the directions in which it is diagonal.

    Parameters
    ----------
    power
        Of each direction, largest first.
    turn
        Orthonormal directions, one a column.
    dual
        From covariances with the landmarks to coordinates along the directions.
    seen
        Of each fitted spot and each of ``RATIOS``: the diagonal of the inverse of covariance and noise, less that of
        noise alone.
    """

    power: Float[np.ndarray, " r"]
    turn: Float[np.ndarray, "n r"]
    dual: Float[np.ndarray, "m r"]
    seen: Float[np.ndarray, "n l"]

    @classmethod
    def exact(cls, covariance: Float[np.ndarray, "n n"], device: str = "cpu") -> Spectrum:
        """Take all fitted spots as landmarks.

        Where they are 1000 or more, in single precision, in half the time: maps change by less than 0.002 of their own
        deviation.
        """
        kind = precision(len(covariance))
        power, turn = _eigen(covariance.astype(kind, copy=False), device)
        return cls(power, turn, turn / np.sqrt(power).astype(kind), _seen(power, turn))

    @classmethod
    def sparse(
        cls,
        covariance: Float[np.ndarray, "n m"],
        inducing_points: Float[np.ndarray, "m m"],
        device: str = "cpu",
    ) -> Spectrum:
        """Carry the process by landmarks (Nyström; Quiñonero-Candela & Rasmussen 2005).

        Parameters
        ----------
        covariance
            Of the fitted spots with the landmarks.
        inducing_points
            Of the landmarks with one another.
        device
            ``"cuda"`` turns the matrix there.
        """
        from scipy.linalg import cholesky, solve_triangular

        jittered = inducing_points + _JITTER * np.trace(inducing_points) / len(inducing_points) * np.eye(
            len(inducing_points)
        )
        root = cholesky(jittered, lower=True)
        back = solve_triangular(root, np.eye(len(root)), lower=True, check_finite=False).T
        features = covariance @ back.astype(covariance.dtype)
        power, turn = _eigen(np.asarray(features.T @ features, dtype=np.float64), device)
        directions = features @ (turn / np.sqrt(power)).astype(features.dtype)
        return cls(power, directions, back @ turn, _seen(power, directions))

    def answer(self, targets: Float[np.ndarray, "n q"]) -> Answers:
        """Work out what targets say."""
        kind = self.turn.dtype
        mean = targets.mean(axis=0)
        centred = (targets - mean).astype(kind, copy=False)
        along = self.turn.T @ centred
        by_ratio = (1 / (self.power[:, None] + RATIOS)).astype(kind)
        scales, weight, evidence = self._weighed(centred, along, by_ratio)
        variance, noise = (scales * weight).sum(axis=0), (scales * weight * RATIOS[:, None]).sum(axis=0)
        noise_inverse = ((1 / RATIOS) @ weight).astype(kind)
        weight = weight.astype(kind)
        inverse = by_ratio @ weight
        # the diagonal of the inverse, and the inverse times the targets; outside the directions there is noise alone
        diagonal = self.seen @ weight + noise_inverse
        whole = self.turn @ (along * (inverse - noise_inverse)) + noise_inverse * centred
        left_out = targets - whole / diagonal
        along *= np.sqrt(self.power).astype(kind)[:, None]
        along *= inverse
        return Answers(mean, along, self.power, inverse, diagonal, variance, noise, evidence, left_out)

    def _weighed(self, centred: Array, along: Array, by_ratio: Array) -> tuple[Array, Array, Array]:
        """Return for each ratio and target signal variance and posterior weight, and the evidence of each target."""
        n, r = self.turn.shape
        squares = along**2
        # thousands of terms: summed in double precision
        total, told = (np.einsum("ij,ij->j", part, part, dtype=np.float64) for part in (centred, along))
        rest = np.maximum(total - told, 0.0)
        scales = (np.asarray(by_ratio.T @ squares, dtype=np.float64) + rest / RATIOS[:, None]) / n
        determinant = np.log(self.power + RATIOS[:, None]).sum(axis=1) + (n - r) * np.log(RATIOS)
        logs = -0.5 * (n * np.log(np.maximum(scales, 1e-300)) + determinant[:, None])
        best = logs.max(axis=0)
        weight = np.exp(logs - best)
        evidence = best + np.log(weight.mean(axis=0))
        return scales, weight / weight.sum(axis=0), evidence

    def along(
        self, answers: Answers, targets: Float[np.ndarray, "n q"], rows: Array
    ) -> Float[np.ndarray, "r q"]:
        """Return what of ``answers.along`` the measurements at some of the fitted spots are answerable for.

        The answers are linear in what was measured, once it is known how noisy that is.
        """
        centred = (targets[rows] - answers.mean).astype(self.turn.dtype, copy=False)
        root = np.sqrt(self.power).astype(self.turn.dtype)
        return np.asarray(self.turn[rows].T @ centred * answers.inverse * root[:, None])


def precision(spots: int) -> type[np.floating[Any]]:
    """Return the precision in which a covariance of so many fitted spots is worked out."""
    return np.float64 if spots < _DOUBLE else np.float32


def _seen(power: Array, turn: Array) -> Array:
    """Return ``Spectrum.seen``; directions are squared piece by piece."""
    weights = (1 / (power[:, None] + RATIOS) - 1 / RATIOS).astype(turn.dtype)
    found = np.empty((len(turn), len(RATIOS)), dtype=turn.dtype)
    for part in runs(len(turn), _AT_ONCE):
        found[part] = turn[part] ** 2 @ weights
    return found


def _eigen(matrix: Array, device: str) -> tuple[Array, Array]:
    """Return eigenvalues worth keeping, largest first, and eigenvectors; on a GPU where there is one.

    Of the matrix, its lower triangle is read: the upper one is the same but for rounding.
    """
    if device.startswith("cuda"):
        import torch

        found = torch.linalg.eigh(torch.as_tensor(matrix, device=device))
        values, vectors = (part.cpu().numpy() for part in found)
    else:
        from scipy.linalg import eigh

        values, vectors = eigh(matrix, driver="evd", check_finite=False)
    values = values.astype(np.float64)
    lost = int(np.searchsorted(values, _LEAST_POWER, side="right"))
    return values[lost:][::-1].copy(), np.ascontiguousarray(vectors[:, lost:][:, ::-1])
