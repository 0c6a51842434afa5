"""Image features of cokriging: components, neighbourhood averages, stacked ridge predictions."""

from __future__ import annotations

import numpy as np
from cokriging_samples import EXPRESSION, FEATURES, ONE_SECTION, XY, N, transformed

KINDS = ("components", "neighbourhood", "stacked")


def test_features_of_a_location_do_not_depend_on_the_others() -> None:
    """Features of some locations are the rows of the features of all of them."""
    transform, _ = transformed()
    xy, rows = XY + 20.0, np.array([3, 40, 7])
    whole = transform.transform(FEATURES, ONE_SECTION, xy)
    some = transform.transform(FEATURES[rows], ONE_SECTION[rows], xy[rows])
    for name in KINDS:
        assert np.allclose(getattr(some, name), getattr(whole, name)[rows], atol=1e-9), name


def test_a_training_spot_counts_once_in_its_neighbourhood() -> None:
    """The neighbourhood of a training spot is the weighted mean of itself, once, and of its neighbours."""
    transform, fit = transformed()
    again = transform.transform(FEATURES, ONE_SECTION, XY)
    assert np.allclose(again.neighbourhood, fit.neighbourhood)
    distance = np.linalg.norm(XY - XY[30], axis=1)
    size = transform.spot_components.shape[1]
    for block, (width, gain) in enumerate(zip(transform.widths_um, transform.gains, strict=True), 1):
        weight = np.where(distance <= 4 * width, np.exp(-0.5 * (distance / width) ** 2), 0.0)
        expected = weight @ transform.spot_components / weight.sum() * gain
        assert np.allclose(fit.neighbourhood[30, block * size : (block + 1) * size], expected)


def test_neighbourhoods_stay_within_a_section() -> None:
    """At the same coordinates in another section without spots, the averages are the location's own components."""
    transform, _ = transformed()
    other = transform.transform(FEATURES, ONE_SECTION + 1, XY)
    size = transform.spot_components.shape[1]
    assert np.allclose(other.neighbourhood[:, size : 2 * size], other.components)


def test_stacked_features_are_leave_one_out() -> None:
    """The expression of a spot does not move its own stacked feature more than those of other spots."""
    outlying = EXPRESSION[:, :6].copy()
    outlying[10] += 5.0
    before, after = (transformed(factors=factors)[1].stacked for factors in (EXPRESSION[:, :6], outlying))
    moved = np.abs(after - before).mean(axis=1)
    assert moved[10] < 5 * np.median(moved)
    # a regression with the spot itself would follow it by its leverage times the shift
    assert moved[10] < 0.1 * 5.0


def test_missing_features_count_as_the_mean() -> None:
    """NaN and infinite features, whole rows and columns of them, give finite image features."""
    missing = FEATURES.copy()
    missing[3, 1], missing[7] = np.nan, np.inf
    missing = np.column_stack([missing, np.full(N, np.nan), np.full(N, 4.0)])
    _, features = transformed(missing)
    assert all(np.isfinite(getattr(features, name)).all() for name in KINDS)
    assert np.allclose(features.components[7], 0.0)


def test_the_transform_adapts_to_the_staining_of_a_section() -> None:
    """Features scaled and shifted as by another stain give the same image features after adapting."""
    transform, _ = transformed()
    plain, stained = (
        transform.adapted_to(features, 1, XY).transform(features, ONE_SECTION + 1, XY)
        for features in (FEATURES, 1.5 * FEATURES + 2.0)
    )
    for name in KINDS:
        assert np.allclose(getattr(plain, name), getattr(stained, name), atol=1e-6), name
