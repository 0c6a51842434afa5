"""Gaussian processes of one covariance for many targets at once, each with its own noise-to-signal ratio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import runs
from histosge.prediction.evidence_ridge import log_marginal_likelihood

from .left_out_rows import LeftOutRows, LeftOutTerm, change_of_inverse, on_every_second
from .projected import Members, Posterior, Projected

__all__ = [
    "NOISE_RATIOS",
    "Eigendecomposition",
    "eigen_of",
    "inverse_diagonals_of",
    "inverse_root",
    "precision",
]

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
# ratios of less posterior probability are left out of the averages that need a computation each
_LEAST_PROBABILITY = 1e-3


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
    unresolved
        Prior variance of each training spot that inducing points do not carry, in units of a target's prior variance;
        ``None`` where the process is exact.
    spots
        Number of training spots where ``eigenvectors`` has rows of some of them only: targets are then given as
        :class:`~.projected.Projected`. 0: it has all.
    """

    eigenvalues: Float[np.ndarray, " r"]
    eigenvectors: Float[np.ndarray, "n r"]
    dual: Float[np.ndarray, "m r"]
    inverse_diagonals: Float[np.ndarray, "n l"]
    unresolved: Float[np.ndarray, " n"] | None = None
    spots: int = 0

    @classmethod
    def exact(cls, covariance: Float[np.ndarray, "n n"], device: str = "cpu") -> Eigendecomposition:
        """Decompose the whole covariance; the training spots are the inducing points.

        From 1000 spots on in single precision, in half the time: maps change by less than 0.002 of their own standard
        deviation.
        """
        dtype = precision(len(covariance))
        eigenvalues, eigenvectors = eigen_of(covariance.astype(dtype, copy=False), device)
        dual = eigenvectors / np.sqrt(eigenvalues).astype(dtype)
        return cls(eigenvalues, eigenvectors, dual, inverse_diagonals_of(eigenvalues, eigenvectors))

    @classmethod
    def nystrom(
        cls,
        covariance: Float[np.ndarray, "n m"],
        inducing: Float[np.ndarray, "m m"],
        device: str = "cpu",
        *,
        variance: Float[np.ndarray, " n"] | None = None,
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
        variance
            Prior variance of the training spots; what the inducing points carry of it is less.
        """
        back = inverse_root(inducing)
        features = covariance @ back.astype(covariance.dtype)
        eigenvalues, rotation = eigen_of(np.asarray(features.T @ features, dtype=np.float64), device)
        eigenvectors = features @ (rotation / np.sqrt(eigenvalues)).astype(features.dtype)
        carried = eigenvectors**2 @ eigenvalues.astype(features.dtype)
        unresolved = None if variance is None else np.maximum(variance - carried, 0.0)
        diagonals = inverse_diagonals_of(eigenvalues, eigenvectors)
        return cls(eigenvalues, eigenvectors, back @ rotation, diagonals, unresolved)

    def projected(self, targets: Float[np.ndarray, "n q"] | Projected) -> Projected:
        """Return targets as they are projected on the eigenvectors."""
        return targets if isinstance(targets, Projected) else Projected.of(targets, self.eigenvectors)

    def posterior(self, targets: Float[np.ndarray, "n q"] | Projected) -> Posterior:
        """Return the posterior of targets measured at the training spots."""
        dtype, of_targets = self.eigenvectors.dtype, self.projected(targets)
        centred, projections = of_targets.centred, of_targets.projections
        inverses = (1 / (self.eigenvalues[:, None] + NOISE_RATIOS)).astype(dtype)
        variances, weight, log_likelihood = self._noise_posterior(of_targets)
        noise = (variances * weight * NOISE_RATIOS[:, None]).sum(axis=0)
        signal = (variances * weight).sum(axis=0)
        noise_inverse = ((1 / NOISE_RATIOS) @ weight).astype(dtype)
        weight_single = weight.astype(dtype)
        inverse = inverses @ weight_single
        # outside the eigenvectors the covariance is 0, and the inverse is that of the noise alone
        diagonal = self.inverse_diagonals @ weight_single + noise_inverse
        solved = self.eigenvectors @ (projections * (inverse - noise_inverse)) + noise_inverse * centred
        # leave-one-out prediction (Eq. 12; Rasmussen & Williams 2006, Eq. 5.12)
        left_out = of_targets.targets - solved / diagonal
        projections = projections * np.sqrt(self.eigenvalues).astype(dtype)[:, None]
        projections *= inverse
        return Posterior(
            of_targets.mean,
            projections,
            self.eigenvalues,
            inverse,
            signal_variance=signal,
            noise_variance=noise,
            variance_reduction=self._variance_reduction(inverses, variances * weight, signal),
            log_marginal_likelihood=log_likelihood,
            left_out=left_out,
        )

    def left_out(
        self,
        targets: Float[np.ndarray, "n q"] | Projected,
        rows: Array,
        sections: Int[np.ndarray, " n"] | None = None,
        members: Members | None = None,
    ) -> Float[np.ndarray, "l q"]:
        """Return the prediction at ``rows`` from all other spots, less the mean of the *other* spots of the section.

        The prediction without spot i is averaged over the noise-to-signal ratio, and centred on the mean of the others
        (Eq. 12 of docs/method.md). With the mean of all spots, a target without signal would have a correlation of −1
        with its predictions: the mean of the others is low where the spot is high.

        Parameters
        ----------
        targets
            Measured at all training spots.
        rows
            Training spots to predict.
        sections
            Index of the section of each spot; ``None``: all are in one section.
        members
            Sections of all training spots, where the eigenvectors have some of them only.
        """
        return self.left_out_sum(((1.0, self.projected(targets)),), rows, sections, members)

    def left_out_sum(
        self,
        parts: Sequence[tuple[float, Projected]],
        rows: Array,
        sections: Int[np.ndarray, " n"] | None = None,
        members: Members | None = None,
    ) -> Float[np.ndarray, "l q"]:
        """Return a weighted sum of what :meth:`left_out` returns of several targets.

        Parameters
        ----------
        parts
            Weights and targets, as many in each; those without factors may follow those that they were taken from.
        rows, sections, members
            As for :meth:`left_out`.
        """
        sections = np.zeros(len(self.eigenvectors), dtype=np.intp) if sections is None else sections
        # what a change of the mean of its section changes at each spot, for each ratio
        members = Members.of(sections, self.eigenvectors) if members is None else members
        at_rows, terms = self._at(rows), list[LeftOutTerm]()
        for factor, part in parts:
            weight = self._probability(part)
            # in double precision there are few spots, and all ratios take no time
            weight = weight if self.eigenvectors.dtype == np.float64 else on_every_second(weight)
            if part.less is None or not terms:
                smoothed = at_rows.smoothed(part.projections)
            else:
                factors, loadings = part.less
                smoothed = terms[-1].smoothed - at_rows.smoothed(factors) @ loadings
            terms.append(LeftOutTerm(part.centred[rows], part.projections, smoothed, factor * weight))
        used = np.flatnonzero(np.any([term.weight.any(axis=1) for term in terms], axis=0))
        at = sections[rows]
        own = at_rows.own(members.projections, at, members.others(at), used)
        return at_rows.predict(terms, own)

    def left_out_variance(self, targets: Float[np.ndarray, "n q"] | Projected) -> Float[np.ndarray, "n q"]:
        """Return the leave-one-out variance of the signal at each training spot (Eq. 12 of docs/method.md).

        By the law of total variance: the mean over the noise-to-signal ratio of the variance (Rasmussen & Williams
        2006, Eq. 5.12), and the variance over the ratio of the prediction.
        """
        of_targets = self.projected(targets)
        centred, rows = of_targets.centred, np.arange(len(of_targets.centred))
        signal, _, _ = self._noise_posterior(of_targets)
        missing = 0.0 if self.unresolved is None else self.unresolved[:, None]
        within, mean, square = np.zeros((3, *centred.shape))
        for index, active, weight, solved in self._solved(of_targets, rows):
            diagonal, prior = self._inverse_diagonal(rows, index), signal[index, active]
            prediction = centred[:, active] - solved / diagonal
            within[:, active] += (weight * prior) * np.maximum(
                1 / diagonal - NOISE_RATIOS[index] + missing, 0
            )
            mean[:, active] += weight * prediction
            square[:, active] += weight * prediction**2
        return np.asarray(within + np.maximum(square - mean**2, 0.0))

    def deviation_between_ratios(
        self, targets: Float[np.ndarray, "n q"] | Projected
    ) -> Float[np.ndarray, "r q"]:
        """Return coefficients along the eigenvectors whose squared prediction is the variance between ratios.

        The posterior mean differs between noise-to-signal ratios. Over the ratios it moves almost along one line, the
        first principal component of the coefficients, which is scaled to carry the whole variance at the training
        spots.
        """
        dtype, of_targets = self.eigenvectors.dtype, self.projected(targets)
        projections = of_targets.projections
        _, weight, _ = self._noise_posterior(of_targets)
        inverses = 1 / (self.eigenvalues[:, None] + NOISE_RATIOS)
        deviations = np.empty(projections.shape)
        for target, column in enumerate(projections.T):
            shrunk = inverses - (inverses @ weight[:, target])[:, None]
            shrunk *= (self.eigenvalues * column)[:, None] * np.sqrt(weight[:, target])
            values, axes = np.linalg.eigh(shrunk.T @ shrunk)
            # scaled: the square of the first component, times the sum of all over the first, is the whole variance
            share = max(values[-1], 0.0) / max(values.sum(), 1e-300)
            deviations[:, target] = shrunk @ axes[:, -1] / np.sqrt(share if share > 0 else 1.0)
        # along eigenvectors as ``dual`` takes them, which are divided by the root of the eigenvalue
        return np.asarray((deviations / np.sqrt(self.eigenvalues)[:, None]).astype(dtype))

    def _solved(self, targets: Projected, rows: Array) -> Iterator[tuple[int, Array, Array, Array]]:
        """Yield each ratio that is probable for some targets: these, their weights, and their solution at rows."""
        centred, projections = targets.centred, targets.projections
        weight = self._probability(targets)
        for index in np.flatnonzero(weight.any(axis=1)).tolist():
            active = np.flatnonzero(weight[index])
            solved = self._times_inverse(projections[:, active], centred[:, active], rows, index)
            yield index, active, weight[index, active].astype(centred.dtype), solved

    def _probability(self, targets: Projected) -> Float[np.ndarray, "l q"]:
        """Return the posterior probability of each ratio for each target; 0 where it is small."""
        _, weight, _ = self._noise_posterior(targets)
        weight = np.where(weight < _LEAST_PROBABILITY, 0.0, weight)
        return np.asarray(weight / weight.sum(axis=0))

    def _at(self, rows: Array) -> LeftOutRows:
        """Return the inverse at ``rows``; all rows in their order need no copy."""
        everything = len(rows) == len(self.eigenvectors) and bool((np.diff(rows) == 1).all())
        vectors, diagonals = self.eigenvectors, self.inverse_diagonals
        return LeftOutRows(
            self.eigenvalues,
            vectors if everything else vectors[rows],
            diagonals if everything else diagonals[rows],
            NOISE_RATIOS,
        )

    def _times_inverse(self, projections: Array, values: Array, rows: Array, ratio: int) -> Array:
        """Return the inverse of covariance and noise times some columns, at ``rows``."""
        noise = NOISE_RATIOS[ratio]
        change = change_of_inverse(self.eigenvalues, noise, values.dtype)
        return np.asarray(
            self.eigenvectors[rows, : len(change)] @ (change * projections[: len(change)])
            + values[rows] / noise
        ).astype(values.dtype, copy=False)

    def _inverse_diagonal(self, rows: Array, ratio: int) -> Array:
        """Return the diagonal of the inverse of covariance and noise at ``rows``, as a column."""
        return np.asarray(self.inverse_diagonals[rows, ratio] + 1 / NOISE_RATIOS[ratio])[:, None]

    def _variance_reduction(self, inverses: Array, prior: Array, signal: Array) -> Array:
        """Return the share of the prior variance that measurements remove, ratios weighted by their prior variance."""
        share = prior / np.maximum(signal, np.finfo(np.float64).tiny)
        return np.asarray(self.eigenvalues[:, None] * (inverses @ share.astype(inverses.dtype)))

    def contribution(
        self, posterior: Posterior, targets: Float[np.ndarray, "n q"] | Projected, rows: Array
    ) -> Float[np.ndarray, "r q"]:
        """Return the part of the posterior's projections that the measurements at ``rows`` make.

        Given the noise-to-signal ratio, the posterior mean is linear in the measurements.
        """
        root = np.sqrt(self.eigenvalues).astype(self.eigenvectors.dtype)
        of_targets = self.projected(targets)
        if of_targets.auxiliary is not None:
            part = of_targets.auxiliary
        elif self.spots:
            # sums over all spots, of which none is of another section
            part = np.zeros_like(posterior.projections)
        else:
            part = self.eigenvectors[rows].T @ of_targets.centred[rows]
        return np.asarray(part * posterior.inverse * root[:, None])

    def _noise_posterior(self, targets: Projected) -> tuple[Array, Array, Array]:
        """Return signal variances and posterior weights on the grid of ratios, and the averaged log likelihood."""
        projections = targets.projections
        inside = np.einsum("ij,ij->j", projections, projections, dtype=np.float64)
        residual = np.maximum(targets.total - inside, 0.0)
        logs, variances = log_marginal_likelihood(
            self.eigenvalues,
            projections**2,
            residual=residual,
            noise_ratios=NOISE_RATIOS,
            # the mean took one of the degrees of freedom. The restricted likelihood, which weighs that direction by
            # the covariance (Cressie 1993, § 2.6.1), lost 1 % of r on halves of her2st C2 and C5
            n=max((self.spots or len(self.eigenvectors)) - 1, 1),
        )
        # relative to the best, so that the exponential neither overflows nor vanishes
        best = logs.max(axis=0)
        weight = np.exp(logs - best)
        log_likelihood = best + np.log(weight.mean(axis=0))
        return variances, weight / weight.sum(axis=0), log_likelihood


def inverse_root(inducing: Float[np.ndarray, "m m"]) -> Float[np.ndarray, "m m"]:
    """Return the matrix that makes covariances with inducing points features whose products are Eq. 13."""
    from scipy.linalg import cholesky, solve_triangular

    jitter = _JITTER * np.trace(inducing) / len(inducing)
    root = cholesky(inducing + jitter * np.eye(len(inducing)), lower=True)
    return np.asarray(solve_triangular(root, np.eye(len(root)), lower=True, check_finite=False).T)


def precision(spots: int) -> type[np.floating[Any]]:
    """Return the precision in which the covariance of so many training spots is computed."""
    return np.float64 if spots < _DOUBLE_PRECISION_SPOTS else np.float32


def inverse_diagonals_of(eigenvalues: Array, eigenvectors: Array) -> Array:
    """Return ``Eigendecomposition.inverse_diagonals``, some spots at a time."""
    weights = (1 / (eigenvalues[:, None] + NOISE_RATIOS) - 1 / NOISE_RATIOS).astype(eigenvectors.dtype)
    diagonals = np.empty((len(eigenvectors), len(NOISE_RATIOS)), dtype=eigenvectors.dtype)
    for part in runs(len(eigenvectors), _BLOCK):
        diagonals[part] = eigenvectors[part] ** 2 @ weights
    return diagonals


def eigen_of(matrix: Array, device: str) -> tuple[Array, Array]:
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
