"""Cokriging agrees with scikit-learn, dense algebra, refits and random sampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.metrics.ceiling import noise_ceiling
from histosge.models import predict
from histosge.models.cokriging import eigensolver as _eigensolver
from histosge.models.cokriging.block_covariance import block_covariance, matern
from histosge.models.cokriging.eigensolver import Eigendecomposition
from histosge.models.cokriging.model import Cokriging
from histosge.models.cokriging.standardise import reliability
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots, grid, upsampled
from histosge.section.multi_section import samples_of
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode, encoder_for
from histosge.workflow.recipe import Recipe

TISSUE = synthetic(columns=10, rows=10, genes=12)
SECTION = TISSUE.section
LOCATIONS = upsampled(SECTION, 3)
EXPRESSION = log_cp10k(SECTION.counts).toarray()
DEPTH = np.asarray(SECTION.counts.sum(axis=1)).ravel()
XY = SECTION.spots.xy
KERNEL = 0.5 * (Matern(150.0, nu=1.5)(XY) + Matern(700.0, nu=1.5)(XY))


def one_ratio(monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    """Restrict the noise-to-signal ratio to one value, and keep every eigenvector."""
    monkeypatch.setattr(_eigensolver, "NOISE_RATIOS", np.array([ratio]))
    monkeypatch.setattr(_eigensolver, "_LEAST_EIGENVALUE", 1e-12)


@pytest.mark.parametrize("gene", [0, 3, 5])
@pytest.mark.parametrize("ratio", [0.1, 2.0])
def test_one_gene_on_positions_is_a_gaussian_process(
    monkeypatch: pytest.MonkeyPatch, gene: int, ratio: float
) -> None:
    """With one factor, point support and one noise-to-signal ratio, mean and sd are scikit-learn's."""
    one_ratio(monkeypatch, ratio)
    values = EXPRESSION[:, [gene]]
    samples = Samples(Inputs(at_spots(SECTION)), values, SECTION.genes[[gene]], DEPTH)
    model = Cokriging(
        image=False, factors=1, gene_weight=0.0, support=False, ranges_pitches=(1.5, 7.0), winsorise_sd=None
    )
    result = model.fit(samples).factored(Inputs(LOCATIONS))
    centred = values[:, 0] - values.mean()
    # the mean took one of the degrees of freedom
    variance = centred @ np.linalg.solve(KERNEL + ratio * np.eye(len(XY)), centred) / (len(XY) - 1)
    signal = ConstantKernel(variance / 2) * Matern(150.0, nu=1.5)
    signal = signal + ConstantKernel(variance / 2) * Matern(700.0, nu=1.5)
    process = GaussianProcessRegressor(signal, alpha=variance * ratio, optimizer=None).fit(XY, centred)
    mean, sd = process.predict(LOCATIONS.xy, return_std=True)
    name = str(SECTION.genes[gene])
    assert np.allclose(result.gene(name), np.maximum(mean + values.mean(), 0), atol=1e-4)
    ours = np.asarray(result.gene_sd(name)) / np.maximum(result.basis.calibration_factor[0], 1.0)
    assert np.allclose(ours, sd, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ratio", [0.03, 0.5, 20.0])
def test_the_posterior_is_that_of_dense_algebra(monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    """Likelihood, variances, means and leave-one-out predictions equal dense algebra and refits without each spot."""
    one_ratio(monkeypatch, ratio)
    targets = EXPRESSION[:, :4]
    posterior = Eigendecomposition.exact(KERNEL).posterior(targets)
    n, noisy = len(XY), KERNEL + ratio * np.eye(len(XY))
    centred = targets - targets.mean(axis=0)
    # the mean took one of the degrees of freedom
    variance = np.einsum("nq,nq->q", centred, np.linalg.solve(noisy, centred)) / (n - 1)
    assert np.allclose(posterior.signal_variance, variance)
    assert np.allclose(posterior.noise_variance, ratio * variance)
    log_likelihood = -0.5 * ((n - 1) * np.log(variance) + np.linalg.slogdet(noisy)[1] - np.log(ratio))
    assert np.allclose(posterior.log_marginal_likelihood, log_likelihood)
    eigen = Eigendecomposition.exact(KERNEL)
    fitted = KERNEL @ np.linalg.solve(noisy, centred)
    assert np.allclose(KERNEL @ eigen.dual @ posterior.projections, fitted, atol=1e-7)
    for spot in (0, 17, n - 1):
        others = np.delete(np.arange(n), spot)
        row = KERNEL[spot, others]
        inverse = np.linalg.inv(noisy[np.ix_(others, others)])
        assert np.allclose(posterior.left_out[spot], targets.mean(axis=0) + row @ inverse @ centred[others])
        assert np.allclose(
            eigen.left_out_variance(targets)[spot], variance * (1.0 - row @ inverse @ row), atol=1e-8
        )
        mean = targets[others].mean(axis=0)
        beyond = row @ inverse @ (targets[others] - mean)
        assert np.allclose(eigen.left_out(targets, np.array([spot]))[0], beyond)


def test_posteriors_are_averaged_by_their_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several noise-to-signal ratios, the posterior is the mean of the single ones, weighted by likelihood."""
    targets = EXPRESSION[:, :4]
    ratios = np.array([0.1, 0.5, 3.0])
    monkeypatch.setattr(_eigensolver, "NOISE_RATIOS", ratios)
    together = Eigendecomposition.exact(KERNEL).posterior(targets)
    single = []
    for ratio in ratios:
        monkeypatch.setattr(_eigensolver, "NOISE_RATIOS", np.array([ratio]))
        single.append(Eigendecomposition.exact(KERNEL).posterior(targets))
    weight = np.exp([part.log_marginal_likelihood - together.log_marginal_likelihood for part in single])
    weight /= weight.sum(axis=0)
    for name in ("projections", "signal_variance", "noise_variance"):
        expected = sum(w * getattr(part, name) for w, part in zip(weight, single, strict=True))
        assert np.allclose(getattr(together, name), expected), name
    # the variance removed is weighted by the prior variance that it is a share of
    removed = sum(
        w * part.signal_variance * part.variance_reduction for w, part in zip(weight, single, strict=True)
    )
    assert np.allclose(together.signal_variance * together.variance_reduction, removed)


def test_all_spots_as_inducing_points_are_exact() -> None:
    """The process carried by every spot is the exact one, and by half of the spots it is nearly the same."""
    targets = EXPRESSION[:, :4]
    exact = Eigendecomposition.exact(KERNEL)
    best = exact.posterior(targets)
    scale = targets.std()
    for every, closeness in ((1, 1e-3), (2, 0.15)):
        rows = np.arange(0, len(XY), every)
        sparse = Eigendecomposition.nystrom(KERNEL[:, rows], KERNEL[np.ix_(rows, rows)])
        posterior = sparse.posterior(targets)
        away = KERNEL[:, rows] @ sparse.dual @ posterior.projections - KERNEL @ exact.dual @ best.projections
        assert np.sqrt((away**2).mean()) < closeness * scale
        assert np.sqrt(((posterior.left_out - best.left_out) ** 2).mean()) < closeness * scale


@pytest.mark.parametrize(
    ("apart", "sizes"), [(0.0, (90.0, 90.0)), (60.0, (90.0, 40.0)), (200.0, (90.0, 0.0))]
)
def test_the_covariance_of_disks_is_a_mean_over_pairs_of_points(
    apart: float, sizes: tuple[float, float]
) -> None:
    """Quadrature agrees with a hundred thousand random pairs of points, one in each disk."""
    rng = np.random.default_rng(0)

    def inside(diameter: float) -> Array:
        radius, angle = diameter / 2 * np.sqrt(rng.random(100_000)), 2 * np.pi * rng.random(100_000)
        return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

    distance = np.linalg.norm(inside(sizes[0]) + np.array([apart, 0.0]) - inside(sizes[1]), axis=1)
    sampled = (matern(distance, 80.0).mean() + matern(distance, 300.0).mean()) / 2
    assert block_covariance(np.array([apart]), (80.0, 300.0), sizes)[0] == pytest.approx(sampled, abs=3e-3)


def test_a_disk_of_diameter_zero_is_a_point() -> None:
    """At diameter 0 the block covariance is the kernel, and at a tiny diameter it is nearly the kernel."""
    distance = np.linspace(0, 900, 200)
    theirs = Matern(120.0, nu=1.5)(distance[:, None], np.zeros((1, 1)))[:, 0]
    assert np.allclose(block_covariance(distance, (120.0,), (0.0, 0.0)), theirs, atol=1e-5)
    assert np.allclose(block_covariance(distance, (120.0,), (1e-3, 0.0)), theirs, atol=1e-4)


def test_the_covariance_of_disks_and_points_is_positive() -> None:
    """The matrix of spots and of points between them has no negative eigenvalue, and is symmetric."""
    points = LOCATIONS.xy[len(XY) :]

    def block(left: Array, right: Array, sizes: tuple[float, float]) -> Array:
        return block_covariance(np.linalg.norm(left[:, None] - right[None], axis=2), (150.0, 500.0), sizes)

    across = block(XY, points, (90.0, 0.0))
    whole = np.block([[block(XY, XY, (90.0, 90.0)), across], [across.T, block(points, points, (0.0, 0.0))]])
    assert np.allclose(whole, whole.T)
    assert np.linalg.eigvalsh(whole)[0] > -1e-4


def test_reliability_is_the_squared_noise_ceiling() -> None:
    """It is the squared noise ceiling of the metrics, and the squared correlation of truth and measurement."""
    tissue = synthetic(columns=24, rows=24, genes=24, seed=1)
    section = tissue.section
    values = log_cp10k(section.counts).toarray()
    depth = np.asarray(section.counts.sum(axis=1)).ravel()
    result = reliability(values, depth)
    # the ceiling of a gene is drawn to those of the others by as much as its own halves are uncertain
    assert np.abs(result - noise_ceiling(section.counts, np.arange(24)) ** 2).mean() < 0.05
    truth = tissue.truth(section.spots.xy)
    real = np.array([np.corrcoef(truth[:, g], values[:, g])[0, 1] ** 2 for g in range(24)])
    assert np.corrcoef(result, real)[0, 1] > 0.95
    assert np.abs(result - real).mean() < 0.1


def test_intervals_cover_new_measurements() -> None:
    """Nine in ten measurements at test spots lie in the 90 % interval."""
    tissue = synthetic(columns=22, rows=22, genes=48, seed=3)
    section = tissue.section
    values, depth = log_cp10k(section.counts).toarray(), np.asarray(section.counts.sum(axis=1)).ravel()
    samples = Samples(Inputs(at_spots(section)), values, section.genes, depth)
    order = np.random.default_rng(0).permutation(len(section))
    training, test = np.sort(order[::2]), np.sort(order[1::2])
    result = predict(Cokriging(image=False).fit(samples.take(training)), samples.inputs.take(test))
    inside = np.abs(values[test] - result.mean) < 1.645 * np.asarray(result.sd)
    assert 0.86 < inside.mean() < 0.94


def test_block_support_sharpens_predictions_between_spots() -> None:
    """Where wide spots blur the tissue, block support is nearer the truth than point support.

    Both are nearer than a cubic interpolation, which follows the noise.
    """
    from scipy.interpolate import griddata

    tissue = synthetic(columns=18, rows=18, genes=30, seed=1, support="disk", diameter_um=95.0)
    section = tissue.section
    values, depth = log_cp10k(section.counts).toarray(), np.asarray(section.counts.sum(axis=1)).ravel()
    samples = Samples(Inputs(at_spots(section)), values, section.genes, depth)
    locations = grid(section, 25.0)
    cubic = griddata(section.spots.xy, values, locations.xy, method="cubic")
    locations, cubic = locations.take(inside := np.isfinite(cubic[:, 0])), cubic[inside]
    truth = tissue.truth(locations.xy)
    as_disks, as_points = (
        predict(Cokriging(image=False, support=support).fit(samples), Inputs(locations)).mean
        for support in (True, False)
    )
    errors = [float(((result - truth) ** 2).mean()) for result in (as_disks, as_points, cubic)]
    assert errors[0] < 0.95 * errors[1]
    assert errors[1] < 0.5 * errors[2]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("diameter_um", [55.0, 95.0])
def test_block_support_sharpens_with_the_image_too(diameter_um: float, seed: int) -> None:
    """With the image, at a quarter of the pitch, block support is nearer the truth than point support.

    The short-range kernel makes the difference: without it both are further off.
    """
    tissue = synthetic(16, 20, genes=60, seed=seed, support="disk", diameter_um=diameter_um)
    section, model, compute = tissue.section, Cokriging(), Compute()
    encoder = encoder_for(section, Recipe(), needs=model.needs, compute=compute)
    samples = samples_of(
        section,
        select(section, "all"),
        encode(section, at_spots(section), needs=model.needs, encoder=encoder, compute=compute),
    )
    locations = grid(section, section.pitch_um / 4)
    around = cKDTree(section.spots.xy).query_ball_point(
        locations.xy, 1.5 * section.pitch_um, return_length=True
    )
    locations = locations.take(np.flatnonzero(around >= 6))
    inputs = encode(section, locations, needs=model.needs, encoder=encoder, compute=compute)
    columns = [int(np.flatnonzero(section.genes == gene)[0]) for gene in samples.genes]
    truth = tissue.truth(locations.xy)[:, columns]
    disks, points, plain = (
        float(((predict(Cokriging(**options).fit(samples), inputs).mean - truth) ** 2).mean())
        # what a spot has of its own, which points do not have, makes up for a part of the short-range kernel
        for options in ({}, {"support": False}, {"short_range_um": None, "microscale": False})
    )
    assert disks < 0.99 * points
    assert points < 0.9 * plain


def test_a_measured_spot_keeps_its_diameter() -> None:
    """On an upsampled lattice spots are predicted as they are alone; locations between them are smaller disks."""
    samples = Samples(Inputs(at_spots(SECTION)), EXPRESSION, SECTION.genes, DEPTH)
    predictor = Cokriging(image=False).fit(samples)
    alone, among = predict(predictor, samples.inputs), predict(predictor, Inputs(LOCATIONS))
    assert np.allclose(among.mean[: len(XY)], alone.mean, atol=1e-5)
    mere = Inputs(replace(LOCATIONS, observed=np.zeros(len(LOCATIONS), dtype=bool)))
    assert np.abs(predict(predictor, mere).mean[: len(XY)] - alone.mean).max() > 1e-4
