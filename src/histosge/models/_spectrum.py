"""Gaussian processes of one covariance for many targets at once, each with its own share of noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array, Float

__all__ = ["RATIOS", "Answers", "Spectrum"]

# noise over signal variance; log-spaced: the likelihood is flat on this scale
RATIOS = np.geomspace(1e-2, 1e4, 28)
# directions of less power than this (against the least noise) are lost in noise whatever is measured
_LEAST_POWER = 0.1 * RATIOS[0]
_JITTER = 1e-6
# spots that are worked out in double precision
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
    kept
        Share of the prior variance along each direction that measuring removes, one column a target.
    variance
        Signal variance of each target.
    noise
        Variance of one measurement around the signal.
    evidence
        Log marginal likelihood, averaged over the ratio.
    left_out
        Prediction of each fitted spot from all others.
    left_out_variance
        Variance of the signal there, the spot itself left out.
    """

    mean: Float[np.ndarray, " q"]
    along: Float[np.ndarray, "r q"]
    kept: Float[np.ndarray, "r q"]
    variance: Float[np.ndarray, " q"]
    noise: Float[np.ndarray, " q"]
    evidence: Float[np.ndarray, " q"]
    left_out: Float[np.ndarray, "n q"]
    left_out_variance: Float[np.ndarray, "n q"]


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
    """

    power: Float[np.ndarray, " r"]
    turn: Float[np.ndarray, "n r"]
    dual: Float[np.ndarray, "m r"]

    @classmethod
    def exact(cls, covariance: Float[np.ndarray, "n n"], device: str = "cpu") -> Spectrum:
        """Take all fitted spots as landmarks.

        Where they are many, in single precision, in half the time: maps change by less than 0.002 of their own
        deviation.
        """
        power, turn = _eigen(
            covariance.astype(np.float32) if len(covariance) > _DOUBLE else covariance, device
        )
        return cls(power, turn, turn / np.sqrt(power))

    @classmethod
    def sparse(
        cls, covariance: Float[np.ndarray, "n m"], landmarks: Float[np.ndarray, "m m"], device: str = "cpu"
    ) -> Spectrum:
        """Carry the process by landmarks (Nyström; Quiñonero-Candela & Rasmussen 2005).

        Parameters
        ----------
        covariance
            Of the fitted spots with the landmarks.
        landmarks
            Of the landmarks with one another.
        device
            ``"cuda"`` turns the matrix there.
        """
        from scipy.linalg import cholesky, solve_triangular

        jittered = landmarks + _JITTER * np.trace(landmarks) / len(landmarks) * np.eye(len(landmarks))
        root = cholesky(jittered, lower=True)
        back = solve_triangular(root, np.eye(len(root)), lower=True, check_finite=False).T
        features = covariance @ back.astype(covariance.dtype)
        power, turn = _eigen(np.asarray(features.T @ features, dtype=np.float64), device)
        directions = features @ (turn / np.sqrt(power)).astype(features.dtype)
        return cls(power, directions, back @ turn)

    def answer(self, targets: Float[np.ndarray, "n q"]) -> Answers:
        """Work out what targets say."""
        n, r = self.turn.shape
        kind = self.turn.dtype
        mean = targets.mean(axis=0)
        centred = targets - mean
        along = np.asarray(self.turn.T @ centred.astype(kind), dtype=np.float64)
        squares = along**2
        rest = np.maximum((centred**2).sum(axis=0) - squares.sum(axis=0), 0.0)
        by_ratio = 1 / (self.power[:, None] + RATIOS)
        scales = (by_ratio.T @ squares + rest / RATIOS[:, None]) / n
        determinant = np.log(self.power + RATIOS[:, None]).sum(axis=1) + (n - r) * np.log(RATIOS)
        logs = -0.5 * (n * np.log(np.maximum(scales, 1e-300)) + determinant[:, None])
        best = logs.max(axis=0)
        weight = np.exp(logs - best)
        evidence = best + np.log(weight.mean(axis=0))
        weight /= weight.sum(axis=0)
        inverse = by_ratio @ weight
        noise_inverse = (1 / RATIOS) @ weight
        variance, noise = (scales * weight).sum(axis=0), (scales * weight * RATIOS[:, None]).sum(axis=0)
        # the diagonal of the inverse, and the inverse times the targets; outside the directions there is noise alone
        beyond = inverse - noise_inverse
        diagonal = _squared_product(self.turn, by_ratio - 1 / RATIOS) @ weight + noise_inverse
        weighed = self.turn @ (along * beyond).astype(kind) + noise_inverse * centred
        left_out = targets - weighed / diagonal
        return Answers(
            mean,
            np.sqrt(self.power)[:, None] * along * inverse,
            self.power[:, None] * inverse,
            variance,
            noise,
            evidence,
            left_out,
            np.maximum(variance / diagonal - noise, 0.0),
        )

    def along(
        self, answers: Answers, targets: Float[np.ndarray, "n q"], rows: Array
    ) -> Float[np.ndarray, "r q"]:
        """Return what of ``answers.along`` the measurements at some of the fitted spots are answerable for.

        The answers are linear in what was measured, once it is known how noisy that is.
        """
        centred = (targets[rows] - answers.mean).astype(self.turn.dtype)
        along = np.asarray(self.turn[rows].T @ centred, dtype=np.float64)
        return np.asarray(along * answers.kept / np.sqrt(self.power)[:, None])


def _squared_product(matrix: Array, weights: Array) -> Array:
    """Return matrix² @ weights, squared piece by piece."""
    found = np.empty((len(matrix), weights.shape[1]))
    weights = weights.astype(matrix.dtype)
    for start in range(0, len(matrix), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] = matrix[part] ** 2 @ weights
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
