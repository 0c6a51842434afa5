"""TESLA: inverse distance weighting in position and colour, as described; what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import histosge as hs
from histosge.errors import UsageError
from histosge.models import build_model, predict
from histosge.models.rivals.tesla import TESLA
from histosge.section.inputs import Inputs, Samples, in_section
from histosge.section.locations import at_spots

SECTION = hs.synthetic(columns=9, rows=9, genes=12).section
N = len(SECTION)


def samples() -> Samples:
    """Spots with colours of three channels, of unequal variance."""
    rng = np.random.default_rng(0)
    colour = rng.uniform(size=(N, 3)) * [0.6, 0.3, 0.1]
    inputs = Inputs(at_spots(SECTION), colour=colour)
    return Samples(inputs, rng.gamma(2.0, size=(N, 5)), np.array(list("ABCDE")), np.ones(N))


def mean(spots: Samples, inputs: Inputs | None = None, **options: Any) -> Any:
    return predict(TESLA(**options).fit(spots), spots.inputs if inputs is None else inputs).mean


def test_a_spot_with_its_colour_has_its_own_values() -> None:
    """Inverse distance weighting passes through the data; published colours of spots and locations do not agree."""
    spots = samples()
    assert np.allclose(mean(spots), spots.expression, atol=1e-3)
    assert np.abs(mean(spots, colour="published") - spots.expression).max() > 0.1


def test_without_colour_it_weighs_ratios_of_distances() -> None:
    """With a weight of 0 on colour, a prediction follows from positions by the formula."""
    spots = samples()
    xy = spots.inputs.locations.xy
    points = replace(spots.inputs.locations.points, xy=xy + np.array([13.0, 7.0]))
    moved = replace(spots.inputs, locations=replace(spots.inputs.locations, points=points))
    distance = np.linalg.norm(points.xy[40] - xy, axis=1)
    options: dict[str, Any] = {"colour_weight": 0.0, "neighbours": 4}
    nearest = np.argsort(distance)[:4]
    # of the four nearest, those within the distance that four spots have on average
    nearest = nearest[distance[nearest] <= TESLA(**options).fit(spots).cutoff_um]
    assert len(nearest) == 3
    for power, form in ((2.0, lambda ratio: ratio**-2.0), (1.5, lambda ratio: np.exp(-ratio))):
        weights = form((distance[nearest] + 0.1) / (distance[nearest[0]] + 0.1))
        expected = weights @ spots.expression[nearest] / weights.sum()
        predicted = mean(spots, moved, power=power, **options)[40]
        assert np.allclose(predicted, expected, rtol=1e-5)


@pytest.mark.parametrize("colour", ["consistent", "published"])
def test_the_order_of_spots_and_the_brightness_change_nothing(colour: str) -> None:
    """Spots in another order predict the same bits; colours in another unit the same numbers."""
    spots = samples()
    order = np.random.default_rng(1).permutation(N)
    some = spots.inputs.take(np.arange(0, N, 2))
    usual = mean(spots, some, colour=colour, colour_weight=0.3)
    assert np.array_equal(mean(spots.take(order), some, colour=colour, colour_weight=0.3), usual)
    brighter, some_brighter = (
        replace(part, colour=255 * np.asarray(part.colour)) for part in (spots.inputs, some)
    )
    bright = replace(spots, inputs=brighter)
    assert np.allclose(mean(bright, some_brighter, colour=colour, colour_weight=0.3), usual, atol=1e-6)


def test_published_predictions_alone_change_with_other_locations() -> None:
    """Published colours are standardised over the locations asked for."""
    spots, some = samples(), np.arange(0, N, 3)
    for colour, alike in (("consistent", True), ("published", False)):
        whole = mean(spots, colour=colour)[some]
        assert np.allclose(mean(spots, spots.inputs.take(some), colour=colour), whole) is alike
        assert TESLA(colour=colour).joint is not alike  # type: ignore[arg-type]


def test_a_location_far_from_all_spots_has_zeros_only_as_published() -> None:
    """Beyond the cut-off the nearest spot is taken, and 0 for all genes where that is asked for."""
    spots = samples()
    points = replace(spots.inputs.locations.points, xy=spots.inputs.locations.xy + 1e5)
    away = replace(spots.inputs, locations=replace(spots.inputs.locations, points=points))
    assert not mean(spots, away, far="zero").any()
    predicted = mean(spots, away)
    assert all((np.isclose(spots.expression, row, atol=1e-5).all(axis=1)).any() for row in predicted)


def test_a_blank_image_leaves_positions() -> None:
    """A blank image gives no missing values: colour does not count."""
    spots = samples()
    blank = replace(spots, inputs=replace(spots.inputs, colour=np.full((N, 3), 0.7)))
    assert np.allclose(mean(blank), mean(spots, colour_weight=0.0))
    assert np.isfinite(mean(blank, colour="published")).all()


def test_published_averages_logarithms_of_counts() -> None:
    """log1p of counts and of their total are averaged, and log1p(CP10k) follows; spots of equal depth agree with it."""
    assert [build_model(name, "published").scale for name in ("tesla", "istar", "stentrans")] == [
        "log_counts",
        "counts",
        "counts",
    ]
    spots = samples()
    depth = np.random.default_rng(2).uniform(500, 5000, N)
    # all spots within the cut-off
    options: dict[str, Any] = {"colour_weight": 0.0, "neighbours": N - 1}
    some = replace(spots, depth=depth).take(np.arange(1, N))
    one = spots.inputs.take(np.arange(1))
    predicted = mean(some, one, scale="log_counts", **options)[0]
    distance = np.linalg.norm(some.inputs.locations.xy - one.locations.xy, axis=1)
    weights = ((distance + 0.1) / (distance.min() + 0.1)) ** -2.0
    weights /= weights.sum()
    logs = weights @ np.log1p(np.expm1(some.expression) * some.depth[:, None] / 1e4)
    total = np.expm1(weights @ np.log1p(some.depth))
    assert np.allclose(predicted, np.log1p(1e4 * np.expm1(logs) / total), rtol=1e-4)
    assert not np.allclose(predicted, mean(some, one, **options)[0], rtol=1e-3)


def test_a_section_without_spots_and_wrong_numbers_are_refused() -> None:
    """No spot of a section, no image, no window: each is a sentence."""
    spots = samples()
    predictor = TESLA().fit(spots)
    with pytest.raises(UsageError, match="has none"):
        predict(predictor, in_section(spots.inputs, 1))
    with pytest.raises(UsageError, match="colour of the image"):
        TESLA().fit(replace(spots, inputs=replace(spots.inputs, colour=None)))
    with pytest.raises(UsageError, match="crop_um"):
        build_model("tesla", crop_px=20)
    with pytest.raises(UsageError, match="positive"):
        build_model("tesla", power=0.0)
    assert "measured spots" in build_model("tesla").reason_against("new_section")
    assert not any(build_model("tesla").reason_against(task) for task in ("finer", "sublattice"))
