"""The posterior of all genes, carried by a few output factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.metrics.pearson import pearson
from histosge.models.blocks import runs
from histosge.prediction.calibration import calibration_factor, coverage, pooled_coverage
from histosge.prediction.factored import Basis
from histosge.prediction.principal_components import principal_axes
from histosge.section.inputs import Samples

from .eigensolver import Eigendecomposition
from .inducing_points import evenly
from .standardise import Standardisation

__all__ = ["FactorPosterior", "basis_of"]

# spots × genes computed at a time on a core, and the fewest genes
_BLOCK, _LEAST_GENES = 800_000, 64
# eigenvectors that the predictive variance is computed along: all others change it little, and upwards
_VARIANCE_EIGENVECTORS = 600
# share of the posterior mean's sum of squares that the output factors carry
_SHARE = 0.9999
# measurement noise is at least this share of the squared error: no gene is measured without noise
_LEAST_NOISE = 0.05
# training spots of the section to predict that calibration needs; fewer do not determine the tails
_LEAST_SPOTS = 40
# spots that noise, calibration and r_loo are computed from: enough for a quantile of each gene
_CALIBRATION_SPOTS = 5000


@dataclass(frozen=True, slots=True, eq=False)
class FactorPosterior:
    """Posterior of the output factors, in the scale of standardised expression.

    Parameters
    ----------
    loadings
        k × g, orthonormal: the direction of each output factor in the space of genes.
    dual
        m × k: from covariances with the inducing points to posterior means.
    variance_dual, variance_reduction
        From the same covariances to coordinates along the eigenvectors of the predictive variance, and the share of
        each factor's prior variance that the measurements remove along each.
    prior_variance
        Of each output factor.
    left_out, left_out_variance
        Leave-one-out mean and variance of each factor at each training spot.
    """

    loadings: Float[np.ndarray, "k g"]
    dual: Float[np.ndarray, "m k"]
    variance_dual: Float[np.ndarray, "m r"]
    variance_reduction: Float[np.ndarray, "r k"]
    prior_variance: Float[np.ndarray, " k"]
    left_out: Float[np.ndarray, "n k"]
    left_out_variance: Float[np.ndarray, "n k"]

    @classmethod
    def solve(
        cls,
        eigen: Eigendecomposition,
        values: Float[np.ndarray, "n g"],
        loadings: Float[np.ndarray, "f g"],
        *,
        gene_weight: float,
        most: int,
        auxiliary_spots: Int[np.ndarray, " l"],
    ) -> tuple[FactorPosterior, Float[np.ndarray, "m k"]]:
        """Krige the factors, and with ``gene_weight`` each gene by itself; carry the sum by output factors (Eq. 15).

        The second value is the part of ``dual`` that the measurements at ``auxiliary_spots`` contribute.

        Parameters
        ----------
        eigen
            Of the covariance of the training spots.
        values
            Standardised expression.
        loadings
            Its principal axes, which define the factors.
        gene_weight
            Weight of the gene-specific component.
        most
            At most this many output factors.
        auxiliary_spots
            Rows of the spots of auxiliary sections.
        """
        by_factor = _kriged(eigen, values @ loadings.T, auxiliary_spots)
        sums = [(1 - gene_weight) * part @ loadings.astype(part.dtype) for part in by_factor]

        def add_genes(genes: slice) -> None:
            by_gene = _kriged(eigen, values[:, genes], auxiliary_spots)
            for total, part in zip(sums, by_gene, strict=True):
                total[:, genes] += gene_weight * part

        if gene_weight > 0:
            map_parts(add_genes, runs(values.shape[1], max(_LEAST_GENES, _BLOCK // len(values))))
        projections, left_out, *auxiliary = sums
        # weighted by the root of the eigenvalues, sums of squares of projections are those of the posterior mean
        root = np.sqrt(eigen.eigenvalues).astype(projections.dtype)
        axes = principal_axes(root[:, None] * projections, most, share=_SHARE)
        # variances are those of the output factors kriged as targets of their own: factors are taken as independent
        uncertainty = eigen.posterior(values @ axes.T)
        along = min(_VARIANCE_EIGENVECTORS, len(eigen.eigenvalues))
        to_factors = axes.T.astype(projections.dtype)
        dual = eigen.dual @ (projections @ to_factors)
        posterior = cls(
            axes,
            dual,
            variance_dual=eigen.dual[:, :along].astype(np.float32),
            variance_reduction=uncertainty.variance_reduction[:along],
            prior_variance=uncertainty.signal_variance,
            left_out=left_out @ axes.T,
            left_out_variance=uncertainty.left_out_variance,
        )
        auxiliary_dual = eigen.dual @ (auxiliary[0] @ to_factors) if auxiliary else np.zeros_like(dual)
        return posterior, auxiliary_dual

    def predict(
        self, covariance: Float[np.ndarray, "b m"], prior: Float[np.ndarray, " b"]
    ) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, "b k"]]:
        """Return mean and standard deviation of each factor score at some locations (Eq. 16).

        Parameters
        ----------
        covariance
            Of the locations with the inducing points.
        prior
            Prior variance of each location, in units of a factor's prior variance.
        """
        along = covariance.astype(np.float32, copy=False) @ self.variance_dual
        variance = self.prior_variance * np.maximum(prior[:, None] - along**2 @ self.variance_reduction, 0.0)
        return covariance @ self.dual, np.sqrt(variance)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {f"posterior.{item.name}": getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FactorPosterior:
        """Return the posterior whose :meth:`arrays` these are."""
        return cls(**{item.name: arrays[f"posterior.{item.name}"] for item in fields(cls)})


def _kriged(eigen: Eigendecomposition, targets: Array, auxiliary_spots: Array) -> list[Array]:
    """Return projections and leave-one-out predictions of targets, and the projections owed to auxiliary spots."""
    posterior = eigen.posterior(targets)
    kriged = [posterior.projections, posterior.left_out - posterior.mean]
    if len(auxiliary_spots):
        kriged.append(eigen.contribution(posterior, targets, auxiliary_spots))
    return kriged


def basis_of(
    posterior: FactorPosterior, samples: Samples, standardisation: Standardisation
) -> tuple[Basis, dict[str, list[float]]]:
    """Return the genes in terms of output factors, in log1p(CP10k) of the first section, and the interval coverage.

    Noise (Eq. 17), calibration (Eq. 18) and r_loo of each gene come from leave-one-out predictions: of spots of the
    section to predict, where at least 40 were fitted. r_loo is a correlation within sections.
    """
    loadings = (posterior.loadings * standardisation.inverse_scale).T
    sections = samples.inputs.section_index
    target = np.flatnonzero(sections == 0)
    rows = target if len(target) >= _LEAST_SPOTS else np.arange(len(samples))
    rows = rows[evenly(len(rows), _CALIBRATION_SPOTS)]
    left_out, left_out_variance = posterior.left_out[rows], posterior.left_out_variance[rows]
    noise_sd, factor, r_loo = np.empty((3, len(samples.genes)))

    def calibrate(genes: slice) -> tuple[int, dict[str, list[float]]]:
        measured, means = samples.expression[rows, genes], standardisation.means[sections[rows], genes]
        # cut at 0 as predictions are, so that errors are those of the predictions
        expected = np.maximum(means + left_out @ loadings[genes].T, 0.0)
        error, signal_variance = measured - expected, left_out_variance @ (loadings[genes] ** 2).T
        squared = (error**2).mean(axis=0)
        noise = np.maximum(squared - signal_variance.mean(axis=0), _LEAST_NOISE * squared)
        sd = np.sqrt(signal_variance + noise)
        factor[genes] = calibration_factor(error, sd)
        noise_sd[genes] = np.sqrt(noise)
        r_loo[genes] = np.nan_to_num(pearson(measured - means, expected - means))
        return len(noise), coverage(error, sd, factor[genes])

    tables = map_parts(calibrate, runs(len(noise_sd), max(_LEAST_GENES, _BLOCK // len(rows))))
    basis = Basis(
        samples.genes,
        standardisation.means[0],
        loadings=loadings,
        noise_sd=noise_sd,
        calibration_factor=factor,
        r_loo=r_loo,
    )
    return basis, pooled_coverage(tables)
