"""Estimates, bounds and grades of genes are what another measurement shows."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.prediction.accuracy import GRADES, GeneAccuracy

RNG = np.random.default_rng(0)
SPOTS = 100


def measured(truth: np.ndarray) -> np.ndarray:
    """Return correlations that spots would show where the truth is ``truth``."""
    return np.tanh(np.arctanh(truth) + RNG.normal(0, (SPOTS - 3) ** -0.5, len(truth)))


def test_the_largest_correlations_are_not_too_large() -> None:
    """Of genes with a correlation above 0.35, shrunken ones are right on average, and plain ones too large."""
    truth = np.tanh(RNG.normal(0.2, 0.15, 4000))
    accuracy = GeneAccuracy.of(r := measured(truth), r, spots=SPOTS)
    chosen = r > 0.35
    assert r[chosen].mean() - truth[chosen].mean() > 0.05
    assert abs(accuracy.shrunken[chosen].mean() - truth[chosen].mean()) < 0.02
    for level in (0.35, 0.5):
        assert (accuracy.shrunken > level).sum() < (r > level).sum()


@pytest.mark.parametrize("centre", [0.1, 0.3, 0.5])
def test_of_the_genes_of_a_grade_nearly_all_deserve_it(centre: float) -> None:
    """95 % of the genes of each grade alone reach its bound, to two standard errors, whatever the panel."""
    truth = np.tanh(RNG.normal(centre, 0.25, 60_000))
    accuracy = GeneAccuracy.of(r := measured(truth), r, spots=SPOTS)
    for name, bound in GRADES.items():
        called = accuracy.grade == name
        assert called.sum() > 20
        assert (truth[called] >= bound).mean() > 0.95 - 2 * (0.05 / called.sum()) ** 0.5, name


def test_the_stricter_correlation_decides() -> None:
    """A gene whose pattern is that of total counts has no grade, however high its correlation."""
    high, low = np.full(50, 0.8), np.full(50, 0.0)
    assert set(GeneAccuracy.of(high, high, spots=SPOTS).grade) == {"strong"}
    assert set(GeneAccuracy.of(high, low, spots=SPOTS).grade) == {"none"}


def test_sure_genes_do_not_carry_an_unlikely_one() -> None:
    """Among many genes that are surely reliable, one without any pattern has no grade."""
    r = np.append(np.linspace(0.8, 0.95, 99), 0.02)
    accuracy = GeneAccuracy.of(r, r, spots=300)
    assert (accuracy.grade[:-1] == "strong").all()
    assert accuracy.grade[-1] == "none"


def test_bounds_hold() -> None:
    """Nine in ten intervals hold the correlation that is expected, and without signal they are as wide."""
    for scale in (0.2, 0.0):
        truth = np.tanh(RNG.normal(0, scale, 4000))
        accuracy = GeneAccuracy.of(r := measured(truth), r, spots=SPOTS)
        assert 0.885 < ((accuracy.low <= truth) & (truth <= accuracy.high)).mean() < 0.915
        assert (accuracy.high - accuracy.low).mean() > 0.25


def test_unknown_stays_unknown() -> None:
    """A gene that was not measured has neither bounds nor a grade, and changes nothing of the others."""
    r = measured(np.full(40, 0.4))
    plain, more = GeneAccuracy.of(r, r, spots=SPOTS), np.append(r, np.nan)
    accuracy = GeneAccuracy.of(more, more, spots=SPOTS)
    assert accuracy.grade[-1] == "unknown"
    assert np.isnan([accuracy.low[-1], accuracy.shrunken[-1]]).all()
    assert np.allclose(accuracy.shrunken[:-1], plain.shrunken)


def test_a_few_genes_are_not_shrunk() -> None:
    """Two named genes keep their correlations; a gene is strong where its lower bound is."""
    accuracy = GeneAccuracy.of(np.array([0.9, 0.62]), np.array([0.9, 0.62]), spots=SPOTS)
    assert np.allclose(accuracy.shrunken, [0.9, 0.62])
    assert accuracy.grade.tolist() == ["strong", "fair"]


def test_wider_errors_make_grades_stricter() -> None:
    """Where errors are wider than those of independent spots, bounds and shrinkage are right with their variance."""
    sd = 1.5 * (SPOTS - 3) ** -0.5
    truth = np.tanh(RNG.normal(0.4, 0.25, 60_000))
    r = np.tanh(np.arctanh(truth) + RNG.normal(0, sd, len(truth)))
    accuracy = GeneAccuracy.of(r, r, spots=SPOTS, variance=sd**2)
    assert 0.89 < ((accuracy.low <= truth) & (truth <= accuracy.high)).mean() < 0.91
    for name, bound in GRADES.items():
        called = accuracy.grade == name
        assert (truth[called] >= bound).mean() > 0.95 - 2 * (0.05 / called.sum()) ** 0.5, name
    # no estimate makes a correlation surer than one of independent spots
    plain, less = (GeneAccuracy.of(r, r, spots=SPOTS, variance=part) for part in (0.0, 1e-6))
    assert np.array_equal(plain.low, less.low)


def test_what_all_genes_share_makes_grades_stricter() -> None:
    """A variance common to all genes widens the bounds and lowers the number of graded genes, and moves no estimate."""
    r = measured(np.tanh(RNG.normal(0.3, 0.25, 4000)))
    plain, less_sure = (GeneAccuracy.of(r, r, spots=SPOTS, common_variance=part) for part in (0.0, 0.02))
    assert np.allclose(plain.shrunken, less_sure.shrunken)
    assert (less_sure.low < plain.low).all()
    assert 0 < less_sure.reliable.sum() < 0.8 * plain.reliable.sum()
