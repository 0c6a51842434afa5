"""Disk means, their calibration, and the effective resolution of a gene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import poisson

import histosge as hs
from histosge.errors import UsageError
from histosge.metrics.given_depth import partial_correlation
from histosge.models.cokriging.disk_means import disk_points, disk_scores
from histosge.models.cokriging.effective_resolution import fine_share, signal_at_spots, unexplained_at_spots
from histosge.models.gene_order import as_fitted
from histosge.prediction.effective_resolution import EffectiveResolution, UnexplainedVariance
from histosge.section.locations import at_spots
from histosge.workflow.effective_resolution import _disk_inputs
from histosge.workflow.encode import encode

TISSUE = hs.synthetic(columns=9, rows=9, genes=12, support="disk")
SECTION = TISSUE.section


@pytest.fixture(scope="module", params=["cokriging"])
def fit(request: pytest.FixtureRequest) -> hs.workflow.fit.Fit:
    return hs.fit(SECTION, hs.Recipe.parse(request.param, genes="all"))


def test_a_disk_no_wider_than_a_spot_is_a_location(fit: hs.workflow.fit.Fit) -> None:
    """Mean and variance over a small disk are those of a location of that diameter."""
    locations = hs.grid(SECTION, 40.0)
    locations = locations.take(np.arange(0, len(locations), 25))
    width = locations.points.diameter_um
    scores, variance = disk_scores(
        as_fitted(fit.predictor), *_disk_inputs(fit, SECTION, locations, width, compute=hs.Compute())
    )
    inputs = encode(SECTION, locations, needs=fit.model.needs, encoder=fit.encoder)
    known = fit.predictor.factored(inputs)
    np.testing.assert_allclose(scores, known.scores, rtol=1e-3, atol=1e-3 * known.scores.std())
    np.testing.assert_allclose(np.sqrt(variance), known.score_sd, rtol=2e-3, atol=1e-4)


def test_a_wide_disk_is_the_mean_of_its_parts(fit: hs.workflow.fit.Fit) -> None:
    """The mean over a disk is the mean of its parts' predictions; its variance is below theirs."""
    middle = SECTION.spots.xy.mean(axis=0)
    locations = hs.grid(SECTION, 25.0)
    near = np.argsort(np.linalg.norm(locations.xy - middle, axis=1))[:10]
    inputs, disk = _disk_inputs(fit, SECTION, locations.take(near), 200.0, compute=hs.Compute())
    assert np.bincount(disk).tolist() == [19] * 10
    scores, variance = disk_scores(as_fitted(fit.predictor), inputs, disk)
    of_parts, variance_of_parts = disk_scores(as_fitted(fit.predictor), inputs, np.arange(len(disk)))
    np.testing.assert_allclose(scores, of_parts.reshape(10, 19, -1).mean(axis=1), rtol=1e-3, atol=1e-4)
    assert (variance <= variance_of_parts.reshape(10, 19, -1).mean(axis=1) * 1.001).all()
    # disks are computed some at a time: the number makes no difference
    alone = disk_scores(
        as_fitted(fit.predictor), inputs.take(np.flatnonzero(disk == 9)), np.zeros(19, dtype=int)
    )
    np.testing.assert_allclose(variance[9], alone[1][0], rtol=1e-3, atol=1e-6)


def test_parts_of_a_disk_have_its_area() -> None:
    """Points stand for equal parts, lie in the disk, and have its middle."""
    points, part = disk_points(400.0, 55.0)
    assert len(points) * part**2 == pytest.approx(400.0**2)
    assert np.linalg.norm(points, axis=1).max() < 200
    assert np.abs(points.mean(axis=0)).max() < 20


def test_fine_structure_averages_out() -> None:
    """Variance that no factor carries falls with the width, in the limit with the area."""
    shares = [fine_share(width, 55.0) for width in (10, 25, 55, 100, 200, 400)]
    assert shares[2] == 1
    assert (np.diff(shares) < 0).all()
    assert 3 < shares[-2] / shares[-1] < 4


def values() -> EffectiveResolution:
    """Return one of three genes: known at 50 µm, nowhere, and unknown."""
    locations = at_spots(SECTION).take(np.arange(4))
    spot = [[0.1], [0.1], [0.1], [0.5]]
    score_variance = np.array([spot, spot, spot], dtype=np.float32)
    unexplained = UnexplainedVariance(
        np.array([2.0, 2.0, np.nan]), np.array([1.0, 1.0, np.nan]), np.array([0.1, 1.6, np.nan])
    )
    return EffectiveResolution(
        np.array(["A", "B", "C"]),
        (10.0, 50.0),
        locations,
        np.ones((2, 3)),
        score_variance,
        squared_loadings=np.ones((3, 1)),
        unexplained=unexplained,
        fine_share=np.array([3.0, 1.0]),
    )


def test_the_resolution_is_the_smallest_reliable_width() -> None:
    """inf where no width is reliable, NaN where nothing is known; a map has the same by location."""
    resolution = values()
    assert resolution.resolution_um.tolist()[:2] == [50.0, np.inf]
    assert np.isnan(resolution.resolution_um[2])
    # unexplained of spots: 0.1 + 4 × posterior variance, in all 0.5, 0.5, 0.5 and 2, of which 0.1 and 0.5 are posterior
    np.testing.assert_allclose(resolution.reliability[:, 0], [1.125 / (1.125 + 0.2 + 3 * 0.675), 1.125 / 2])
    assert resolution.map_um("A").tolist() == [10.0, 10.0, 10.0, np.inf]
    # the mean over the disks is the reliability of the section
    assert resolution.reliability_at("A", 50.0).mean() == pytest.approx(resolution.reliability[1, 0])
    assert resolution.reliability_at("A", 50.0)[3] == 0
    assert resolution.only(["B", "A"]).resolution_um.tolist() == [np.inf, 50.0]
    assert resolution.to_frame().columns.tolist() == [
        "gene",
        "resolution_um",
        "reliability_10um",
        "reliability_50um",
    ]
    with pytest.raises(UsageError, match="'D' is not"):
        resolution.map_um("D")
    with pytest.raises(UsageError, match="'20'"):
        resolution.reliability_at("A", 20.0)


def test_signal_is_told_from_noise() -> None:
    """A gene of noise is unknown; the share explained is that of the signal, not of noise or of depth."""
    rng = np.random.default_rng(0)
    signal, error = rng.normal(size=(2, 4000, 1))
    depth = 100 * np.exp(rng.normal(size=4000))
    level = np.log(depth)[:, None]
    left, right = (np.hstack([signal + level, 0 * signal]) + rng.normal(size=(4000, 2)) for _ in range(2))
    mean = np.hstack([signal + error, error])
    variance, reliability = signal_at_spots((left + right) / 2, (left, right), depth)
    r = partial_correlation((left + right) / 2, mean, np.log(depth))
    result = unexplained_at_spots(variance, reliability, r=r, posterior=np.full(2, 0.1), spots=4000)
    assert result.signal[0] == pytest.approx(1, rel=0.1)
    assert result.intercept[0] + 4 * 0.1 == pytest.approx(0.5, abs=0.05)
    assert np.isnan(result.intercept[1])
    assert result.excess(np.array([[0.1, 0.1]]))[0, 0] == pytest.approx(0.4, abs=0.05)


def test_predicted_reliability_is_realised() -> None:
    """On a tissue whose truth is known, the mean over genes is within 0.1 of the squared correlation, at each width."""
    fit = hs.fit(SECTION, hs.Recipe("cokriging", "positions", genes="all"))
    locations = hs.grid(SECTION, 40.0)
    locations = locations.take(np.arange(0, len(locations), 4))
    resolution = hs.effective_resolution(fit, SECTION, locations=locations, widths_um=(25, 200))
    for width, predicted in zip(resolution.widths_um, resolution.reliability, strict=True):
        inputs, disk = _disk_inputs(fit, SECTION, resolution.locations, width, compute=hs.Compute())
        mean = disk_scores(as_fitted(fit.predictor), inputs, disk)[0] @ fit.predictor.basis.loadings.T
        shift, part = disk_points(width, 55.0)
        truth = np.mean([TISSUE.truth(resolution.locations.xy + step, part) for step in shift], axis=0)
        realised = [np.corrcoef(truth[:, gene], mean[:, gene])[0, 1] ** 2 for gene in range(12)]
        known = np.isfinite(predicted)
        assert predicted[known].mean() == pytest.approx(np.array(realised)[known].mean(), abs=0.1)


def test_permuted_expression_is_known_nowhere() -> None:
    """With the counts of other spots, no gene has an effective resolution."""
    order = np.random.default_rng(0).permutation(len(SECTION))
    permuted = replace(SECTION, counts=sparse.csr_matrix(SECTION.counts[order]))
    fit = hs.fit(permuted, hs.Recipe("cokriging", "positions", genes="all"))
    resolution = hs.effective_resolution(fit, permuted, locations=at_spots(permuted), widths_um=(55,))
    assert not np.isfinite(resolution.resolution_um).any()


def test_what_has_no_effective_resolution_is_refused() -> None:
    """Other models, other sections, few spots, unknown genes and widths get a sentence."""
    fit = hs.fit(SECTION, hs.Recipe("cokriging", "positions", genes="all"))
    other = hs.synthetic(columns=8, rows=10, genes=12, seed=1).section
    with pytest.raises(UsageError, match="needs a fit of the model cokriging"):
        hs.effective_resolution(hs.fit(SECTION, hs.Recipe("idw", genes="all")), SECTION)
    with pytest.raises(UsageError, match="is not the one that was fitted"):
        hs.effective_resolution(fit, other)
    few = SECTION.take(np.arange(30))
    with pytest.raises(UsageError, match="at least 40 spots, got 30"):
        hs.effective_resolution(hs.fit(few, hs.Recipe("cokriging", "positions", genes="all")), few)
    with pytest.raises(UsageError, match="NO_GENE"):
        hs.effective_resolution(fit, SECTION, ["NO_GENE"])
    with pytest.raises(UsageError, match="`widths_um` of positive numbers"):
        hs.effective_resolution(fit, SECTION, widths_um=(0,))


def test_predictions_of_chance_explain_nothing() -> None:
    """Unrelated predictions leave all of the signal unexplained, near spots too; related ones do not."""
    rng = np.random.default_rng(3)
    measured = rng.normal(size=(200, 400))
    halves = (measured + 0.1 * rng.normal(size=(200, 400)), measured + 0.1 * rng.normal(size=(200, 400)))
    depth = rng.uniform(1000, 2000, 200)
    variance, reliability = signal_at_spots(measured, halves, depth)
    explained = {}
    for name, mean in {"chance": rng.normal(size=(200, 400)), "related": measured + halves[0]}.items():
        r = partial_correlation(measured, mean, np.log(depth))
        left = unexplained_at_spots(variance, reliability, r=r, posterior=np.full(400, 0.1), spots=200)
        explained[name] = (left.intercept < 0.99 * left.signal).sum()
    assert explained["chance"] <= 4
    assert explained["related"] == 400


def test_auxiliary_sections_raise_what_is_known() -> None:
    """A fit of several sections is judged at the spots of the first one; its own positions are what it is near."""
    other = hs.synthetic(columns=8, rows=10, genes=12, seed=1).section
    fit = hs.fit(SECTION, hs.Recipe("cokriging", genes="all"), auxiliary=[other])
    resolution = hs.effective_resolution(fit, SECTION, locations=at_spots(SECTION), widths_um=(55, 200))
    known = np.isfinite(resolution.reliability).all(axis=0)
    assert known.sum() >= 6
    assert (resolution.reliability[1, known] > resolution.reliability[0, known] - 0.02).all()
    assert np.nanmean(resolution.reliability[1]) > 0.5


def measured_mean(truth: np.ndarray, depth: float) -> np.ndarray:
    """Return the expectation of log1p(CP10k) of Poisson counts: for few counts it is not the logarithm of the mean."""
    counts = np.arange(3000)
    values = np.log1p(1e4 * counts / depth)
    means = [poisson.pmf(counts, rates[:, None] * depth / 1e4) @ values for rates in np.expm1(truth.T)]
    return np.stack(means, axis=1)


def test_intervals_of_means_hold() -> None:
    """Of true means over disks, about 90 % lie within 1.64 standard deviations of the predicted ones."""
    fit = hs.fit(SECTION, hs.Recipe("cokriging", "positions", genes="all"))
    locations = hs.grid(SECTION, 40.0)
    locations = locations.take(np.arange(0, len(locations), 12))
    resolution = hs.effective_resolution(fit, SECTION, locations=locations, widths_um=(25, 200))
    basis = as_fitted(fit.predictor).basis
    typical = float(np.median(np.asarray(SECTION.counts.sum(axis=1))))
    for width in (25.0, 200.0):
        inputs, disk = _disk_inputs(fit, SECTION, locations, width, compute=hs.Compute())
        scores, _ = disk_scores(as_fitted(fit.predictor), inputs, disk)
        shift, part = disk_points(width, 55.0)
        truth = np.mean(
            [measured_mean(TISSUE.truth(locations.xy + step, part), typical) for step in shift], axis=0
        )
        inside = []
        for column, gene in enumerate(SECTION.genes):
            sd, row = resolution.sd_at(gene, width), basis.columns([gene])[0]
            error = truth[:, column] - basis.offset[row] - scores @ basis.loadings[row]
            if np.isfinite(sd).all():
                inside.append((np.abs(error - error.mean()) < 1.645 * sd).mean())
        assert 0.75 < np.mean(inside) < 0.98
