"""Conformal calibration factors and the coverage of intervals."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.prediction.calibration import calibration_factor, coverage, coverage_of_others, pooled_coverage

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("spots", "rank"), [(20, 19), (10, 10), (30, 28)])
def test_the_rank_counts_one_more_than_the_spots(spots: int, rank: int) -> None:
    """The factor is that of the ⌈0.9 (n + 1)⌉-th smallest error; ⌈0.9 n⌉ is one less for each of these n."""
    error = RNG.permutation(np.arange(1.0, spots + 1))[:, None]
    factor = calibration_factor(error, np.ones_like(error))
    assert factor[0] == pytest.approx(rank / 1.6448536269514722)


def test_a_gene_without_errors_has_factor_one() -> None:
    """A gene that never varied needs no calibration."""
    assert calibration_factor(np.zeros((30, 1)), np.zeros((30, 1))).tolist() == [1.0]


def test_calibrated_intervals_cover_new_errors() -> None:
    """Over many samples the mean coverage of a new error is nine in ten or a little more, whatever the sd."""
    error = RNG.standard_t(3, size=(21, 4000))
    factor = calibration_factor(error[:20], np.full((20, 4000), 0.3))
    inside = np.abs(error[20]) <= 1.6448536269514722 * 0.3 * factor
    assert 0.89 < inside.mean() < 0.93


def test_coverage_of_parts_pools_to_the_whole() -> None:
    """Tables of some genes at a time average to the table of all genes."""
    error, sd = RNG.normal(size=(50, 6)), RNG.uniform(0.5, 2, (50, 6))
    factor = calibration_factor(error, sd)
    parts = [
        (part.stop - part.start, coverage(error[:, part], sd[:, part], factor[part]))
        for part in (slice(0, 2), slice(2, 6))
    ]
    whole, pooled = coverage(error, sd, factor), pooled_coverage(parts)
    for name in ("levels", "raw", "coverage"):
        assert np.allclose(whole[name], pooled[name])


def test_coverage_is_that_of_other_errors() -> None:
    """Where the errors of one fold are ten times as large, their intervals are too narrow, and the coverage says so.

    With the factor of all errors together nine in ten would lie inside by construction.
    """
    fold = np.arange(500) % 5
    error = RNG.normal(size=(500, 40)) * np.where(fold == 0, 10.0, 1.0)[:, None]
    sd = np.ones_like(error)
    by_construction = coverage(error, sd, calibration_factor(error, sd))["coverage"][2]
    assert by_construction == pytest.approx(0.902, abs=0.002)
    found = coverage_of_others(error, sd, fold)["coverage"][2]
    inside = [np.abs(error[fold == 0]) < np.quantile(np.abs(error[fold != 0]), 0.9)]
    expected = 0.2 * np.mean(inside) + 0.8
    assert found == pytest.approx(expected, abs=0.02)
