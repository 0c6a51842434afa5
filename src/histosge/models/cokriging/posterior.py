"""The posterior of all genes, carried by a few output factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import runs
from histosge.prediction.principal_components import principal_axes

from .eigensolver import Eigendecomposition
from .kernels import KernelInputs
from .loadings import Loadings
from .projected import Projected
from .targets import GeneTargets

__all__ = ["FactorPosterior"]

# spots × genes computed at a time on a core, and the fewest genes
_BLOCK, _LEAST_GENES = 800_000, 64
# eigenvectors that the predictive variance is computed along: all others change it little, and upwards
_VARIANCE_EIGENVECTORS = 600
# share of the posterior mean's sum of squares that the output factors carry
_SHARE = 0.9999


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
    deviation_dual
        From the same covariances to how far each posterior mean differs between noise-to-signal ratios, one standard
        deviation.
    left_out, left_out_variance
        Leave-one-out mean and variance of each factor at each training spot.
    """

    loadings: Float[np.ndarray, "k g"]
    dual: Float[np.ndarray, "m k"]
    variance_dual: Float[np.ndarray, "m r"]
    variance_reduction: Float[np.ndarray, "r k"]
    prior_variance: Float[np.ndarray, " k"]
    deviation_dual: Float[np.ndarray, "m k"]
    left_out: Float[np.ndarray, "n k"]
    left_out_variance: Float[np.ndarray, "n k"]

    @classmethod
    def solve(
        cls,
        eigen: Eigendecomposition,
        values: GeneTargets,
        loadings: Loadings,
        *,
        gene_weight: float,
        residual_weight: float = 0.0,
        most: int,
        auxiliary_spots: Int[np.ndarray, " l"],
        axes: Float[np.ndarray, "k g"] | None = None,
    ) -> tuple[FactorPosterior, Float[np.ndarray, "m k"]]:
        """Krige the factors, and genes by themselves; carry the sum by output factors (Eq. 15).

        The second value is the part of ``dual`` that the measurements at ``auxiliary_spots`` contribute.

        Parameters
        ----------
        eigen
            Of the covariance of the training spots.
        values
            Standardised expression.
        loadings
            Those of the factors, shrunken.
        gene_weight
            Weight of each gene kriged by itself, beside the factors.
        residual_weight
            Weight of what the factors leave of each gene, kriged by itself.
        most
            At most this many output factors.
        auxiliary_spots
            Rows of the spots of auxiliary sections.
        axes
            Loadings of the output factors, orthonormal; ``None``: those that carry most of the sum.
        """
        scores = eigen.projected(values.along(loadings.axes))
        shrunken = (1 - gene_weight) * loadings.shrunken
        sums = [part @ shrunken.astype(part.dtype) for part in _kriged(eigen, scores, auxiliary_spots)]

        def add_genes(genes: slice) -> None:
            whole = eigen.projected(values.of_genes(genes))
            left = values.left(whole, scores, loadings, genes)
            for weight, targets in ((gene_weight, whole), (residual_weight, left)):
                if weight > 0:
                    by_gene = _kriged(eigen, targets, auxiliary_spots)
                    for total, part in zip(sums, by_gene, strict=True):
                        total[:, genes] += weight * part

        if gene_weight > 0 or residual_weight > 0:
            map_parts(add_genes, _gene_blocks(*values.shape))
        projections, left_out, *auxiliary = sums
        # weighted by the root of the eigenvalues, sums of squares of projections are those of the posterior mean
        root = np.sqrt(eigen.eigenvalues).astype(projections.dtype)
        axes = principal_axes(root[:, None] * projections, most, share=_SHARE) if axes is None else axes
        # variances are those of the output factors kriged as targets of their own: factors are taken as independent
        output_scores = values.along(axes)
        uncertainty = eigen.posterior(output_scores)
        to_factors = axes.T.astype(projections.dtype)
        dual = eigen.dual @ (projections @ to_factors)
        posterior = cls(
            axes,
            dual,
            variance_dual=eigen.dual[:, :_VARIANCE_EIGENVECTORS].astype(np.float32),
            variance_reduction=uncertainty.variance_reduction[:_VARIANCE_EIGENVECTORS],
            prior_variance=uncertainty.signal_variance,
            deviation_dual=(eigen.dual @ eigen.deviation_between_ratios(output_scores)).astype(np.float32),
            left_out=left_out @ axes.T,
            left_out_variance=eigen.left_out_variance(output_scores),
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
        single = covariance.astype(np.float32, copy=False)
        along = single @ self.variance_dual
        # by the law of total variance: of the mean over the noise-to-signal ratio, and between ratios
        variance = self.prior_variance * np.maximum(prior[:, None] - along**2 @ self.variance_reduction, 0.0)
        variance += (single @ self.deviation_dual) ** 2
        return covariance @ self.dual, np.sqrt(variance)

    def summary(self, inducing: KernelInputs) -> dict[str, int]:
        """Return how many output factors and inducing points there are."""
        return {"output_factors": len(self.prior_variance), "inducing_points": len(inducing)}

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {f"posterior.{item.name}": getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FactorPosterior:
        """Return the posterior whose :meth:`arrays` these are."""
        return cls(**{item.name: arrays[f"posterior.{item.name}"] for item in fields(cls)})


def _gene_blocks(spots: int, genes: int) -> Iterator[slice]:
    return runs(genes, max(_LEAST_GENES, _BLOCK // max(spots, 1)))


def _kriged(eigen: Eigendecomposition, targets: Array | Projected, auxiliary_spots: Array) -> list[Array]:
    """Return projections and leave-one-out predictions of targets, and the projections owed to auxiliary spots."""
    posterior = eigen.posterior(targets)
    kriged = [posterior.projections, posterior.left_out - posterior.mean]
    if len(auxiliary_spots):
        kriged.append(eigen.contribution(posterior, targets, auxiliary_spots))
    return kriged
