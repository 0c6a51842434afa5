"""Ridge regression of many targets at once, the penalty of each target by marginal likelihood.

The model of one target is y = mean + X·w + noise with w ~ N(0, τ²) and noise ~ N(0, ρτ²): Bayesian linear regression,
which is ridge regression with penalty ρ, the noise-to-signal ratio (Rasmussen & Williams 2006, chapter 2). A Gaussian
process with kernel X·Xᵀ is the same model. ρ is chosen for each target on a grid, by the marginal likelihood (Eq. 10
of docs/method.md). Three things are built on it: a predictor with standard deviations (:class:`EvidenceRidge`),
leave-one-out predictions (:class:`RidgeDesign`), and the eigendecomposition of cokriging.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from histosge._runtime.types import Array, Float, Int

__all__ = ["EvidenceRidge", "RidgeDesign", "RidgeFit", "log_marginal_likelihood"]

# noise-to-signal ratios of EvidenceRidge; log-spaced, because the likelihood is flat on this scale
_NOISE_RATIOS = np.geomspace(1e-3, 1e4, 36)
# singular values below this part of the largest are rounding errors
_LEAST_SINGULAR = 1e-8
# a spot of leverage 1 is predicted by itself alone: its leave-one-out prediction is undefined
_LEAST_FREEDOM = 1e-6
_TINY = 1e-300
# features a spot, above which a matrix of spots × spots is decomposed
_WIDE = 4


def log_marginal_likelihood(
    eigenvalues: Float[np.ndarray, " r"],
    squares: Float[np.ndarray, "r g"],
    *,
    residual: Float[np.ndarray, " g"],
    noise_ratios: Float[np.ndarray, " l"],
    n: int,
) -> tuple[Float[np.ndarray, "l g"], Float[np.ndarray, "l g"]]:
    """Return the log marginal likelihood and the signal variance τ² of each target at each noise-to-signal ratio.

    Eq. 10 of docs/method.md, at the τ² of highest likelihood and without the constant. With the eigenvalues λ of X·Xᵀ,
    the projections p of a target on the eigenvectors, and ρ:
    τ² = (Σ p²/(λ + ρ) + residual/ρ)/n and log p = −½ (n log τ² + Σ log(λ + ρ) + (n − r) log ρ).

    Parameters
    ----------
    eigenvalues
        Those above 0; all n − r others are 0.
    squares
        Squared projections of the targets on the eigenvectors.
    residual
        Squared length of each target outside the eigenvectors.
    noise_ratios
        Above 0; infinity stands for a target without signal.
    n
        Degrees of freedom: the number of spots, less one where an intercept was fitted.
    """
    finite = np.isfinite(noise_ratios)
    ratios = noise_ratios[finite]
    # in the precision of the projections; sums of thousands of terms are in double precision from here on
    inverse = (1 / (eigenvalues[:, None] + ratios)).astype(squares.dtype, copy=False)
    explained = np.asarray(inverse.T @ squares, dtype=np.float64)
    variance = np.zeros((len(noise_ratios), squares.shape[1]))
    variance[finite] = (explained + residual / ratios[:, None]) / n
    # without signal the noise explains everything, and all powers of ρ cancel
    scale = variance.copy()
    scale[~finite] = (squares.sum(axis=0) + residual) / n
    determinant = np.zeros(len(noise_ratios))
    determinant[finite] = np.log(eigenvalues[:, None] + ratios).sum(axis=0)
    determinant[finite] += (n - len(eigenvalues)) * np.log(ratios)
    return -0.5 * (n * np.log(np.maximum(scale, _TINY)) + determinant[:, None]), variance


@dataclass(frozen=True, slots=True, eq=False)
class RidgeFit:
    """Ridge regressions of some targets on one design.

    Parameters
    ----------
    choice
        Index of each target's noise-to-signal ratio.
    coefficients
        d × g, of the columns of the design as they were decomposed.
    left_out
        n × g: the prediction of each row from all other rows, less the mean over all rows.
    """

    choice: Int[np.ndarray, " g"]
    coefficients: Float[np.ndarray, "d g"]
    left_out: Float[np.ndarray, "n g"]


@dataclass(frozen=True, slots=True, eq=False)
class _Hat:
    """The hat matrix of a design at each noise-to-signal ratio.

    Parameters
    ----------
    shrinkage
        Of the projections on each singular vector.
    left
        Left singular vectors along rows, in the precision of the targets, as what follows.
    freedom
        The inverse of 1 − leverage of each row.
    own
        What the row's own measurement is multiplied by in its leave-one-out prediction: leverage times ``freedom``.
    """

    shrinkage: Float[np.ndarray, "r l"]
    left: Float[np.ndarray, "r n"]
    freedom: Float[np.ndarray, "l n"]
    own: Float[np.ndarray, "l n"]


@dataclass(frozen=True, slots=True, eq=False)
class RidgeDesign:
    """Singular value decomposition of a design matrix, shared by the regressions of all targets.

    Parameters
    ----------
    left, singular, right
        The decomposition; singular values that are rounding errors are left out.
    eigenvalues
        Squared singular values in a unit that makes noise-to-signal ratios comparable between designs.
    intercept
        Whether the columns were centred, which costs one degree of freedom and gives every row a leverage of 1/n.
    hats
        What was computed of the hat matrix, by the noise-to-signal ratios and the precision: blocks of targets share
        it.
    """

    left: Float[np.ndarray, "n r"]
    singular: Float[np.ndarray, " r"]
    right: Float[np.ndarray, "r d"]
    eigenvalues: Float[np.ndarray, " r"]
    intercept: bool
    hats: dict[tuple[bytes, str], _Hat] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, columns: Float[np.ndarray, "n d"], *, unit: Literal["row", "column"], intercept: bool
    ) -> RidgeDesign:
        """Decompose a design matrix.

        Parameters
        ----------
        columns
            Explanatory variables.
        unit
            Ratios are in units of the sum of squares per row, or per column.
        intercept
            Centre the columns first.
        """
        n = len(columns)
        columns = columns - columns.mean(axis=0) if intercept else columns
        left, singular, right = np.linalg.svd(columns, full_matrices=False)
        scale = float((singular**2).sum()) / (n if unit == "row" else max(len(singular), 1))
        keep = singular > _LEAST_SINGULAR * max(singular[0], _TINY)
        left, singular, right = left[:, keep], singular[keep], right[keep]
        return cls(left, singular, right, eigenvalues=singular**2 / max(scale, _TINY), intercept=intercept)

    def fit(self, targets: Float[np.ndarray, "n g"], noise_ratios: Float[np.ndarray, " l"]) -> RidgeFit:
        """Regress centred targets, each with the noise-to-signal ratio of highest marginal likelihood.

        Leave-one-out predictions come from the diagonal of the hat matrix, without refitting; they are in the precision
        of the targets.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 9)[:, None]
        >>> fit = RidgeDesign.of(x, unit="row", intercept=True).fit(2 * x, np.array([1e-9, 1.0]))
        >>> fit.choice.tolist(), fit.coefficients.round(6).tolist()
        ([0], [[2.0]])
        """
        n, dtype = len(self.left), targets.dtype
        # the likelihood is flat, and in double precision whatever the targets are
        double = targets.astype(np.float64, copy=False)
        projections = self.left.T @ double
        squares = projections**2
        residual = np.maximum(np.einsum("ng,ng->g", double, double) - squares.sum(axis=0), 0.0)
        # the projection on the constant vector is 0 where the columns were centred
        degrees = max(n - self.intercept, 1)
        logs, _ = log_marginal_likelihood(
            self.eigenvalues, squares, residual=residual, noise_ratios=noise_ratios, n=degrees
        )
        choice, hat = logs.argmax(axis=0), self._hat(noise_ratios, dtype)
        shrunken = hat.shrinkage[:, choice] * projections
        # targets along rows, so that those of a target are neighbours in memory
        left_out = shrunken.T.astype(dtype) @ hat.left
        left_out *= hat.freedom[choice]
        left_out -= hat.own[choice] * targets.T
        return RidgeFit(choice, self.right.T @ (shrunken / self.singular[:, None]), left_out.T)

    def _hat(self, noise_ratios: Array, dtype: np.dtype[Any]) -> _Hat:
        key = (noise_ratios.tobytes(), dtype.str)
        if key not in self.hats:
            shrinkage = self.eigenvalues[:, None] / (self.eigenvalues[:, None] + noise_ratios)
            # the same for all targets of a ratio
            leverage = (self.left**2 @ shrinkage + self.intercept / len(self.left)).T
            freedom = 1 / np.maximum(1 - leverage, _LEAST_FREEDOM)
            own = (leverage * freedom).astype(dtype)
            self.hats[key] = _Hat(shrinkage, self.left.T.astype(dtype), freedom.astype(dtype), own)
        return self.hats[key]


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceRidge:
    """A fitted ridge regression of many genes that predicts means and standard deviations.

    Parameters
    ----------
    mean
        Of each gene.
    eigenvectors
        d × r: orthonormal axes in which the features are uncorrelated.
    eigenvalues
        Sum of squares of the features along each axis.
    weights
        r × g: coefficients along the axes.
    choice
        Index of each gene's noise-to-signal ratio.
    signal_variance
        τ² of each gene.
    """

    mean: Float[np.ndarray, " g"]
    eigenvectors: Float[np.ndarray, "d r"]
    eigenvalues: Float[np.ndarray, " r"]
    weights: Float[np.ndarray, "r g"]
    choice: Int[np.ndarray, " g"]
    signal_variance: Float[np.ndarray, " g"]

    @classmethod
    def fit(cls, features: Float[np.ndarray, "n d"], values: Float[np.ndarray, "n g"]) -> EvidenceRidge:
        """Fit the weights and choose the noise-to-signal ratio of each gene."""
        n = len(values)
        mean = values.mean(axis=0)
        centred = values - mean
        eigenvalues, eigenvectors = _principal_axes(features)
        projections = (features @ eigenvectors).T @ centred / np.sqrt(eigenvalues)[:, None]
        residual = np.maximum((centred**2).sum(axis=0) - (projections**2).sum(axis=0), 0.0)
        logs, _ = log_marginal_likelihood(
            eigenvalues, projections**2, residual=residual, noise_ratios=_NOISE_RATIOS, n=n
        )
        choice = logs.argmax(axis=0)
        ratio = _NOISE_RATIOS[choice]
        shrunk = np.sqrt(eigenvalues)[:, None] / (eigenvalues[:, None] + ratio)
        variance = (projections**2 / (eigenvalues[:, None] + ratio)).sum(axis=0) / n + residual / ratio / n
        return cls(
            mean,
            eigenvectors,
            eigenvalues,
            weights=shrunk * projections,
            choice=choice,
            signal_variance=variance,
        )

    @property
    def noise_ratios(self) -> Float[np.ndarray, " g"]:
        """Noise-to-signal ratio of each gene."""
        return np.asarray(_NOISE_RATIOS[self.choice])

    @property
    def coefficients(self) -> Float[np.ndarray, "d g"]:
        """Weights of the features as they came."""
        return np.asarray(self.eigenvectors @ self.weights)

    def predict(
        self, features: Float[np.ndarray, "b d"], unexplained: Float[np.ndarray, " b"] | None = None
    ) -> tuple[Float[np.ndarray, "b g"], Float[np.ndarray, "b g"]]:
        """Return means and standard deviations of a new measurement, noise included.

        Parameters
        ----------
        features
            At the locations.
        unexplained
            Prior variance, in units of τ², that the features of a location do not carry; ``None``: 0.
        """
        turned = features @ self.eigenvectors
        squares = turned**2
        used = np.unique(self.choice)
        # uncertainty of the weights, and the noise itself, for each noise-to-signal ratio in use
        parts = [
            squares @ (_NOISE_RATIOS[index] / (self.eigenvalues + _NOISE_RATIOS[index])) for index in used
        ]
        variance = np.stack(parts, axis=1)
        variance += _NOISE_RATIOS[used] + (0 if unexplained is None else unexplained[:, None])
        sd = np.sqrt(variance[:, np.searchsorted(used, self.choice)] * self.signal_variance)
        mean = self.mean + turned @ self.weights
        return mean.astype(np.float32), sd.astype(np.float32)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {f"ridge.{item.name}": getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> EvidenceRidge:
        """Return the regression whose :meth:`arrays` these are."""
        return cls(**{item.name: arrays[f"ridge.{item.name}"] for item in fields(cls)})


def _principal_axes(
    features: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "d r"]]:
    """Return the eigenvalues above 0 of XᵀX and its eigenvectors."""
    from scipy.linalg import eigh

    n, d = features.shape
    # of d × d, because there are fewer features than spots in most fits; of n × n where windows have thousands
    wide = d > _WIDE * n
    eigenvalues, vectors = eigh(features @ features.T if wide else features.T @ features)
    keep = eigenvalues > 1e-10 * max(eigenvalues[-1], _TINY)
    eigenvalues, vectors = eigenvalues[keep], vectors[:, keep]
    return eigenvalues, features.T @ vectors / np.sqrt(eigenvalues) if wide else vectors
