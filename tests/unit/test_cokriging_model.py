"""Fits of cokriging: the weight of the image, sections, inducing points, the worst of data, options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cokriging_samples import (
    DEPTH,
    EXPRESSION,
    FEATURES,
    SAMPLES,
    TEST,
    TISSUE,
    TRAINING,
    XY,
    N,
    samples_of,
)

from histosge._runtime.types import Array
from histosge.errors import DataError, HistosgeError, UsageError
from histosge.models import predict
from histosge.models.cokriging import eigensolver, standardise
from histosge.models.cokriging.model import Cokriging
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.section.inputs import Samples


def error(predictor: Any) -> float:
    """Return the mean squared error of a predictor at the test spots."""
    mean = predict(predictor, SAMPLES.inputs.take(TEST)).mean
    return float(((mean - TISSUE.truth(XY[TEST])) ** 2).mean())


def test_features_of_noise_have_no_weight() -> None:
    """Where features are noise the marginal likelihood chooses weight 0, and the error is that without an image."""
    for seed in range(3):
        samples = samples_of(features=np.random.default_rng(seed).normal(size=(N, 30)))
        predictor = Cokriging().fit(samples.take(TRAINING))
        assert predictor.summary()["image_weight"] == 0.0
        assert predictor.summary()["weight_of_histology"] == 0.0
        mean = predict(predictor, samples.inputs.take(TEST)).mean
        without = error(Cokriging(image=False).fit(samples.take(TRAINING)))
        assert ((mean - TISSUE.truth(XY[TEST])) ** 2).mean() < 1.02 * without


def test_informative_features_help_and_shuffled_ones_do_not(fitted: CokrigingPredictor) -> None:
    """Features of the tissue lower the error; features of other spots have less weight and a lower correlation."""
    assert error(fitted) < 0.95 * error(Cokriging(image=False).fit(SAMPLES.take(TRAINING)))
    summary = fitted.summary()
    r_loo = summary["r_loo_factors"]
    assert summary["image_weight"] > 0
    assert r_loo["fitted"] > r_loo["positions"]
    assert r_loo["fitted"] > r_loo["shuffled_image"]
    shuffled = samples_of(features=np.random.default_rng(0).permutation(FEATURES))
    again = Cokriging().fit(shuffled.take(TRAINING))
    assert again.summary()["image_weight"] < summary["image_weight"]


def test_constant_features_change_nothing() -> None:
    """A column with the same value everywhere leaves predictions as they are."""
    padded = np.column_stack([FEATURES, np.full(N, 4.0)])
    plain, more = (
        next(Cokriging().fit(samples_of(features=features)).blocks(samples_of(features=features).inputs))
        for features in (FEATURES, padded)
    )
    assert np.allclose(plain[1], more[1], atol=1e-4)


def test_the_order_of_spots_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spots in another order predict the same; count splitting, which depends on the order, is held constant here."""
    monkeypatch.setattr(
        standardise, "reliability", lambda expression, *_, **__: np.full(expression.shape[1], 0.5)
    )
    inputs = SAMPLES.inputs.take(TEST)
    shuffled = np.random.default_rng(5).permutation(TRAINING)
    means = [predict(Cokriging().fit(SAMPLES.take(rows)), inputs).mean for rows in (TRAINING, shuffled)]
    assert np.abs(means[0] - means[1]).max() < 1e-5


def test_the_same_seed_gives_the_same_bits(fitted: CokrigingPredictor) -> None:
    """The same seed gives the same arrays; another seed splits counts differently and changes little."""
    again, other = (Cokriging().fit(SAMPLES.take(TRAINING), seed=seed) for seed in (4, 5))
    for name, array in fitted.arrays().items():
        assert np.array_equal(array, again.arrays()[name]), name
    inputs = SAMPLES.inputs.take(TEST)
    difference = np.abs(predict(fitted, inputs).mean - predict(other, inputs).mean).mean()
    assert 0 < difference < 0.1 * EXPRESSION.std(axis=0).mean()


def test_leave_one_out_correlations_are_those_at_test_spots(fitted: CokrigingPredictor) -> None:
    """The r_loo of each gene is near its correlation at spots that were not fitted."""
    mean = predict(fitted, SAMPLES.inputs.take(TEST)).mean
    r = np.array([np.corrcoef(mean[:, gene], EXPRESSION[TEST, gene])[0, 1] for gene in range(36)])
    assert np.corrcoef(r, fitted.basis.r_loo)[0, 1] > 0.9
    assert abs(r.mean() - fitted.basis.r_loo.mean()) < 0.1


def test_every_section_has_its_own_means() -> None:
    """A shift of all genes in one section is a shift of its predictions."""
    sections = np.repeat([0, 1], [N // 2, N - N // 2])
    inputs = replace(SAMPLES.inputs, sections=sections)
    plain = Samples(inputs, EXPRESSION, SAMPLES.genes, DEPTH)
    shifted = replace(plain, expression=EXPRESSION + 2.0 * sections[:, None])
    means = [predict(Cokriging(image=False).fit(samples), inputs).mean for samples in (shifted, plain)]
    # count splitting depends on the level; nothing else does
    assert np.abs((means[0] - means[1]).mean(axis=0) - 2.0 * sections.mean()).max() < 0.05


def test_a_section_without_training_spots_is_predicted() -> None:
    """Where no spot of the first section was fitted, it counts as any other section."""
    inputs = replace(SAMPLES.inputs, sections=np.repeat([1, 2], [N // 2, N - N // 2]))
    predictor = Cokriging().fit(Samples(inputs, EXPRESSION, SAMPLES.genes, DEPTH))
    first = replace(SAMPLES.inputs, sections=np.zeros(N, dtype=np.intp))
    assert np.isfinite(predict(predictor, first).mean).all()


def test_sections_at_the_same_coordinates_do_not_interpolate_each_other() -> None:
    """Of two sections that overlap in coordinates, each is kriged on positions as if the other were not there."""
    sections = np.zeros(N, dtype=np.intp)
    sections[TEST] = 1
    joint = replace(SAMPLES, inputs=replace(SAMPLES.inputs, sections=sections))
    predictor = Cokriging(image=False).fit(joint)
    position = predictor.covariance.position(predictor.inducing_points, predictor.inducing_points)
    index = predictor.inducing_points.section_index
    assert not position[index[:, None] != index[None, :]].any()


def test_single_precision_changes_maps_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means, standard deviations and r_loo in single precision are those in double precision."""
    inputs = SAMPLES.inputs.take(TEST)
    double = Cokriging().fit(SAMPLES.take(TRAINING))
    monkeypatch.setattr(eigensolver, "_DOUBLE_PRECISION_SPOTS", 10)
    # rounding alone: what ratios in between would change is a test of left-out predictions
    monkeypatch.setattr(eigensolver, "on_every_second", lambda weight: weight)
    single = Cokriging().fit(SAMPLES.take(TRAINING))
    left, right = (predict(predictor, inputs) for predictor in (double, single))
    assert (np.abs(left.mean - right.mean) < 2e-3 * left.mean.std(axis=0).max()).all()
    assert np.allclose(np.asarray(left.sd), np.asarray(right.sd), rtol=2e-3)
    assert np.allclose(double.basis.r_loo, single.basis.r_loo, atol=1e-3)


def test_half_as_many_inducing_points_lose_little() -> None:
    """Carried by half of the spots, the error at test spots grows by less than three tenths."""
    options: dict[str, Any] = {"ranges_pitches": (3.0, 12.0)}
    whole = Cokriging(**options).fit(SAMPLES.take(TRAINING))
    half = Cokriging(exact=1, inducing_points=len(TRAINING) // 2, **options).fit(SAMPLES.take(TRAINING))
    assert half.summary()["inducing_points"] == len(TRAINING) // 2
    assert error(half) < 1.3 * error(whole)


def test_a_limit_that_nothing_exceeds_is_no_winsorising() -> None:
    """With a limit beyond all errors, predictions are those without winsorising."""
    fits = (Cokriging(winsorise_sd=limit).fit(SAMPLES.take(TRAINING)) for limit in (1e6, None))
    far, off = (predict(predictor, SAMPLES.inputs.take(TEST)).mean for predictor in fits)
    assert np.allclose(far, off, atol=1e-4)


def test_winsorising_reduces_the_harm_of_outliers() -> None:
    """Where one value in fifty is an outlier, winsorised fits are nearer to the values without outliers."""
    outlying = EXPRESSION.copy()
    outlying[np.random.default_rng(4).random(outlying.shape) < 0.02] += 6.0
    samples = samples_of(expression=outlying).take(TRAINING)

    def squared_error(limit: float | None) -> float:
        mean = predict(Cokriging(winsorise_sd=limit).fit(samples), SAMPLES.inputs.take(TEST)).mean
        mean = mean - mean.mean(axis=0) + EXPRESSION[TEST].mean(axis=0)
        return float(((mean - EXPRESSION[TEST]) ** 2).mean())

    assert squared_error(3.0) < 0.97 * squared_error(None)


def changed(array: Array, change: Callable[[Array], None]) -> Array:
    """Return a copy of an array with a change."""
    copy = np.array(array, dtype=float)
    change(copy)
    return copy


def zero_depth() -> Samples:
    """Return the samples with one spot without counts."""
    counted = np.where(np.arange(N) == 3, 0.0, 1.0)
    return samples_of(expression=EXPRESSION * counted[:, None], depth=DEPTH * counted)


CASES: dict[str, Callable[[], Samples]] = {
    "two spots at each position": lambda: samples_of(xy=np.repeat(XY, 2, axis=0)),
    "all spots at one position": lambda: samples_of(xy=np.tile(XY[:1], (N, 1))),
    "the same spot many times": lambda: samples_of(
        np.tile(XY[:1], (9, 1)), np.tile(EXPRESSION[:1], (9, 1)), np.tile(FEATURES[:1], (9, 1))
    ),
    "spots on a line": lambda: samples_of(xy=np.column_stack([np.arange(N) * 100.0, np.zeros(N)])),
    "some constant genes": lambda: samples_of(expression=changed(EXPRESSION, lambda y: y[:, :5].fill(1.0))),
    "all genes constant": lambda: samples_of(expression=np.ones((N, 4))),
    "nothing counted": lambda: samples_of(expression=np.zeros((N, 4)), depth=np.zeros(N)),
    "one gene": lambda: samples_of(expression=EXPRESSION[:, :1]),
    "constant features": lambda: samples_of(features=np.ones((N, 6))),
    "one feature": lambda: samples_of(features=FEATURES[:, :1]),
    "features that are NaN": lambda: samples_of(features=np.full((N, 6), np.nan)),
    "some features that are NaN": lambda: samples_of(
        features=changed(FEATURES, lambda x: x[:5].fill(np.nan))
    ),
    "features of 1e30": lambda: samples_of(features=FEATURES * 1e30),
    "three spots": lambda: SAMPLES.take(np.arange(3)),
    "fewer spots than factors": lambda: SAMPLES.take(np.arange(12)),
    "a spot without counts": zero_depth,
    "spots a millionth of a µm apart": lambda: samples_of(xy=XY * 1e-8),
}


# files that another test left open warn whenever they are collected
@pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("options", [{}, {"image": False}, {"exact": 1, "inducing_points": 10}], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_predictions_are_finite_for_the_worst_of_data(case: str, options: dict[str, Any]) -> None:
    """Means, standard deviations, factor scores and fitted arrays are finite, without a warning."""
    samples = CASES[case]()
    predictor = Cokriging(**options).fit(samples)
    # at the spots, and far from all of them
    points = replace(samples.inputs.locations.points, xy=samples.inputs.locations.xy + 1e6)
    far = replace(samples.inputs, locations=replace(samples.inputs.locations, points=points))
    for inputs in (samples.inputs, far):
        prediction = predict(predictor, inputs)
        assert np.isfinite(prediction.mean).all()
        assert np.isfinite(np.asarray(prediction.sd)).all()
        assert np.isfinite(predictor.factored(inputs).scores).all()
    assert all(np.isfinite(array).all() for array in predictor.arrays().values())


def test_constant_genes_are_predicted_with_certainty() -> None:
    """A gene that does not vary is predicted at its value with a standard deviation of 0."""
    constant = changed(EXPRESSION, lambda y: y[:, :2].fill(1.5))
    prediction = predict(Cokriging().fit(samples_of(expression=constant)), SAMPLES.inputs)
    assert np.allclose(prediction.mean[:, :2], 1.5)
    assert np.allclose(np.asarray(prediction.sd)[:, :2], 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "kind", "sentence"),
    [
        (lambda: SAMPLES.take(np.arange(1)), UsageError, "at least 3 spots to fit, got 1"),
        (lambda: SAMPLES.take(np.arange(2)), UsageError, "at least 3 spots to fit, got 2"),
        (lambda: samples_of(expression=np.ones((N, 0))), UsageError, "at least one gene"),
        (lambda: samples_of(features=None), UsageError, "`image`"),
        (lambda: samples_of(features=np.ones((N, 0))), UsageError, "at least one image feature"),
        (
            lambda: samples_of(expression=changed(EXPRESSION, lambda y: y[0].fill(np.nan))),
            DataError,
            "finite expression, got 36",
        ),
        (lambda: samples_of(depth=np.full(N, np.nan)), DataError, "finite depth"),
    ],
)
def test_unusable_samples_are_refused_in_a_sentence(
    samples: Callable[[], Samples], kind: type[HistosgeError], sentence: str
) -> None:
    """Too few spots, no genes, no features and values that are not finite are refused before any computation."""
    with pytest.raises(kind, match=sentence):
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
    """The message names the option."""
    with pytest.raises(UsageError, match=f"`{next(iter(options))}`"):
        Cokriging(**options)
