"""Gaussian processes of one covariance for many targets at once, each with its own noise-to-signal ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.models.blocks import runs
from histosge.prediction.evidence_ridge import log_marginal_likelihood

__all__ = ["NOISE_RATIOS", "Eigendecomposition", "Posterior", "precision"]

# noise-to-signal ratios; log-spaced, because the likelihood is flat on this scale
NOISE_RATIOS = np.geomspace(1e-2, 1e4, 28)
# eigenvalues below a tenth of the least noise are lost in noise whatever is measured
_LEAST_EIGENVALUE = 0.1 * NOISE_RATIOS[0]
# added to the diagonal of the covariance of inducing points, relative to its mean, against rounding
_JITTER = 1e-6
# below so many spots the computation is in double precision
_DOUBLE_PRECISION_SPOTS = 1000
# spots whose eigenvector entries are squared at a time
_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Posterior of some targets, averaged over their noise-to-signal ratios (Eq. 9 to 12 of docs/method.md).

    The ratio has a posterior of its own on the grid ``NOISE_RATIOS``. Where few spots cannot separate signal from
    noise, a single best ratio would be overconfident either way.

    Parameters
    ----------
    mean
        Of each target over the spots.
    projections
        Coefficients of the posterior mean along the eigenvectors.
    eigenvalues
        Of the covariance.
    inverse
        1 / (λ + ρ) along each eigenvector, one column per target.
    inverse_diagonal
        Diagonal of the inverse of covariance and noise, at the training spots.
    signal_variance
        Prior variance of the signal of each target.
    noise_variance
        Variance of one measurement around the signal.
    log_marginal_likelihood
        Averaged over the ratio.
    left_out
        Leave-one-out prediction of each training spot.
    """

    mean: Float[np.ndarray, " q"]
    projections: Float[np.ndarray, "r q"]
    eigenvalues: Float[np.ndarray, " r"]
    inverse: Float[np.ndarray, "r q"]
    inverse_diagonal: Float[np.ndarray, "n q"]
    signal_variance: Float[np.ndarray, " q"]
    noise_variance: Float[np.ndarray, " q"]
    log_marginal_likelihood: Float[np.ndarray, " q"]
    left_out: Float[np.ndarray, "n q"]

    @property
    def variance_reduction(self) -> Float[np.ndarray, "r q"]:
        """Share of the prior variance along each eigenvector that the measurements remove, one column per target."""
        return np.asarray(self.eigenvalues[:, None] * self.inverse)

    @property
    def left_out_variance(self) -> Float[np.ndarray, "n q"]:
        """Leave-one-out variance of the signal at each training spot (Rasmussen & Williams 2006, Eq. 5.12)."""
        total = self.signal_variance / self.inverse_diagonal
        return np.asarray(np.maximum(total - self.noise_variance, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Eigendecomposition:
    """Eigenvalues and eigenvectors of the covariance of the training spots.

    Parameters
    ----------
    eigenvalues
        Largest first.
    eigenvectors
        Orthonormal, one a column.
    dual
        m × r: from covariances with the inducing points to coordinates along the eigenvectors.
    inverse_diagonals
        For each training spot and each of ``NOISE_RATIOS`` the diagonal of the inverse of covariance and noise, less
        1/ρ, which is the inverse of the noise alone.
    """

    eigenvalues: Float[np.ndarray, " r"]
    eigenvectors: Float[np.ndarray, "n r"]
    dual: Float[np.ndarray, "m r"]
    inverse_diagonals: Float[np.ndarray, "n l"]

    @classmethod
    def exact(cls, covariance: Float[np.ndarray, "n n"], device: str = "cpu") -> Eigendecomposition:
        """Decompose the whole covariance; the training spots are the inducing points.

        From 1000 spots on in single precision, in half the time: maps change by less than 0.002 of their own standard
        deviation.
        """
        dtype = precision(len(covariance))
        eigenvalues, eigenvectors = _eigen(covariance.astype(dtype, copy=False), device)
        dual = eigenvectors / np.sqrt(eigenvalues).astype(dtype)
        return cls(eigenvalues, eigenvectors, dual, _inverse_diagonals(eigenvalues, eigenvectors))

    @classmethod
    def nystrom(
        cls,
        covariance: Float[np.ndarray, "n m"],
        inducing: Float[np.ndarray, "m m"],
        device: str = "cpu",
    ) -> Eigendecomposition:
        """Decompose the low-rank covariance that inducing points carry.

        Eq. 13 of docs/method.md (Nyström; Quiñonero-Candela & Rasmussen 2005).

        Parameters
        ----------
        covariance
            Of the training spots with the inducing points.
        inducing
            Of the inducing points with one another.
        device
            ``"cuda"`` computes the eigenvectors there.
        """
        from scipy.linalg import cholesky, solve_triangular

        jitter = _JITTER * np.trace(inducing) / len(inducing)
        root = cholesky(inducing + jitter * np.eye(len(inducing)), lower=True)
        back = solve_triangular(root, np.eye(len(root)), lower=True, check_finite=False).T
        features = covariance @ back.astype(covariance.dtype)
        eigenvalues, rotation = _eigen(np.asarray(features.T @ features, dtype=np.float64), device)
        eigenvectors = features @ (rotation / np.sqrt(eigenvalues)).astype(features.dtype)
        return cls(eigenvalues, eigenvectors, back @ rotation, _inverse_diagonals(eigenvalues, eigenvectors))

    def posterior(self, targets: Float[np.ndarray, "n q"]) -> Posterior:
        """Return the posterior of targets measured at the training spots."""
        dtype = self.eigenvectors.dtype
        mean = targets.mean(axis=0)
        centred = (targets - mean).astype(dtype, copy=False)
        projections = self.eigenvectors.T @ centred
        inverses = (1 / (self.eigenvalues[:, None] + NOISE_RATIOS)).astype(dtype)
        variances, weight, log_likelihood = self._noise_posterior(centred, projections)
        noise = (variances * weight * NOISE_RATIOS[:, None]).sum(axis=0)
        noise_inverse = ((1 / NOISE_RATIOS) @ weight).astype(dtype)
        weight_single = weight.astype(dtype)
        inverse = inverses @ weight_single
        # outside the eigenvectors the covariance is 0, and the inverse is that of the noise alone
        diagonal = self.inverse_diagonals @ weight_single + noise_inverse
        solved = self.eigenvectors @ (projections * (inverse - noise_inverse)) + noise_inverse * centred
        # leave-one-out prediction (Eq. 12; Rasmussen & Williams 2006, Eq. 5.12)
        left_out = targets - solved / diagonal
        projections *= np.sqrt(self.eigenvalues).astype(dtype)[:, None]
        projections *= inverse
        return Posterior(
            mean,
            projections,
            self.eigenvalues,
            inverse,
            inverse_diagonal=diagonal,
            signal_variance=(variances * weight).sum(axis=0),
            noise_variance=noise,
            log_marginal_likelihood=log_likelihood,
            left_out=left_out,
        )

    def contribution(
        self, posterior: Posterior, targets: Float[np.ndarray, "n q"], rows: Array
    ) -> Float[np.ndarray, "r q"]:
        """Return the part of the posterior's projections that the measurements at ``rows`` make.

        Given the noise-to-signal ratio, the posterior mean is linear in the measurements.
        """
        centred = (targets[rows] - posterior.mean).astype(self.eigenvectors.dtype, copy=False)
        root = np.sqrt(self.eigenvalues).astype(self.eigenvectors.dtype)
        return np.asarray(self.eigenvectors[rows].T @ centred * posterior.inverse * root[:, None])

    def _noise_posterior(self, centred: Array, projections: Array) -> tuple[Array, Array, Array]:
        """Return signal variances and posterior weights on the grid of ratios, and the averaged log likelihood."""
        # thousands of terms: summed in double precision
        total, inside = (
            np.einsum("ij,ij->j", part, part, dtype=np.float64) for part in (centred, projections)
        )
        residual = np.maximum(total - inside, 0.0)
        logs, variances = log_marginal_likelihood(
            self.eigenvalues,
            projections**2,
            residual=residual,
            noise_ratios=NOISE_RATIOS,
            n=len(self.eigenvectors),
        )
        # relative to the best, so that the exponential neither overflows nor vanishes
        best = logs.max(axis=0)
        weight = np.exp(logs - best)
        log_likelihood = best + np.log(weight.mean(axis=0))
        return variances, weight / weight.sum(axis=0), log_likelihood


def precision(spots: int) -> type[np.floating[Any]]:
    """Return the precision in which the covariance of so many training spots is computed."""
    return np.float64 if spots < _DOUBLE_PRECISION_SPOTS else np.float32


def _inverse_diagonals(eigenvalues: Array, eigenvectors: Array) -> Array:
    """Return ``Eigendecomposition.inverse_diagonals``, some spots at a time."""
    weights = (1 / (eigenvalues[:, None] + NOISE_RATIOS) - 1 / NOISE_RATIOS).astype(eigenvectors.dtype)
    diagonals = np.empty((len(eigenvectors), len(NOISE_RATIOS)), dtype=eigenvectors.dtype)
    for part in runs(len(eigenvectors), _BLOCK):
        diagonals[part] = eigenvectors[part] ** 2 @ weights
    return diagonals


def _eigen(matrix: Array, device: str) -> tuple[Array, Array]:
    """Return the eigenvalues worth keeping, largest first, and their eigenvectors; on a GPU where there is one.

    The lower triangle of the matrix is read: the upper one is the same but for rounding.
    """
    if device.startswith("cuda"):
        import torch

        on_device = torch.linalg.eigh(torch.as_tensor(matrix, device=device))
        values, vectors = (part.cpu().numpy() for part in on_device)
    else:
        from scipy.linalg import eigh

        values, vectors = eigh(matrix, driver="evd", check_finite=False)
    values = values.astype(np.float64)
    lost = int(np.searchsorted(values, _LEAST_EIGENVALUE, side="right"))
    return values[lost:][::-1].copy(), np.ascontiguousarray(vectors[:, lost:][:, ::-1])
