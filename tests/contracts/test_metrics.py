"""Contract of every metric, and comparison of each with an independent implementation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import histosge
from histosge.errors import DataError
from histosge.metrics import METRICS, SETS, Comparison
from histosge.metrics.ceiling import noise_ceiling
from histosge.metrics.deviance import poisson_deviance
from histosge.metrics.errors import mae, mse
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.intervals import coverage, crps, width
from histosge.metrics.labels import adjusted_rand, mutual_information
from histosge.metrics.pearson import pearson
from histosge.metrics.skill import skill_score
from histosge.metrics.spearman import spearman
from histosge.metrics.ssim import disk_neighbourhoods, ssim

REFERENCES = (Path(histosge.__file__).parent / "workflow/references.bib").read_text(encoding="utf-8")
RNG = np.random.default_rng(0)


def comparison(n: int = 60, g: int = 7) -> Comparison:
    truth = RNG.gamma(2.0, 1.0, (n, g))
    xy = np.stack(np.meshgrid(np.arange(10.0), np.arange(n / 10)), -1).reshape(-1, 2) * 100
    return Comparison(
        truth,
        truth + RNG.normal(0, 0.5, (n, g)),
        np.full((n, g), 0.5),
        RNG.poisson(2.0, (n, g)).astype(float),
        RNG.uniform(1e3, 1e4, n),
        xy,
        RNG.uniform(0, 200, n),
    )


@pytest.mark.parametrize("name", sorted(METRICS))
def test_card_is_complete(name: str) -> None:
    """A card has a name, a sentence, a direction, a range, score sets, and a citation that exists."""
    card = METRICS[name].card
    assert card.name == name
    assert card.summary.endswith(".")
    assert card.range[0] < card.range[1]
    assert set(card.sets) <= set(SETS)
    assert "test" in card.sets
    assert (card.target is not None) == (card.better == "target")
    assert card.citation == "" or re.search(rf"@\w+\{{{card.citation},", REFERENCES)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_one_value_per_gene_inside_the_range(name: str) -> None:
    """A metric returns one value per gene, inside the range of its card, whatever the order of the spots."""
    metric, full = METRICS[name], comparison()
    values = metric.compute(full)
    assert values is not None
    assert values.shape == (7,)
    low, high = metric.card.range
    assert np.all((values >= low - 1e-9) & (values <= high + 1e-9))
    order = RNG.permutation(60)
    parts: dict[str, Any] = {part: getattr(full, part)[order] for part in Comparison.__dataclass_fields__}
    assert np.allclose(np.asarray(metric.compute(Comparison(**parts))), values)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_missing_input_gives_no_score(name: str) -> None:
    """A metric that needs standard deviations, counts or positions returns None without them."""
    full = comparison()
    values = METRICS[name].compute(Comparison(full.truth, full.prediction))
    assert (values is not None) == (name in ("pcc", "spearman", "mse", "mae"))


def test_correlations_equal_scipy() -> None:
    """Pearson and Spearman agree with SciPy, ties included, and are undefined for constant columns."""
    from scipy.stats import pearsonr, spearmanr

    full = comparison()
    truth, prediction = full.truth.round(), full.prediction
    for column in range(7):
        x, y = truth[:, column], prediction[:, column]
        assert pearson(truth, prediction)[column] == pytest.approx(pearsonr(x, y)[0])
        assert spearman(truth, prediction)[column] == pytest.approx(spearmanr(x, y)[0])
    constant = np.full((60, 7), 0.1) + 1e-17
    assert np.isnan(pearson(truth, constant)).all()
    assert np.isnan(pearson(constant.astype(np.float32), prediction)).all()


def test_errors_and_deviance_equal_scikit_learn() -> None:
    """Squared, absolute and Poisson errors agree with scikit-learn."""
    from sklearn.metrics import mean_absolute_error, mean_poisson_deviance, mean_squared_error

    full = comparison()
    assert full.counts is not None
    truth, prediction = full.truth, full.prediction
    assert np.allclose(
        mse(truth, prediction), mean_squared_error(truth, prediction, multioutput="raw_values")
    )
    assert np.allclose(
        mae(truth, prediction), mean_absolute_error(truth, prediction, multioutput="raw_values")
    )
    rate = np.abs(prediction) + 0.1
    expected = [mean_poisson_deviance(full.counts[:, column], rate[:, column]) for column in range(7)]
    assert np.allclose(poisson_deviance(full.counts, rate), expected)


def test_ssim_equals_scikit_image() -> None:
    """On a full square grid with 7 × 7 neighbourhoods the inner pixels give scikit-image's map."""
    from skimage.metrics import structural_similarity

    side = 20
    truth, prediction = RNG.normal(size=(2, side, side))
    expected = structural_similarity(
        truth, prediction, win_size=7, data_range=np.ptp(truth), use_sample_covariance=False, full=True
    )[1][3:-3, 3:-3]
    pixel = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    distance = np.abs(pixel[:, None] - pixel[None]).max(-1)
    inner = ((pixel >= 3) & (pixel < side - 3)).all(1)
    squares = sparse.csr_matrix((distance <= 3) / (distance <= 3).sum(1, keepdims=True))
    # only inner pixels are compared: the neighbourhoods of the others are cut by the edge
    mean = ssim(truth.reshape(-1, 1), prediction.reshape(-1, 1), squares)[0]
    outer = ssim_of_rows(truth, prediction, squares, ~inner)
    assert (mean * side**2 - outer.sum()) / inner.sum() == pytest.approx(expected.mean(), abs=1e-9)


def ssim_of_rows(
    truth: np.ndarray, prediction: np.ndarray, neighbourhoods: sparse.csr_matrix, rows: np.ndarray
) -> np.ndarray:
    """Structural similarity of single spots, from the textbook formula."""
    t, p = truth.ravel(), prediction.ravel()
    c1, c2 = (0.01 * np.ptp(t)) ** 2, (0.03 * np.ptp(t)) ** 2
    weights = neighbourhoods[rows].toarray()
    mt, mp = weights @ t, weights @ p
    vt, vp = weights @ t**2 - mt**2, weights @ p**2 - mp**2
    covariance = weights @ (t * p) - mt * mp
    return (2 * mt * mp + c1) * (2 * covariance + c2) / ((mt**2 + mp**2 + c1) * (vt + vp + c2))


def test_a_hexagonal_neighbourhood_holds_nineteen_spots() -> None:
    """A radius of two pitches includes a spot and its two rings."""
    column, row = np.meshgrid(np.arange(9), np.arange(9))
    xy = np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], -1).reshape(-1, 2) * 100
    assert (disk_neighbourhoods(xy, 210.0)[40] > 0).sum() == 19


def test_crps_is_the_integral() -> None:
    """The closed form equals the integral of the squared distance of distribution functions, which begin at 0."""
    from scipy.stats import norm

    x = np.linspace(0, 20, 200_001)
    step = x[1] - x[0]
    for mean, truth in ((0.3, 1.1), (2.5, 0.0), (0.0, 0.0)):
        integral = ((norm.cdf(x, mean, 1.7) - (x >= truth)) ** 2).sum() * step
        score = crps(np.array([[truth]]), np.array([[mean]]), np.array([[1.7]]))[0]
        assert score == pytest.approx(integral, abs=2e-4)
    # a certain prediction scores its absolute error
    assert crps(np.array([[1.0]]), np.array([[0.25]]), np.array([[0.0]]))[0] == pytest.approx(0.75)


def test_intervals_cover_at_their_level() -> None:
    """Normal errors of the predicted size fall inside at the nominal rate; widths are 2 × the normal quantile."""
    truth = 50 + RNG.normal(size=(20_000, 2))
    centre, sd = np.full_like(truth, 50.0), np.ones_like(truth)
    for level in (0.5, 0.9):
        assert np.allclose(coverage(truth, centre, sd, level), level, atol=0.01)
    assert np.allclose(width(centre, sd, 0.9), 2 * 1.6449, atol=1e-3)


def test_the_partial_correlation_is_that_of_the_residuals_of_a_line() -> None:
    """Each gene's value agrees with the formula of three correlations; what a covariate explains alone is undefined."""
    full = comparison()
    assert full.depth is not None
    covariate = np.log(full.depth)
    truth = full.truth + 0.8 * covariate[:, None]
    expected = []
    for column in range(7):
        r = np.corrcoef(np.stack([truth[:, column], full.prediction[:, column], covariate]))
        expected.append((r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)))
    assert np.allclose(partial_correlation(truth, full.prediction, covariate), expected)
    # single precision: what is left of a linear function of the covariate is rounding, not a pattern
    line = (3 - 0.7 * covariate[:, None] * np.arange(1, 8)).astype(np.float32)
    assert np.isnan(partial_correlation(truth, line, covariate)).all()
    assert np.allclose(
        partial_correlation(truth, full.prediction, np.ones(60)), pearson(truth, full.prediction)
    )
    assert np.isnan(partial_correlation(truth[:3], full.prediction[:3], covariate[:3])).all()


def test_scores_given_depth_leave_depth_out() -> None:
    """A prediction that shares nothing with the truth but depth scores well, and about 0 given depth."""
    rng = np.random.default_rng(1)
    depth = rng.lognormal(8, 0.5, 500)
    truth, prediction = (np.log(depth)[:, None] + 0.3 * rng.normal(size=(500, 20)) for _ in range(2))
    scored = Comparison(truth, prediction, depth=depth)
    for name in ("pcc", "spearman"):
        plain, given_depth = (METRICS[key].compute(scored) for key in (name, f"{name}_given_depth"))
        assert plain is not None
        assert given_depth is not None
        assert plain.min() > 0.6
        # 0.1: the part of a monotone relation that ranks leave
        assert abs(given_depth.mean()) < 0.1


def test_noise_ceiling_is_the_correlation_of_a_perfect_prediction() -> None:
    """The correlation of the true rates with the measurement equals the ceiling, to a few hundredths."""
    n, g = 4000, 40
    rates = RNG.gamma(1.0, 2.0, (n, g))
    others = np.full((n, 1), 20_000.0)
    counts = sparse.csr_matrix(RNG.poisson(np.hstack([rates, others])))
    measured = np.log1p(counts.toarray()[:, :g] / np.asarray(counts.sum(1)) * 1e4)
    perfect = pearson(measured, np.log1p(rates / 2))
    assert np.allclose(noise_ceiling(counts, np.arange(g)), perfect, atol=0.05)


@pytest.mark.parametrize("signal", [0.0, 0.3])
def test_the_noise_ceiling_of_few_spots_is_neither_noise_nor_depth(signal: float) -> None:
    """At 90 spots of very different depth, genes without a pattern of their own have a ceiling near 0 given depth."""
    rng = np.random.default_rng(3)
    n, g = 90, 300
    depth = rng.lognormal(8.3, 0.5, (n, 1))
    rates = 10 ** rng.uniform(-4.5, -2.5, g) * np.exp(signal * rng.normal(size=(n, g)))
    expected = np.hstack([rates, np.full((n, 1), 0.7)])
    expected *= depth / expected.sum(axis=1, keepdims=True)

    def measured() -> np.ndarray:
        counts = rng.poisson(expected)
        return np.log1p(counts[:, :g] * 1e4 / counts.sum(axis=1, keepdims=True))

    # the expected value of a measurement, over many of them
    perfect = np.mean([measured() for _ in range(100)], axis=0)
    truth = np.mean([partial_correlation(measured(), perfect, np.log(depth[:, 0])) for _ in range(5)])
    counts = sparse.csr_matrix(rng.poisson(expected))
    ceiling = noise_ceiling(counts, np.arange(g), given_depth=True)
    # 0.18 for no signal by √max(ρ, 0)
    assert abs(ceiling.mean() - truth) < 0.06
    assert (ceiling >= 0).all()


def test_skill_score_compares_with_kriging() -> None:
    """Half the error of kriging is a skill of 0.5; without an error of kriging it is undefined."""
    assert skill_score(np.array([0.5, 2.0]), np.array([1.0, 1.0])).tolist() == [0.5, -1.0]
    assert np.isnan(skill_score(np.array([1.0]), np.array([0.0]))).all()


def test_only_annotated_spots_are_compared() -> None:
    """Spots without annotation are dropped; renamed clusters agree fully."""
    annotation, clusters = ["a", "a", "", "b", "b"], [5, 5, 9, 7, 7]
    assert adjusted_rand(annotation, clusters) == 1
    assert mutual_information(annotation, clusters) == 1
    assert adjusted_rand(["a", "b", "a", "b"], [1, 1, 2, 2]) < 0
    with pytest.raises(DataError, match="annotated"):
        adjusted_rand(["", ""], [1, 2])
    with pytest.raises(DataError, match="one cluster label per annotation"):
        adjusted_rand(["a"], [1, 2])
