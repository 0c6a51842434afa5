"""The parts of cokriging, and what it does with the worst of data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cokriging_samples import (
    DEPTH,
    EXPRESSION,
    FEATURES,
    KEPT,
    OUT,
    RNG,
    SAMPLES,
    TISSUE,
    XY,
    N,
    samples_of,
)

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.errors import DataError, HistosgeError, UsageError
from histosge.models import predict
from histosge.models.cokriging import eigensolver as _spectrum
from histosge.models.cokriging import standardise as _standard
from histosge.models.cokriging.model import Cokriging
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.models.cokriging.standardise import Standard
from histosge.section.expression import log_cp10k
from histosge.section.inputs import Samples


def test_noise_beside_positions_gets_no_share() -> None:
    """Where features say nothing the evidence chooses none of them; predictions are those without an image."""
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=(N, 30))
        samples = samples_of(features=noise)
        predictor = Cokriging().fit(samples.take(KEPT))
        assert predictor.told["image_weight"] == 0.0
        assert predictor.told["weight_of_histology"] == 0.0
        blind = Cokriging(image=False).fit(samples.take(KEPT))
        truth = TISSUE.truth(XY[OUT])
        one, two = (predict(p, samples.inputs.take(OUT)).mean for p in (predictor, blind))
        assert ((one - truth) ** 2).mean() < 1.02 * ((two - truth) ** 2).mean()


def test_the_image_helps_where_it_tells_and_not_when_shuffled(fitted: CokrigingPredictor) -> None:
    """Features that show the tissue lower the error; the same dealt to other spots get less share and skill."""
    truth = TISSUE.truth(XY[OUT])
    inputs = SAMPLES.inputs.take(OUT)
    blind = Cokriging(image=False).fit(SAMPLES.take(KEPT))
    seeing, without = (((predict(p, inputs).mean - truth) ** 2).mean() for p in (fitted, blind))
    assert seeing < 0.95 * without
    skill = fitted.told["r_loo_factors"]
    assert fitted.told["image_weight"] > 0
    assert skill["fitted"] > skill["positions"]
    assert skill["fitted"] > skill["shuffled_image"]
    dealt = samples_of(features=np.random.default_rng(0).permutation(FEATURES))
    assert Cokriging().fit(dealt.take(KEPT)).told["image_weight"] < fitted.told["image_weight"]


def test_a_fit_comes_back_from_what_it_told(fitted: CokrigingPredictor) -> None:
    """Arrays and facts, through JSON, restore the same predictions to the last bit."""
    summary = json.loads(json.dumps(fitted.summary()))
    again = Cokriging().restore(fitted.genes, fitted.arrays(), summary)
    inputs = SAMPLES.inputs.take(OUT)
    one, two = predict(fitted, inputs), predict(again, inputs)
    assert np.array_equal(one.mean, two.mean)
    assert np.array_equal(np.asarray(one.sd), np.asarray(two.sd))


def test_factors_multiply_out_to_the_blocks(fitted: CokrigingPredictor) -> None:
    """A prediction kept as factors is the matrix of means and of deviations of a measurement."""
    inputs = SAMPLES.inputs.take(OUT)
    whole, blocks = fitted.factored(inputs).whole(observation=True), predict(fitted, inputs)
    assert np.allclose(whole.mean, blocks.mean, atol=1e-4)
    assert np.allclose(np.asarray(whole.sd), np.asarray(blocks.sd), rtol=1e-4)


def test_the_order_of_spots_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spots given in another order predict the same; only the dealing of molecules, held still here, sees order."""
    monkeypatch.setattr(_standard, "reliability", lambda expression, *_: np.full(expression.shape[1], 0.5))
    inputs = SAMPLES.inputs.take(OUT)
    turned = np.random.default_rng(5).permutation(KEPT)
    one, two = (predict(Cokriging().fit(SAMPLES.take(rows)), inputs).mean for rows in (KEPT, turned))
    assert np.abs(one - two).max() < 1e-5


def test_the_same_seed_gives_the_same_bits(fitted: CokrigingPredictor) -> None:
    """Twice the same seed, twice the same arrays; another seed deals other molecules and changes little."""
    again, other = (Cokriging().fit(SAMPLES.take(KEPT), seed=seed) for seed in (4, 5))
    for name, array in fitted.arrays().items():
        assert np.array_equal(array, again.arrays()[name]), name
    inputs = SAMPLES.inputs.take(OUT)
    one, two = predict(fitted, inputs).mean, predict(other, inputs).mean
    assert 0 < np.abs(one - two).mean() < 0.1 * EXPRESSION.std(axis=0).mean()


def test_a_spot_left_out_is_predicted_as_one_removed(fitted: CokrigingPredictor) -> None:
    """The skill each gene is said to have is near the one it shows at spots that were removed."""
    found = predict(fitted, SAMPLES.inputs.take(OUT)).mean
    real = np.array([np.corrcoef(found[:, g], EXPRESSION[OUT, g])[0, 1] for g in range(36)])
    assert np.corrcoef(real, fitted.basis.r_loo)[0, 1] > 0.9
    assert abs(real.mean() - fitted.basis.r_loo.mean()) < 0.1


def test_every_section_has_its_own_means() -> None:
    """A shift of all genes in one section is a shift of its predictions; a section not fitted gets the mean of both."""
    sections = np.repeat([0, 1], [N // 2, N - N // 2])
    shifted = EXPRESSION + 2.0 * sections[:, None]
    inputs = replace(SAMPLES.inputs, sections=sections)
    samples = Samples(inputs, shifted, SAMPLES.genes, DEPTH)
    plain = replace(samples, expression=EXPRESSION)
    found, usual = (predict(Cokriging(image=False).fit(part), inputs).mean for part in (samples, plain))
    # dealing molecules sees the level; the rest does not
    assert np.abs((found - usual).mean(axis=0) - 2.0 * sections.mean()).max() < 0.05
    standard = Standard.fit(shifted, DEPTH, sections, 0)
    assert np.allclose(standard.offset(7), standard.means[:2].mean(axis=0))


def test_a_section_of_which_nothing_is_left_is_predicted() -> None:
    """Where the spots of one section were all held out, it counts as a section that was never fitted."""
    inputs = replace(SAMPLES.inputs, sections=np.repeat([1, 2], [N // 2, N - N // 2]))
    predictor = Cokriging().fit(Samples(inputs, EXPRESSION, SAMPLES.genes, DEPTH))
    asked = replace(SAMPLES.inputs, sections=np.zeros(N, dtype=np.intp))
    assert np.isfinite(predict(predictor, asked).mean).all()


def test_single_precision_changes_maps_by_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From so many spots on the spectrum is single: maps, deviations and skill are those of double precision."""
    inputs = SAMPLES.inputs.take(OUT)
    double = Cokriging().fit(SAMPLES.take(KEPT))
    monkeypatch.setattr(_spectrum, "_DOUBLE", 10)
    single = Cokriging().fit(SAMPLES.take(KEPT))
    one, two = (predict(each, inputs) for each in (double, single))
    assert (np.abs(one.mean - two.mean) < 2e-3 * one.mean.std(axis=0).max()).all()
    assert np.allclose(one.sd, two.sd, rtol=2e-3)
    assert np.allclose(double.basis.r_loo, single.basis.r_loo, atol=1e-3)


def test_landmarks_carry_more_spots_than_they_are() -> None:
    """Carried by half of the spots, held-out error grows little."""
    inputs, truth = SAMPLES.inputs.take(OUT), TISSUE.truth(XY[OUT])
    options = {"ranges_pitches": (3.0, 12.0)}
    whole = Cokriging(**options).fit(SAMPLES.take(KEPT))
    half = Cokriging(exact=1, inducing_points=len(KEPT) // 2, **options).fit(SAMPLES.take(KEPT))
    assert half.told["inducing_points"] == len(KEPT) // 2
    one, two = (((predict(p, inputs).mean - truth) ** 2).mean() for p in (whole, half))
    assert two < 1.25 * one


def _with(array: Array, change: Callable[[Array], None]) -> Array:
    changed = np.array(array, dtype=float)
    change(changed)
    return changed


def _zero_depth() -> Samples:
    none = np.where(np.arange(N) == 3, 0.0, 1.0)
    return samples_of(expression=EXPRESSION * none[:, None], depth=DEPTH * none)


WORST: dict[str, Callable[[], Samples]] = {
    "two spots at each place": lambda: samples_of(xy=np.repeat(XY, 2, axis=0)),
    "all spots at one place": lambda: samples_of(xy=np.tile(XY[:1], (N, 1))),
    "the same spot many times": lambda: samples_of(
        np.tile(XY[:1], (9, 1)), np.tile(EXPRESSION[:1], (9, 1)), np.tile(FEATURES[:1], (9, 1))
    ),
    "spots on a line": lambda: samples_of(xy=np.column_stack([np.arange(N) * 100.0, np.zeros(N)])),
    "some constant genes": lambda: samples_of(expression=_with(EXPRESSION, lambda y: y[:, :5].fill(1.0))),
    "all genes constant": lambda: samples_of(expression=np.ones((N, 4))),
    "nothing counted": lambda: samples_of(expression=np.zeros((N, 4)), depth=np.zeros(N)),
    "one gene": lambda: samples_of(expression=EXPRESSION[:, :1]),
    "constant features": lambda: samples_of(features=np.ones((N, 6))),
    "one feature": lambda: samples_of(features=FEATURES[:, :1]),
    "features that are no numbers": lambda: samples_of(features=np.full((N, 6), np.nan)),
    "some features that are no numbers": lambda: samples_of(
        features=_with(FEATURES, lambda x: x[:5].fill(np.nan))
    ),
    "features of any size": lambda: samples_of(features=FEATURES * 1e30),
    "three spots": lambda: SAMPLES.take(np.arange(3)),
    "fewer spots than factors": lambda: SAMPLES.take(np.arange(12)),
    "a spot without counts": _zero_depth,
    "places a millionth of a µm apart": lambda: samples_of(xy=XY * 1e-8),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("options", [{}, {"image": False}, {"exact": 1, "inducing_points": 10}], ids=str)
@pytest.mark.parametrize("case", WORST)
def test_the_worst_of_data_is_predicted_without_holes(case: str, options: dict[str, Any]) -> None:
    """Means, deviations, factors and all that is kept are finite, without a warning."""
    samples = WORST[case]()
    predictor = Cokriging(**options).fit(samples)
    asked = samples.inputs
    # at the spots, and far from all of them
    points = replace(asked.locations.points, xy=asked.locations.xy + 1e6)
    away = replace(asked, locations=replace(asked.locations, points=points))
    for inputs in (asked, away):
        found = predict(predictor, inputs)
        assert np.isfinite(found.mean).all()
        assert np.isfinite(np.asarray(found.sd)).all()
        assert np.isfinite(predictor.factored(inputs).scores).all()
    assert all(np.isfinite(array).all() for array in predictor.arrays().values())


def test_constant_genes_are_predicted_as_they_are() -> None:
    """A gene that never varied is predicted at its value, certainly."""
    constant = _with(EXPRESSION, lambda y: y[:, :2].fill(1.5))
    found = predict(Cokriging().fit(samples_of(expression=constant)), SAMPLES.inputs)
    assert np.allclose(found.mean[:, :2], 1.5)
    assert np.allclose(np.asarray(found.sd)[:, :2], 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "error", "sentence"),
    [
        (lambda: SAMPLES.take(np.arange(1)), UsageError, "at least 3 spots to fit, got 1"),
        (lambda: SAMPLES.take(np.arange(2)), UsageError, "at least 3 spots to fit, got 2"),
        (lambda: samples_of(expression=np.ones((N, 0))), UsageError, "at least one gene"),
        (lambda: samples_of(features=None), UsageError, "--image"),
        (lambda: samples_of(features=np.ones((N, 0))), UsageError, "at least one feature"),
        (
            lambda: samples_of(expression=_with(EXPRESSION, lambda y: y[0].fill(np.nan))),
            DataError,
            "finite expression, got 36",
        ),
        (lambda: samples_of(depth=np.full(N, np.nan)), DataError, "finite depth"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_a_sentence(
    samples: Callable[[], Samples], error: type[HistosgeError], sentence: str
) -> None:
    """Too few spots, no genes, no features, and values that are no numbers are refused before anything is computed."""
    with pytest.raises(error, match=sentence):
        Cokriging().fit(samples())


@pytest.mark.parametrize(
    "options",
    [
        {"factors": 0},
        {"output_factors": 0},
        {"inducing_points": 0},
        {"gene_weight": 1.5},
        {"winsorise_sd": 0.0},
        {"short_range_um": 0.0},
        {"image_weights": ()},
        {"image_weights": (2.0,)},
        {"ranges_pitches": ()},
        {"ranges_pitches": (0.0,)},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """The sentence names the option."""
    with pytest.raises(UsageError, match=f"`{next(iter(options))}`"):
        Cokriging(**options)


def test_a_factored_prediction_is_of_one_section() -> None:
    """Places of several sections have several means and are refused together."""
    sections = np.repeat([0, 1], [N // 2, N - N // 2])
    inputs = replace(SAMPLES.inputs, sections=sections)
    predictor = Cokriging(image=False).fit(Samples(inputs, EXPRESSION, SAMPLES.genes, DEPTH))
    with pytest.raises(DataError, match="one section, got 2"):
        predictor.factored(inputs)


def test_spots_of_the_synthetic_section_can_be_disks() -> None:
    """A disk's truth is the mean rate over it; of no width it is the point's; the default section is unchanged."""
    point = TISSUE.truth(XY)
    assert np.array_equal(TISSUE.truth(XY, 0.0), point)
    radius, angle = 40 * np.sqrt(RNG.random(4000)), 2 * np.pi * RNG.random(4000)
    inside = XY[20] + np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    mean = np.log1p(np.expm1(TISSUE.truth(inside)).mean(axis=0))
    assert np.allclose(TISSUE.truth(XY[20:21], 80.0)[0], mean, atol=0.03)
    wide = synthetic(columns=14, rows=14, genes=36, seed=2, support="disk", diameter_um=240.0)
    assert wide.section.spots.diameter_um == 240.0
    assert np.array_equal(wide.truth(XY), point)
    # what is measured follows the disks' truth more closely than the points'
    values = log_cp10k(wide.section.counts).toarray()
    nuclei = np.flatnonzero(np.arange(36) % 6 == 4)
    errors = [((values - wide.truth(XY, width))[:, nuclei] ** 2).mean() for width in (240.0, 0.0)]
    assert errors[0] < 0.8 * errors[1]
