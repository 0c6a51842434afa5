"""Targets projected on the eigenvectors, whole or as sums over blocks of spots, and their posterior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.types import Array, Float, Int

__all__ = ["Members", "Posterior", "Projected"]


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """Some targets: measured at the spots whose eigenvectors are there, and summed over all training spots.

    Parameters
    ----------
    targets
        Measured at the l spots of the eigenvectors.
    mean
        Over all training spots.
    centred
        ``targets`` less the mean, in the precision of the eigenvectors.
    projections
        Of the centred targets of all training spots on the eigenvectors.
    total
        Sum of squares of the centred targets over all training spots.
    auxiliary
        The part of ``projections`` that spots of auxiliary sections make; ``None`` where it is not known.
    less
        Projections of the factors, and their loadings, where these targets are others less their factors.
    """

    targets: Float[np.ndarray, "l q"]
    mean: Float[np.ndarray, " q"]
    centred: Float[np.ndarray, "l q"]
    projections: Float[np.ndarray, "r q"]
    total: Float[np.ndarray, " q"]
    auxiliary: Float[np.ndarray, "r q"] | None = None
    less: tuple[Float[np.ndarray, "r k"], Float[np.ndarray, "k q"]] | None = None

    def at(self, targets: Float[np.ndarray, "b q"]) -> Projected:
        """Return the same targets of mean 0, measured at other spots."""
        return replace(self, targets=targets, centred=targets)

    @classmethod
    def of(cls, targets: Float[np.ndarray, "n q"], eigenvectors: Float[np.ndarray, "n r"]) -> Projected:
        """Project targets that are measured at all training spots."""
        mean = targets.mean(axis=0)
        centred = (targets - mean).astype(eigenvectors.dtype, copy=False)
        # thousands of terms: summed in double precision
        total = np.einsum("ij,ij->j", centred, centred, dtype=np.float64)
        return cls(targets, mean, centred, eigenvectors.T @ centred, total)

    def without(self, factors: Projected, loadings: Float[np.ndarray, "k q"]) -> Projected:
        """Return what factors leave of targets that are measured at all training spots."""
        single = loadings.astype(self.centred.dtype)
        centred = self.centred - factors.centred @ single
        return Projected(
            self.targets - factors.targets @ loadings,
            self.mean - factors.mean @ loadings,
            centred,
            self.projections - factors.projections @ single,
            np.einsum("ij,ij->j", centred, centred, dtype=np.float64),
            less=(factors.projections, single),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Which spots are of which section, projected: what a change of the mean of a section changes at each spot.

    Parameters
    ----------
    members
        1 where a spot of the eigenvectors is of a section.
    projections
        Of the same over all training spots.
    number
        Training spots of each section.
    """

    members: Float[np.ndarray, "l s"]
    projections: Float[np.ndarray, "r s"]
    number: Int[np.ndarray, " s"]

    @classmethod
    def of(cls, sections: Int[np.ndarray, " n"], eigenvectors: Float[np.ndarray, "n r"]) -> Members:
        """Project the sections of all training spots."""
        members = (sections[:, None] == np.arange(sections.max() + 1)).astype(eigenvectors.dtype)
        return cls(members, eigenvectors.T @ members, np.bincount(sections))

    def others(self, sections: Array) -> Float[np.ndarray, "l 1"]:
        """Return how many other spots the section of each spot has, at least 1."""
        return np.asarray(np.maximum(self.number[sections, None] - 1, 1)).astype(self.members.dtype)


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
    signal_variance
        Prior variance of the signal of each target.
    noise_variance
        Variance of one measurement around the signal.
    variance_reduction
        Share of the prior variance along each eigenvector that the measurements remove, one column per target.
    log_marginal_likelihood
        Averaged over the ratio.
    left_out
        Prediction of each training spot without its own measurement, by the inverse averaged over the ratio. Limits
        of winsorising and loadings outside the panel are taken from it; what is *said* of accuracy is taken from
        :meth:`.eigensolver.Eigendecomposition.left_out`, which averages the predictions.
    """

    mean: Float[np.ndarray, " q"]
    projections: Float[np.ndarray, "r q"]
    eigenvalues: Float[np.ndarray, " r"]
    inverse: Float[np.ndarray, "r q"]
    signal_variance: Float[np.ndarray, " q"]
    noise_variance: Float[np.ndarray, " q"]
    variance_reduction: Float[np.ndarray, "r q"]
    log_marginal_likelihood: Float[np.ndarray, " q"]
    left_out: Float[np.ndarray, "n q"]
