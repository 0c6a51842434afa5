"""What a fit says of its genes is what spots show that it has not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cokriging_samples import SAMPLES, N, kernel_inputs

import histosge as hs
from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.metrics.pearson import pearson
from histosge.models import predict
from histosge.models.cokriging.eigensolver import Eigendecomposition
from histosge.models.cokriging.folds import Folds, folds_of
from histosge.models.cokriging.kernels import Covariance
from histosge.models.cokriging.loadings import Shrinkage
from histosge.models.cokriging.model import Cokriging
from histosge.prediction.principal_components import principal_axes
from histosge.section.expression import log_cp10k
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots

SPOTS = kernel_inputs(0.0, image=False)
COVARIANCE = Covariance.of(SPOTS, (200.0, 800.0), image_weight=0.0)
KERNEL = COVARIANCE(SPOTS, SPOTS)


def synthetic_samples(side: int, seed: int) -> Samples:
    """Return the spots of a synthetic section with a tenth of its counts, as noisy as real ones; without an image."""
    section = synthetic(columns=side, rows=side, genes=80, seed=seed).section
    counts = section.counts.copy()
    counts.data = np.random.default_rng(seed).binomial(counts.data.astype(np.int64), 0.1)
    depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    return Samples(Inputs(at_spots(section)), log_cp10k(counts).toarray(), section.genes, depth)


def exchanged(samples: Samples, seed: int) -> Samples:
    """Return the samples with the expression of other spots."""
    order = np.random.default_rng(seed).permutation(len(samples))
    return replace(samples, expression=samples.expression[order], depth=samples.depth[order])


@pytest.mark.parametrize(("side", "sections"), [(13, 2), (20, 1)])
def test_reported_correlations_are_true(side: int, sections: int) -> None:
    """Fits of 84 and of 200 spots report the mean r that the other half shows, to 0.025.

    It is 0.07 and 0.03 too high where the spot is in the loadings and predictions are projected on output factors.
    """
    differences = []
    for seed in range(sections):
        samples = synthetic_samples(side, seed)
        order = np.random.default_rng(seed).permutation(len(samples))
        training, test = np.sort(order[::2]), np.sort(order[1::2])
        # either half is fitted, so that a half that is easier to predict does not count
        for fitted, other in ((training, test), (test, training)):
            predictor = Cokriging(image=False).fit(samples.take(fitted))
            mean = predict(predictor, samples.inputs.take(other)).mean.astype(np.float64)
            differences.append(
                predictor.basis.r_loo.mean() - np.nan_to_num(pearson(samples.expression[other], mean)).mean()
            )
    assert abs(np.mean(differences)) < 0.025


def test_expression_of_other_spots_is_nothing() -> None:
    """Where expression is exchanged between spots the image has no weight, no gene a grade, and r is about 0."""
    means = []
    for seed in range(3):
        summary = (predictor := Cokriging().fit(exchanged(SAMPLES, seed))).summary()
        assert summary["image_weight"] == 0.0
        assert summary["reliable_genes"] == 0
        assert summary["mean_r_loo_image_gain_se"] == 0.0
        means.append(summary["mean_r_loo"])
        assert set(predictor.basis.grade) <= {"none"}
        assert (predictor.basis.r_loo_high - predictor.basis.r_loo_low > 1.5 * N**-0.5).all()
    assert abs(np.mean(means)) < 0.06


def test_the_gain_of_the_image_has_an_uncertainty() -> None:
    """With an informative image, r is higher than without, by more than twice its standard error."""
    summary = Cokriging().fit(SAMPLES).summary()
    gain = summary["mean_r_loo"] - summary["mean_r_loo_without_image"]
    assert gain > 2 * summary["mean_r_loo_image_gain_se"] > 0


def test_intervals_do_not_depend_on_the_order_of_the_rows() -> None:
    """Nor on a lattice, where columns of spots have one x and parts of tissue end within them."""
    section = synthetic(columns=9, rows=9, genes=24, seed=1).section
    order = np.random.default_rng(3).permutation(len(section))
    recipe = hs.Recipe(preset="positions", genes="all")
    first, again = (hs.fit(part, recipe).predictor.basis for part in (section, section.take(order)))
    for name in ("r_loo", "r_loo_low", "r_loo_high"):
        assert getattr(again, name) == pytest.approx(getattr(first, name), abs=1e-9), name
    assert (first.r_loo_high - first.r_loo_low).min() > 0


def test_folds_follow_names() -> None:
    """Folds have equal sizes and belong to names, whatever the order of the spots."""
    names = np.array([f"spot {row}" for row in range(25)])
    folds, order = folds_of(names, 3), np.random.default_rng(1).permutation(25)
    assert np.bincount(folds).tolist() == [3] * 5 + [2] * 5
    assert np.array_equal(folds_of(names[order], 3), folds[order])
    assert not np.array_equal(folds_of(names, 4), folds)


@pytest.mark.parametrize("shape", [(650, 700), (700, 650)])
def test_loadings_of_large_panels_are_principal_axes(shape: tuple[int, int]) -> None:
    """From one matrix of products, the axes without a fold are those of the values without it."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(shape[0], 4)) @ (rng.normal(size=(4, shape[1])) * [[9], [6], [4], [3]])
    values += rng.normal(size=shape)
    index = np.arange(shape[0]) % 3
    found = [part.axes for part in Folds.of(values, index, Shrinkage.none(shape[1], 4)).loadings]
    for fold in range(3):
        expected = principal_axes(values[index != fold], 4, exact=True)
        assert np.allclose(found[fold].T @ found[fold], expected.T @ expected, atol=1e-4)


def brute_force(targets: Array, spot: int, ratios: Array, weight: Array) -> tuple[Array, Array]:
    """Return mean, less that of the others, and variance of a spot, refitted without it for each ratio."""
    others = np.delete(np.arange(len(targets)), spot)
    centred = targets - targets.mean(axis=0)
    means, variances = [], []
    for ratio in ratios:
        inverse = np.linalg.inv(KERNEL[np.ix_(others, others)] + ratio * np.eye(len(others)))
        row = KERNEL[spot, others]
        means.append(row @ inverse @ (targets[others] - targets[others].mean(axis=0)))
        noisy = KERNEL + ratio * np.eye(len(targets))
        signal = np.einsum("nq,nq->q", centred, np.linalg.solve(noisy, centred)) / len(targets)
        variances.append(signal * (KERNEL[spot, spot] - row @ inverse @ row))
    mean = (weight * means).sum(axis=0)
    return mean, (weight * variances).sum(axis=0) + (weight * (np.array(means) - mean) ** 2).sum(axis=0)


def test_predictions_are_averaged_and_not_their_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several ratios the left-out mean is the average of refits, and its variance has the spread between them."""
    from histosge.models.cokriging import eigensolver, left_out_rows

    ratios = np.array([0.05, 0.4, 3.0])
    monkeypatch.setattr(eigensolver, "NOISE_RATIOS", ratios)
    monkeypatch.setattr(eigensolver, "_LEAST_EIGENVALUE", 1e-12)
    monkeypatch.setattr(left_out_rows, "_LEAST_PART", 0.0)
    monkeypatch.setattr(eigensolver, "_LEAST_PROBABILITY", 0.0)
    targets = np.random.default_rng(2).multivariate_normal(np.zeros(N), KERNEL + np.eye(N), 3).T
    # equal weights, so that the ratios differ much
    weight = np.full((3, 3), 1 / 3)
    original = Eigendecomposition._noise_posterior
    monkeypatch.setattr(
        Eigendecomposition,
        "_noise_posterior",
        lambda self, *parts: (original(self, *parts)[0], weight, original(self, *parts)[2]),
    )
    eigen = Eigendecomposition.exact(KERNEL)
    mean, variance = eigen.left_out(targets, np.arange(N)), eigen.left_out_variance(targets)
    for spot in (0, 7, N - 1):
        expected, square = brute_force(targets, spot, ratios, weight)
        assert np.allclose(mean[spot], expected, atol=1e-8)
        # the variance is around the mean of all spots, which changes it a little
        assert np.allclose(variance[spot], square, rtol=0.05)


def test_the_variance_between_ratios_is_that_at_the_spots() -> None:
    """The squared prediction of the deviation is the variance over ratios of the posterior mean, on average."""
    targets = np.random.default_rng(3).normal(size=(N, 4)) + 0.5 * np.linalg.cholesky(KERNEL)[:, :4]
    eigen = Eigendecomposition.exact(KERNEL)
    centred = targets - targets.mean(axis=0)
    projections = eigen.eigenvectors.T @ centred
    from histosge.models.cokriging.eigensolver import NOISE_RATIOS

    _, weight, _ = eigen._noise_posterior(eigen.projected(targets))
    means = np.array(
        [
            eigen.eigenvectors @ (eigen.eigenvalues[:, None] / (eigen.eigenvalues[:, None] + r) * projections)
            for r in NOISE_RATIOS
        ]
    )
    between = np.einsum("lq,lnq->nq", weight, (means - np.einsum("lq,lnq->nq", weight, means)) ** 2)
    deviation = KERNEL @ eigen.dual @ eigen.deviation_between_ratios(targets)
    assert np.allclose((deviation**2).mean(axis=0), between.mean(axis=0), rtol=1e-6)
    assert np.corrcoef((deviation**2).ravel(), between.ravel())[0, 1] > 0.9


def test_what_inducing_points_do_not_carry_is_uncertain() -> None:
    """With a tenth of the spots as inducing points, left-out variances are no smaller than the exact ones."""
    targets = np.random.default_rng(4).multivariate_normal(np.zeros(N), KERNEL + 0.3 * np.eye(N), 3).T
    rows = np.arange(0, N, 10)
    few = KERNEL[:, rows], KERNEL[np.ix_(rows, rows)]
    exact = Eigendecomposition.exact(KERNEL).left_out_variance(targets).mean(axis=0)
    without, whole = (
        Eigendecomposition.nystrom(*few, variance=variance).left_out_variance(targets).mean(axis=0)
        for variance in (None, np.diag(KERNEL))
    )
    assert (without < 0.8 * exact).all()
    assert (whole > 0.9 * exact).all()


def test_ratios_between_are_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """In single precision every second ratio is computed, and predictions are nearly those of all ratios."""
    from histosge.models.cokriging import eigensolver

    targets = np.random.default_rng(2).multivariate_normal(np.zeros(N), KERNEL + np.eye(N), 3).T
    everything = Eigendecomposition.exact(KERNEL).left_out(targets, np.arange(N))
    monkeypatch.setattr(eigensolver, "_DOUBLE_PRECISION_SPOTS", 0)
    thinned = Eigendecomposition.exact(KERNEL).left_out(targets, np.arange(N))
    assert thinned.dtype == np.float32
    difference = (thinned - everything).std(axis=0)
    # more than rounding
    assert (difference > 1e-6).all()
    assert (difference < 0.02 * everything.std(axis=0)).all()
