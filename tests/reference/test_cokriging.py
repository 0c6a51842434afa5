"""Cokriging against independent implementations: scikit-learn, dense algebra, refits, chance."""

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
from histosge.models.cokriging import eigensolver as _spectrum
from histosge.models.cokriging.block_covariance import averaged, matern
from histosge.models.cokriging.eigensolver import Spectrum
from histosge.models.cokriging.model import Cokriging
from histosge.models.cokriging.standardise import principal, reliability
from histosge.prediction.calibration import calibration_factor
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
PLACES = upsampled(SECTION, 3)
EXPRESSION = log_cp10k(SECTION.counts).toarray()
DEPTH = np.asarray(SECTION.counts.sum(axis=1)).ravel()
XY = SECTION.spots.xy
KERNEL = 0.5 * (Matern(150.0, nu=1.5)(XY) + Matern(700.0, nu=1.5)(XY))


def only(monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    """Let the noise be one thing alone, and keep every direction."""
    monkeypatch.setattr(_spectrum, "RATIOS", np.array([ratio]))
    monkeypatch.setattr(_spectrum, "_LEAST_POWER", 1e-12)


@pytest.mark.parametrize("gene", [0, 3, 5])
@pytest.mark.parametrize("ratio", [0.1, 2.0])
def test_one_gene_on_positions_is_a_gaussian_process(
    monkeypatch: pytest.MonkeyPatch, gene: int, ratio: float
) -> None:
    """With one factor, points for spots and one ratio of noise, mean and deviation are scikit-learn's."""
    only(monkeypatch, ratio)
    values = EXPRESSION[:, [gene]]
    samples = Samples(Inputs(at_spots(SECTION)), values, SECTION.genes[[gene]], DEPTH)
    model = Cokriging(
        image=False, factors=1, gene_weight=0.0, support=False, ranges_pitches=(1.5, 7.0), winsorise_sd=None
    )
    found = model.fit(samples).factored(Inputs(PLACES))
    centred = values[:, 0] - values.mean()
    variance = centred @ np.linalg.solve(KERNEL + ratio * np.eye(len(XY)), centred) / len(XY)
    signal = ConstantKernel(variance / 2) * Matern(150.0, nu=1.5)
    signal = signal + ConstantKernel(variance / 2) * Matern(700.0, nu=1.5)
    process = GaussianProcessRegressor(signal, alpha=variance * ratio, optimizer=None).fit(XY, centred)
    mean, sd = process.predict(PLACES.xy, return_std=True)
    name = str(SECTION.genes[gene])
    assert np.allclose(found.gene(name), np.maximum(mean + values.mean(), 0), atol=1e-4)
    ours = np.asarray(found.gene_sd(name)) / found.basis.calibration_factor[0]
    assert np.allclose(ours, sd, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ratio", [0.03, 0.5, 20.0])
def test_a_spectrum_is_dense_algebra(monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    """Evidence, scale, fits and left-out answers equal those of whole matrices and of refits without each spot."""
    only(monkeypatch, ratio)
    targets = EXPRESSION[:, :4]
    answers = Spectrum.exact(KERNEL).answer(targets)
    n, noisy = len(XY), KERNEL + ratio * np.eye(len(XY))
    centred = targets - targets.mean(axis=0)
    variance = np.einsum("nq,nq->q", centred, np.linalg.solve(noisy, centred)) / n
    assert np.allclose(answers.variance, variance)
    assert np.allclose(answers.noise, ratio * variance)
    evidence = -0.5 * (n * np.log(variance) + np.linalg.slogdet(noisy)[1])
    assert np.allclose(answers.evidence, evidence)
    spectrum = Spectrum.exact(KERNEL)
    fitted = KERNEL @ np.linalg.solve(noisy, centred)
    assert np.allclose(KERNEL @ spectrum.dual @ answers.along, fitted, atol=1e-7)
    for spot in (0, 17, n - 1):
        others = np.delete(np.arange(n), spot)
        row = KERNEL[spot, others]
        inverse = np.linalg.inv(noisy[np.ix_(others, others)])
        assert np.allclose(answers.left_out[spot], targets.mean(axis=0) + row @ inverse @ centred[others])
        assert np.allclose(answers.left_out_variance[spot], variance * (1.0 - row @ inverse @ row), atol=1e-8)


def test_answers_are_averaged_by_their_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several ratios of noise, a fit is the mean of single fits, each weighted by its likelihood."""
    targets = EXPRESSION[:, :4]
    ratios = np.array([0.1, 0.5, 3.0])
    monkeypatch.setattr(_spectrum, "RATIOS", ratios)
    together = Spectrum.exact(KERNEL).answer(targets)
    single = []
    for ratio in ratios:
        monkeypatch.setattr(_spectrum, "RATIOS", np.array([ratio]))
        single.append(Spectrum.exact(KERNEL).answer(targets))
    weight = np.exp([part.evidence - together.evidence for part in single])
    weight /= weight.sum(axis=0)
    for name in ("along", "kept", "variance", "noise"):
        expected = sum(w * getattr(part, name) for w, part in zip(weight, single, strict=True))
        assert np.allclose(getattr(together, name), expected), name


def test_all_spots_as_landmarks_are_exact() -> None:
    """A spectrum carried by every spot answers as the exact one, and by half of them nearly so."""
    targets = EXPRESSION[:, :4]
    exact = Spectrum.exact(KERNEL)
    best = exact.answer(targets)
    scale = targets.std()
    for every, closeness in ((1, 1e-3), (2, 0.15)):
        rows = np.arange(0, len(XY), every)
        sparse = Spectrum.sparse(KERNEL[:, rows], KERNEL[np.ix_(rows, rows)])
        answers = sparse.answer(targets)
        away = KERNEL[:, rows] @ sparse.dual @ answers.along - KERNEL @ exact.dual @ best.along
        assert np.sqrt((away**2).mean()) < closeness * scale
        assert np.sqrt(((answers.left_out - best.left_out) ** 2).mean()) < closeness * scale


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
    by_chance = (matern(distance, 80.0).mean() + matern(distance, 300.0).mean()) / 2
    assert averaged(np.array([apart]), (80.0, 300.0), sizes)[0] == pytest.approx(by_chance, abs=3e-3)


def test_a_disk_of_no_width_is_a_point() -> None:
    """At diameter 0 the covariance is the kernel; at next to nothing it nearly is."""
    distance = np.linspace(0, 900, 200)
    theirs = Matern(120.0, nu=1.5)(distance[:, None], np.zeros((1, 1)))[:, 0]
    assert np.allclose(averaged(distance, (120.0,), (0.0, 0.0)), theirs, atol=1e-5)
    assert np.allclose(averaged(distance, (120.0,), (1e-3, 0.0)), theirs, atol=1e-4)


def test_disks_and_points_together_have_a_covariance() -> None:
    """The matrix of spots and of points between them has no negative eigenvalue, and is symmetric."""
    points = PLACES.xy[len(XY) :]

    def block(left: Array, right: Array, sizes: tuple[float, float]) -> Array:
        return averaged(np.linalg.norm(left[:, None] - right[None], axis=2), (150.0, 500.0), sizes)

    across = block(XY, points, (90.0, 0.0))
    whole = np.block([[block(XY, XY, (90.0, 90.0)), across], [across.T, block(points, points, (0.0, 0.0))]])
    assert np.allclose(whole, whole.T)
    assert np.linalg.eigvalsh(whole)[0] > -1e-4


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_principal_directions_are_those_of_numpy(shape: tuple[int, int]) -> None:
    """Rows equal the singular vectors of NumPy up to their sign, tall or wide, and hold the share asked for."""
    matrix = np.random.default_rng(0).normal(size=shape) * np.linspace(3, 0.5, shape[1])
    _, size, vectors = np.linalg.svd(matrix, full_matrices=False)
    found = principal(matrix, 5)
    assert np.allclose(np.abs(np.sum(found * vectors[:5], axis=1)), 1.0)
    held = np.cumsum(size**2) / (size**2).sum()
    assert len(principal(matrix, 99, 0.8)) == int(np.searchsorted(held, 0.8)) + 1


def test_reliability_is_the_square_of_the_ceiling() -> None:
    """Of a gene it is the ceiling of the metrics squared, and how far the truth follows what was measured."""
    tissue = synthetic(columns=24, rows=24, genes=24, seed=1)
    section = tissue.section
    values = log_cp10k(section.counts).toarray()
    depth = np.asarray(section.counts.sum(axis=1)).ravel()
    found = reliability(values, depth, np.zeros(len(values), dtype=np.intp))
    assert np.allclose(found, noise_ceiling(section.counts, np.arange(24)) ** 2, atol=0.12)
    truth = tissue.truth(section.spots.xy)
    real = np.array([np.corrcoef(truth[:, g], values[:, g])[0, 1] ** 2 for g in range(24)])
    assert np.corrcoef(found, real)[0, 1] > 0.95
    assert np.abs(found - real).mean() < 0.1


def test_the_conformal_factor_is_the_smallest_that_covers() -> None:
    """No smaller factor has nine in ten and one of the spots left out inside its interval."""
    rng = np.random.default_rng(0)
    error, sd = rng.standard_t(3, size=(99, 5)), rng.uniform(0.5, 2.0, (99, 5))
    factor, table = calibration_factor(error, sd)
    for gene in range(5):
        score = np.abs(error[:, gene]) / (sd[:, gene] * 1.6448536269514722)
        covering = [size for size in np.sort(score) if (score <= size).sum() >= 0.9 * (99 + 1)]
        assert factor[gene] == pytest.approx(covering[0])
    assert table["coverage"][table["levels"].index(0.9)] == pytest.approx(90 / 99, abs=1e-9)


def test_intervals_cover_new_measurements() -> None:
    """Nine in ten measurements at spots never seen lie in the 90 % interval, whatever the model believes."""
    tissue = synthetic(columns=22, rows=22, genes=48, seed=3)
    section = tissue.section
    values, depth = log_cp10k(section.counts).toarray(), np.asarray(section.counts.sum(axis=1)).ravel()
    samples = Samples(Inputs(at_spots(section)), values, section.genes, depth)
    order = np.random.default_rng(0).permutation(len(section))
    kept, out = np.sort(order[::2]), np.sort(order[1::2])
    found = predict(Cokriging(image=False).fit(samples.take(kept)), samples.inputs.take(out))
    inside = np.abs(values[out] - found.mean) < 1.645 * np.asarray(found.sd)
    assert 0.86 < inside.mean() < 0.94


def test_knowing_that_spots_are_disks_sharpens_what_lies_between() -> None:
    """Where wide spots blur the tissue, predictions as of disks are nearer the truth than as of points.

    Both are nearer than a cubic interpolation, which follows the noise.
    """
    from scipy.interpolate import griddata

    tissue = synthetic(columns=18, rows=18, genes=30, seed=1, support="disk", diameter_um=95.0)
    section = tissue.section
    values, depth = log_cp10k(section.counts).toarray(), np.asarray(section.counts.sum(axis=1)).ravel()
    samples = Samples(Inputs(at_spots(section)), values, section.genes, depth)
    places = grid(section, 25.0)
    cubic = griddata(section.spots.xy, values, places.xy, method="cubic")
    places, cubic = places.take(inside := np.isfinite(cubic[:, 0])), cubic[inside]
    truth = tissue.truth(places.xy)
    as_disks, as_points = (
        predict(Cokriging(image=False, support=support).fit(samples), Inputs(places)).mean
        for support in (True, False)
    )
    errors = [float(((found - truth) ** 2).mean()) for found in (as_disks, as_points, cubic)]
    assert errors[0] < 0.95 * errors[1]
    assert errors[1] < 0.5 * errors[2]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("diameter_um", [55.0, 95.0])
def test_disks_sharpen_with_the_image_too(diameter_um: float, seed: int) -> None:
    """With the image on, predictions at a quarter of the pitch are nearer the truth as of disks than as of points.

    And the kernel of the image's windows is what makes them so: without it both are further off.
    """
    tissue = synthetic(16, 20, genes=60, seed=seed, support="disk", diameter_um=diameter_um)
    section, model, compute = tissue.section, Cokriging(), Compute()
    encoder = encoder_for(section, Recipe(), needs=model.needs, compute=compute)
    samples = samples_of(
        section,
        select(section, "all"),
        encode(section, at_spots(section), needs=model.needs, encoder=encoder, compute=compute),
    )
    places = grid(section, section.pitch_um / 4)
    around = cKDTree(section.spots.xy).query_ball_point(places.xy, 1.5 * section.pitch_um, return_length=True)
    places = places.take(np.flatnonzero(around >= 6))
    inputs = encode(section, places, needs=model.needs, encoder=encoder, compute=compute)
    columns = [int(np.flatnonzero(section.genes == gene)[0]) for gene in samples.genes]
    truth = tissue.truth(places.xy)[:, columns]
    disks, points, plain = (
        float(((predict(Cokriging(**options).fit(samples), inputs).mean - truth) ** 2).mean())
        for options in ({}, {"support": False}, {"short_range_um": None})
    )
    assert disks < 0.99 * points
    assert points < 0.9 * plain


def test_a_measured_spot_is_as_wide_as_it_is() -> None:
    """On a refined lattice spots are predicted as when asked for alone; places between them are narrower."""
    samples = Samples(Inputs(at_spots(SECTION)), EXPRESSION, SECTION.genes, DEPTH)
    predictor = Cokriging(image=False).fit(samples)
    alone, among = predict(predictor, samples.inputs), predict(predictor, Inputs(PLACES))
    assert np.allclose(among.mean[: len(XY)], alone.mean, atol=1e-5)
    mere = Inputs(replace(PLACES, observed=np.zeros(len(PLACES), dtype=bool)))
    assert np.abs(predict(predictor, mere).mean[: len(XY)] - alone.mean).max() > 1e-4
