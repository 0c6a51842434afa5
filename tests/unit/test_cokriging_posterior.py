"""Output factors carry the posterior of all genes; noise, calibration and r_loo are those of the first section."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from cokriging_samples import DEPTH, EXPRESSION, ONE_SECTION, SAMPLES, N, kernel_inputs

from histosge.models.cokriging.eigensolver import Eigendecomposition
from histosge.models.cokriging.folds import Folds, LeftOut, folds_of
from histosge.models.cokriging.gene_statements import Statements, judged_rows
from histosge.models.cokriging.kernels import Covariance
from histosge.models.cokriging.loadings import Loadings, Shrinkage
from histosge.models.cokriging.posterior import FactorPosterior
from histosge.models.cokriging.standardise import Standardisation
from histosge.models.cokriging.targets import DenseTargets
from histosge.prediction.principal_components import principal_axes

NO_SPOTS = np.zeros(0, dtype=np.intp)
SPOTS = kernel_inputs(55.0, image=False)
COVARIANCE = Covariance.of(SPOTS, (200.0, 800.0), image_weight=0.0)
EIGEN = Eigendecomposition.exact(COVARIANCE(SPOTS, SPOTS))
STANDARDISATION = Standardisation.fit(EXPRESSION, DEPTH, sections=ONE_SECTION)
VALUES = STANDARDISATION.transform(EXPRESSION, ONE_SECTION)
STANDARDISATION_OF_TWO = Standardisation(
    np.vstack([STANDARDISATION.means] * 2), STANDARDISATION.scale, STANDARDISATION.weight
)


def solved(gene_weight: float, most: int = 64) -> FactorPosterior:
    """Return the posterior of all genes."""
    loadings = Loadings.plain(principal_axes(VALUES, 10))
    return FactorPosterior.solve(
        EIGEN, DenseTargets(VALUES), loadings, gene_weight=gene_weight, most=most, auxiliary_spots=NO_SPOTS
    )[0]


def test_gene_specific_components_are_kriged_genes() -> None:
    """With a gene weight of 1, output factors times loadings are the posterior means of each gene by itself."""
    posterior = solved(1.0)
    covariance = COVARIANCE(SPOTS, SPOTS)
    mean, _ = posterior.predict(covariance, COVARIANCE.variance(SPOTS))
    alone = EIGEN.posterior(VALUES)
    expected = covariance @ EIGEN.dual @ alone.projections
    # output factors carry 0.9999 of the sum of squares
    error = mean @ posterior.loadings - expected
    assert (error**2).mean() < 1e-3 * expected.var()


def test_output_factors_are_orthonormal_and_few() -> None:
    """Loadings are orthonormal, and no more than asked for."""
    posterior = solved(0.25, most=5)
    assert posterior.loadings.shape[0] == 5
    assert np.allclose(posterior.loadings @ posterior.loadings.T, np.eye(5), atol=1e-6)


def test_calibration_is_that_of_the_first_section() -> None:
    """Errors of an auxiliary section change neither noise nor r_loo where the first section has enough spots."""
    posterior = solved(0.25)
    sections = np.repeat([0, 1], [N // 2, N - N // 2])
    samples = replace(SAMPLES, inputs=replace(SAMPLES.inputs, sections=sections))
    noisy = EXPRESSION.copy()
    noisy[sections == 1] += np.random.default_rng(0).normal(0, 5, noisy[sections == 1].shape)
    folds = Folds.of(VALUES, folds_of(np.arange(N), 0), Shrinkage.none(VALUES.shape[1], 10))
    left_out = LeftOut.of(EIGEN, folds, rows=judged_rows(sections), sections=sections, gene_weight=0.25)
    plain, other = (
        Statements(left_out).of(posterior, replace(samples, expression=expression), STANDARDISATION_OF_TWO)[0]
        for expression in (EXPRESSION, noisy)
    )
    for name in ("noise_sd", "calibration_factor", "r_loo", "r_loo_given_depth", "r_loo_low", "grade"):
        assert np.array_equal(getattr(plain, name), getattr(other, name)), name
