"""What every metric keeps, and that it is what its name says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import histosge
from histosge.errors import DataError
from histosge.metrics import METRICS, SETS, Case
from histosge.metrics.ceiling import noise_ceiling
from histosge.metrics.deviance import poisson_deviance
from histosge.metrics.errors import mae, mse
from histosge.metrics.intervals import coverage, crps, width
from histosge.metrics.labels import adjusted_rand, mutual_information
from histosge.metrics.pearson import pearson
from histosge.metrics.skill import skill
from histosge.metrics.spearman import spearman
from histosge.metrics.ssim import disks, ssim

REFERENCES = (Path(histosge.__file__).parent / "references.bib").read_text(encoding="utf-8")
RNG = np.random.default_rng(0)


def case(n: int = 60, g: int = 7) -> Case:
    truth = RNG.gamma(2.0, 1.0, (n, g))
    xy = np.stack(np.meshgrid(np.arange(10.0), np.arange(n / 10)), -1).reshape(-1, 2) * 100
    return Case(
        truth,
        truth + RNG.normal(0, 0.5, (n, g)),
        np.full((n, g), 0.5),
        RNG.poisson(2.0, (n, g)).astype(float),
        RNG.uniform(1e3, 1e4, n),
        xy,
        RNG.uniform(0, 200, n),
    )


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_card_says_what_a_reader_must_know(name: str) -> None:
    """Name, a sentence, direction, range, sets, a citation that exists."""
    card = METRICS[name].card
    assert card.name == name
    assert card.summary.endswith(".")
    assert card.range[0] < card.range[1]
    assert set(card.sets) <= set(SETS)
    assert "test" in card.sets
    assert (card.target is not None) == (card.better == "target")
    assert card.citation == "" or re.search(rf"@\w+\{{{card.citation},", REFERENCES)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_value_a_gene_inside_the_range(name: str) -> None:
    """One value a gene, inside the card's range; the same whatever the order of the spots."""
    metric, given = METRICS[name], case()
    values = metric.of(given)
    assert values is not None
    assert values.shape == (7,)
    low, high = metric.card.range
    assert np.all((values >= low - 1e-9) & (values <= high + 1e-9))
    order = RNG.permutation(60)
    parts: dict[str, Any] = {part: getattr(given, part)[order] for part in Case.__dataclass_fields__}
    assert np.allclose(np.asarray(metric.of(Case(**parts))), values)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_what_is_missing_is_no_score(name: str) -> None:
    """Without spread, counts or positions a metric that needs them is left out; none is made up."""
    bare = case()
    values = METRICS[name].of(Case(bare.truth, bare.found))
    assert (values is not None) == (name in ("pcc", "spearman", "mse", "mae"))


def test_correlations_are_scipys() -> None:
    """Pearson and Spearman agree with SciPy, ties included, and constant columns have none."""
    from scipy.stats import pearsonr, spearmanr

    given = case()
    truth, found = given.truth.round(), given.found
    for column in range(7):
        assert pearson(truth, found)[column] == pytest.approx(pearsonr(truth[:, column], found[:, column])[0])
        assert spearman(truth, found)[column] == pytest.approx(
            spearmanr(truth[:, column], found[:, column])[0]
        )
    constant = np.full((60, 7), 0.1) + 1e-17
    assert np.isnan(pearson(truth, constant)).all()
    assert np.isnan(pearson(constant.astype(np.float32), found)).all()


def test_errors_and_deviance_are_scikit_learns() -> None:
    """Squared, absolute and Poisson errors agree with scikit-learn."""
    from sklearn.metrics import mean_absolute_error, mean_poisson_deviance, mean_squared_error

    given = case()
    assert given.counts is not None
    assert np.allclose(
        mse(given.truth, given.found), mean_squared_error(given.truth, given.found, multioutput="raw_values")
    )
    assert np.allclose(
        mae(given.truth, given.found), mean_absolute_error(given.truth, given.found, multioutput="raw_values")
    )
    rate = np.abs(given.found) + 0.1
    theirs = [mean_poisson_deviance(given.counts[:, column], rate[:, column]) for column in range(7)]
    assert np.allclose(poisson_deviance(given.counts, rate), theirs)


def test_ssim_is_scikit_images() -> None:
    """On a full square grid with 7 × 7 windows the inner pixels give scikit-image's map."""
    from skimage.metrics import structural_similarity

    side = 20
    truth, found = RNG.normal(size=(2, side, side))
    whole = structural_similarity(
        truth, found, win_size=7, data_range=np.ptp(truth), use_sample_covariance=False, full=True
    )[1][3:-3, 3:-3]
    where = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    apart = np.abs(where[:, None] - where[None]).max(-1)
    inner = ((where >= 3) & (where < side - 3)).all(1)
    windows = sparse.csr_matrix((apart <= 3) / (apart <= 3).sum(1, keepdims=True))
    # the mean over inner spots alone: the others' windows are cut by the edge
    ours = ssim(truth.reshape(-1, 1), found.reshape(-1, 1), windows)
    outer = ssim_at(truth, found, windows, ~inner)
    assert (ours[0] * side**2 - outer.sum()) / inner.sum() == pytest.approx(whole.mean(), abs=1e-9)


def ssim_at(truth: np.ndarray, found: np.ndarray, windows: sparse.csr_matrix, rows: np.ndarray) -> np.ndarray:
    """Structural similarity of single spots, written out again."""
    t, f = truth.ravel(), found.ravel()
    one, two = (0.01 * np.ptp(t)) ** 2, (0.03 * np.ptp(t)) ** 2
    weights = windows[rows].toarray()
    mt, mf = weights @ t, weights @ f
    vt, vf = weights @ t**2 - mt**2, weights @ f**2 - mf**2
    both = weights @ (t * f) - mt * mf
    return (2 * mt * mf + one) * (2 * both + two) / ((mt**2 + mf**2 + one) * (vt + vf + two))


def test_windows_of_a_hexagonal_lattice_hold_nineteen() -> None:
    """A radius of two pitches takes in a spot and its two rings."""
    column, row = np.meshgrid(np.arange(9), np.arange(9))
    xy = np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], -1).reshape(-1, 2) * 100
    assert (disks(xy, 210.0)[40] > 0).sum() == 19


def test_crps_is_the_integral() -> None:
    """The closed form equals the integral of the squared distance of distribution functions."""
    from scipy.stats import norm

    x = np.linspace(-20, 20, 400_001)
    step = x[1] - x[0]
    integral = ((norm.cdf(x, 0.3, 1.7) - (x >= 1.1)) ** 2).sum() * step
    assert crps(np.array([[1.1]]), np.array([[0.3]]), np.array([[1.7]]))[0] == pytest.approx(
        integral, abs=1e-4
    )


def test_intervals_cover_what_they_say() -> None:
    """Normal errors of the stated size fall inside at the stated rate; widths are those of the normal quantiles."""
    truth = 50 + RNG.normal(size=(20_000, 2))
    centre, sd = np.full_like(truth, 50.0), np.ones_like(truth)
    for level in (0.5, 0.9):
        assert np.allclose(coverage(truth, centre, sd, level), level, atol=0.01)
    assert np.allclose(width(centre, sd, 0.9), 2 * 1.6449, atol=1e-3)


def test_the_ceiling_is_what_a_perfect_predictor_reaches() -> None:
    """The correlation of the true rates with the measurement is the ceiling, to a few hundredths."""
    n, g = 4000, 40
    rates = RNG.gamma(1.0, 2.0, (n, g))
    others = np.full((n, 1), 20_000.0)
    counts = sparse.csr_matrix(RNG.poisson(np.hstack([rates, others])))
    measured = np.log1p(counts.toarray()[:, :g] / np.asarray(counts.sum(1)) * 1e4)
    reached = pearson(measured, np.log1p(rates / 2))
    assert np.allclose(noise_ceiling(counts, np.arange(g)), reached, atol=0.05)


def test_skill_compares_with_interpolation() -> None:
    """Half the error is half the skill; no error to compare with is no skill at all."""
    assert skill(np.array([0.5, 2.0]), np.array([1.0, 1.0])).tolist() == [0.5, -1.0]
    assert np.isnan(skill(np.array([1.0]), np.array([0.0]))).all()


def test_labels_are_compared_where_there_are_any() -> None:
    """Spots without annotation are dropped; renamed clusters agree fully."""
    annotation, clusters = ["a", "a", "", "b", "b"], [5, 5, 9, 7, 7]
    assert adjusted_rand(annotation, clusters) == 1
    assert mutual_information(annotation, clusters) == 1
    assert adjusted_rand(["a", "b", "a", "b"], [1, 1, 2, 2]) < 0
    with pytest.raises(DataError, match="annotated"):
        adjusted_rand(["", ""], [1, 2])
    with pytest.raises(DataError, match="one an annotation"):
        adjusted_rand(["a"], [1, 2])
