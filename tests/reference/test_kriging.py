"""Kriging and ridge against independent implementations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import Ridge as SklearnRidge

from histosge.datasets import synthetic
from histosge.geometry.points import Points
from histosge.models import predict
from histosge.models.baselines.idw import IDW
from histosge.models.baselines.kriging import Kriging, matern32
from histosge.models.baselines.ridge import Ridge
from histosge.prediction.evidence_ridge import _NOISE_RATIOS, EvidenceRidge
from histosge.section.expression import log_cp10k
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots, upsampled

SECTION = synthetic(columns=10, rows=10, genes=12).section
LOCATIONS = upsampled(SECTION, 3)
EXPRESSION = log_cp10k(SECTION.counts).toarray()
SAMPLES = Samples(Inputs(at_spots(SECTION)), EXPRESSION, SECTION.genes, np.ones(len(SECTION)))


def test_the_kernel_is_scikit_learns() -> None:
    """Our sum of Matérn-3/2 kernels equals theirs."""
    xy = SECTION.spots.xy
    theirs = 0.5 * (Matern(150.0, nu=1.5)(xy) + Matern(700.0, nu=1.5)(xy))
    assert np.allclose(matern32(xy, xy, (150.0, 700.0)), theirs)


@pytest.mark.parametrize("gene", [0, 3, 5])
def test_kriging_is_a_gaussian_process(gene: int) -> None:
    """At the fitted noise, mean and standard deviation equal those of scikit-learn's Gaussian process."""
    predictor = Kriging().fit(SAMPLES)
    ridge = predictor.ridge
    ratio, variance = ridge.noise_ratios[gene], ridge.signal_variance[gene]
    ranges = predictor.process.ranges_um
    signal = sum(
        (ConstantKernel(variance / 2) * Matern(length, nu=1.5) for length in ranges[1:]),
        ConstantKernel(variance / 2) * Matern(ranges[0], nu=1.5),
    )
    kernel = signal + WhiteKernel(variance * ratio)
    process = GaussianProcessRegressor(kernel, optimizer=None, alpha=1e-6 * variance)
    values = EXPRESSION[:, gene]
    process.fit(SECTION.spots.xy, values - values.mean())
    mean, sd = process.predict(LOCATIONS.xy[len(SECTION) :], return_std=True)
    ours = predict(predictor, Inputs(LOCATIONS.take(slice(len(SECTION), None))))
    assert np.allclose(ours.mean[:, gene], np.maximum(mean + values.mean(), 0), atol=2e-3)
    assert np.allclose(np.asarray(ours.sd)[:, gene], sd, rtol=2e-2)


@pytest.mark.parametrize("gene", [0, 3, 5])
def test_the_noise_is_the_most_likely_one(gene: int) -> None:
    """Of all noise ratios tried, the one chosen has the largest marginal likelihood."""
    predictor = Kriging().fit(SAMPLES)
    values = EXPRESSION[:, gene] - EXPRESSION[:, gene].mean()
    xy = SECTION.spots.xy
    kernel = matern32(xy, xy, predictor.process.ranges_um)
    likelihood = []
    for ratio in _NOISE_RATIOS:
        covariance = kernel + ratio * np.eye(len(xy))
        scale = values @ np.linalg.solve(covariance, values) / len(xy)
        likelihood.append(-len(xy) * np.log(scale) - np.linalg.slogdet(covariance)[1])
    assert abs(int(np.argmax(likelihood)) - int(predictor.ridge.choice[gene])) <= 1


def test_few_inducing_points_are_a_good_approximation() -> None:
    """With half of the spots as inducing points the mean hardly changes, and the standard deviation does not shrink."""
    whole, half = (
        predict(Kriging(inducing_points=n).fit(SAMPLES), Inputs(LOCATIONS)) for n in (2000, len(SECTION) // 2)
    )
    assert np.corrcoef(whole.mean.ravel(), half.mean.ravel())[0, 1] > 0.99
    assert (np.asarray(half.sd) > 0.9 * np.asarray(whole.sd)).all()


def test_ridge_is_scikit_learns() -> None:
    """At the fitted penalty, weights equal those of scikit-learn's ridge regression."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 6))
    values = features @ rng.normal(size=(6, 3)) + rng.normal(size=(80, 3))
    features = features - features.mean(axis=0)
    fitted = EvidenceRidge.fit(features, values)
    for gene in range(3):
        theirs = SklearnRidge(alpha=fitted.noise_ratios[gene], fit_intercept=False)
        theirs.fit(features, values[:, gene] - values[:, gene].mean())
        assert np.allclose(fitted.coefficients[:, gene], theirs.coef_, atol=1e-6)
    assert Ridge().needs.features


def test_intervals_have_their_nominal_coverage() -> None:
    """Data of the model itself: 90 % intervals hold about nine in ten new measurements."""
    rng = np.random.default_rng(1)
    xy = rng.uniform(0, 2000, (400, 2))
    kernel = matern32(xy, xy, (200.0, 800.0)) + 0.5 * np.eye(400)
    values = 10 + np.linalg.cholesky(kernel) @ rng.normal(size=(400, 40))
    spots = at_spots(SECTION)
    points = Points(xy, np.arange(400).astype(str))
    fields = {
        name: np.resize(getattr(spots, name), 400) for name in ("parent", "subspot", "observed", "in_tissue")
    }
    locations = replace(spots, points=points, lattice_xy=xy / 100, **fields)
    genes = np.array([f"g{i}" for i in range(40)])
    samples = Samples(Inputs(locations), values, genes, np.ones(400))
    training, test = np.arange(0, 400, 2), np.arange(1, 400, 2)
    model = Kriging(ranges_pitches=(2.0, 8.0))
    prediction = predict(model.fit(samples.take(training)), samples.inputs.take(test))
    inside = np.abs(values[test] - prediction.mean) < 1.645 * np.asarray(prediction.sd)
    assert 0.86 < inside.mean() < 0.94


def test_idw_is_shepards_formula() -> None:
    """Weights fall with the square of the distance; at a spot its own value is returned."""
    predictor = IDW(neighbours=5).fit(SAMPLES)
    mean = predict(predictor, Inputs(LOCATIONS)).mean
    assert np.allclose(mean[: len(SECTION)], EXPRESSION, atol=1e-5)
    xy_um = LOCATIONS.xy[-1]
    distance = np.linalg.norm(SECTION.spots.xy - xy_um, axis=1)
    near = np.argsort(distance)[:5]
    weights = distance[near] ** -2.0
    assert np.allclose(mean[-1], weights @ EXPRESSION[near] / weights.sum(), atol=1e-5)
