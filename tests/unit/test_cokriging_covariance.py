"""What cokriging compares places by: looks, positions, the window, and the evidence for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cokriging_samples import EXPRESSION, FEATURES, XY, N, samples_of

from histosge.models.cokriging.block_covariance import matern
from histosge.models.cokriging.eigensolver import Spectrum
from histosge.models.cokriging.image_features import Appearance
from histosge.models.cokriging.kernels import Covariance, Sites
from histosge.models.cokriging.model import Cokriging
from histosge.models.cokriging.model_selection import choose


def looks() -> tuple[Appearance, Any]:
    return Appearance.fit(FEATURES, np.zeros(N, dtype=np.intp), XY, 100.0, EXPRESSION[:, :6])


def test_a_place_looks_the_same_whatever_else_is_asked_for() -> None:
    """Looks at some places are the rows of looks at all of them."""
    appearance, _ = looks()
    sections, xy = np.zeros(N, dtype=np.intp), XY + 20.0
    whole = appearance.look(FEATURES, sections, xy)
    rows = np.array([3, 40, 7])
    some = appearance.look(FEATURES[rows], sections[rows], xy[rows])
    for name in ("own", "around", "guess"):
        assert np.allclose(getattr(some, name), getattr(whole, name)[rows], atol=1e-9), name


def test_a_fitted_spot_counts_once_in_its_surroundings() -> None:
    """Asked about a fitted spot, its surroundings are the weighted mean of it, once, and of its neighbours."""
    appearance, fit = looks()
    asked = appearance.look(FEATURES, np.zeros(N, dtype=np.intp), XY)
    assert np.allclose(asked.around, fit.around)
    distance = np.linalg.norm(XY - XY[30], axis=1)
    for block, (width, stretch) in enumerate(zip(appearance.widths_um, appearance.stretch, strict=True), 1):
        weight = np.where(distance <= 4 * width, np.exp(-0.5 * (distance / width) ** 2), 0.0)
        size = appearance.own.shape[1]
        expected = weight @ appearance.own / weight.sum() * stretch
        assert np.allclose(fit.around[30, block * size : (block + 1) * size], expected)


def test_the_guess_at_a_fitted_spot_has_not_seen_it() -> None:
    """A spot's own expression leaves its guess alone (but for the mean and the penalty), and moves the others'."""
    wild = EXPRESSION[:, :6].copy()
    wild[10] += 5.0
    before, after = (
        Appearance.fit(FEATURES, np.zeros(N, dtype=np.intp), XY, 100.0, targets)[1].guess
        for targets in (EXPRESSION[:, :6], wild)
    )
    moved = np.abs(after - before).mean(axis=1)
    assert moved[10] < 5 * np.median(moved)
    # an ordinary regression would follow its own spot by its leverage times the shift
    assert moved[10] < 0.1 * 5.0


def test_holes_and_constant_features_are_handled() -> None:
    """Features that are missing count as average, and columns that say nothing change nothing."""
    bad = FEATURES.copy()
    bad[3, 1], bad[7] = np.nan, np.inf
    bad = np.column_stack([bad, np.full(N, np.nan), np.full(N, 4.0)])
    _, look = Appearance.fit(bad, np.zeros(N, dtype=np.intp), XY, 100.0, EXPRESSION[:, :6])
    assert all(np.isfinite(getattr(look, name)).all() for name in ("own", "around", "guess"))
    assert np.allclose(look.own[7], 0.0)
    padded = np.column_stack([FEATURES, np.full(N, 4.0)])
    plain, more = (
        Cokriging().fit(samples_of(features=seen)).blocks(samples_of(features=seen).inputs)
        for seen in (FEATURES, padded)
    )
    assert np.allclose(next(plain)[1], next(more)[1], atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("short_range_um", [None, 50.0])
def test_the_variance_of_a_place_is_its_covariance_with_itself(
    share: float, short_range_um: float | None
) -> None:
    """The diagonal of the covariance, disks, looks and window included, is what ``variance`` says."""
    _, look = looks()
    for diameter in (0.0, 80.0):
        sites = Sites(XY, np.zeros(len(XY), dtype=np.intp), diameter, look)
        covariance = Covariance.of(sites, (200.0, 800.0), share, short_range_um)
        assert np.allclose(np.diag(covariance(sites, sites)), covariance.variance(sites), atol=1e-5)


def test_positions_of_different_sections_do_not_covary() -> None:
    """The covariance by position is 0 between sections, and within each what it is for that section alone."""
    sections = np.repeat(np.arange(3), N)
    inputs = Sites(np.tile(XY, (3, 1)), sections, 55.0, None)
    covariance = Covariance.of(inputs, (150.0, 800.0), 0.0)
    single, double = (covariance(inputs, inputs, kind) for kind in (np.float32, np.float64))
    assert single.dtype == np.float32
    assert np.abs(single - double).max() < 2e-6
    alone = inputs.take(np.arange(N))
    same = sections[:, None] == sections[None, :]
    assert np.allclose(double, np.where(same, np.tile(covariance(alone, alone), (3, 3)), 0.0), atol=1e-12)
    assert not double[~same].any()


def test_the_window_is_part_of_the_image() -> None:
    """Where the image has no share there is no window; where it has all, the rest of its variance is the window's."""
    _, look = looks()
    sites = Sites(XY, np.zeros(len(XY), dtype=np.intp), 0.0, look)
    without, none, whole = (
        Covariance.of(sites, (200.0,), share, window)
        for share, window in ((0.0, None), (0.0, 50.0), (1.0, 50.0))
    )
    assert np.array_equal(without(sites, sites), none(sites, sites))
    distance = np.linalg.norm(XY[:, None] - XY[None], axis=2)
    window = whole.position(sites, sites)
    assert np.allclose(window, matern(distance, 50.0) / 7, atol=1e-6)
    assert np.allclose(np.diag(whole(sites, sites)).mean(), 1.0, atol=1e-5)


def test_evidence_is_that_of_the_covariance_it_chooses() -> None:
    """Kernels made once for all shares are those of the covariance of each, looks and window included."""
    _, look = looks()
    sites = Sites(XY, np.zeros(len(XY), dtype=np.intp), 55.0, look)
    factors = EXPRESSION[:, :4]
    evidence = choose(sites, factors, (200.0, 800.0), (0.25, 0.75), 0, 50.0)
    logs = []
    for share in (0.25, 0.75):
        covariance = Covariance.of(sites, (200.0, 800.0), share, 50.0)
        logs.append(Spectrum.exact(covariance(sites, sites)).answer(factors).evidence.sum())
    expected = np.array(logs) - max(logs)
    assert np.allclose([evidence.logs[0.25], evidence.logs[0.75]], expected, atol=1e-3)


def test_evidence_is_the_best_ones_distance() -> None:
    """Log evidence is 0 for the share chosen and negative for all others."""
    _, look = looks()
    found = choose(
        Sites(XY, np.zeros(len(XY), dtype=np.intp), 0.0, look),
        EXPRESSION[:, :6],
        (200.0, 800.0),
        (0.0, 0.5),
        0,
    )
    assert found.logs[found.share] == 0.0
    assert max(found.logs.values()) == 0.0
    assert min(found.logs.values()) < 0.0
