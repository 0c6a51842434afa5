"""A regressor of scikit-learn becomes a model: inputs, factors, standard deviations, seeds and restoring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor

from histosge.datasets import synthetic
from histosge.errors import UsageError
from histosge.models import predict
from histosge.models.baselines.regression import SklearnModel
from histosge.section.genes import select
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of

SECTION = synthetic(columns=8, rows=8, genes=12).section
FEATURES = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
INPUTS = Inputs(at_spots(SECTION), features=FEATURES)
SAMPLES: Samples = samples_of(SECTION, select(SECTION, "all"), INPUTS)


@pytest.mark.parametrize(
    ("inputs", "uses_image", "uses_position"),
    [("features", True, False), ("positions", False, True), ("both", True, True), ("none", False, False)],
)
def test_a_model_reads_the_chosen_inputs(inputs: Any, uses_image: bool, uses_position: bool) -> None:
    """Predictions change with image features and with positions where the model says that it uses them."""
    model = SklearnModel(KNeighborsRegressor(3), inputs=inputs)
    assert (model.uses_image, model.uses_position) == (uses_image, uses_position)
    predictor = model.fit(SAMPLES)
    usual = predict(predictor, INPUTS).mean
    other_image = replace(INPUTS, features=FEATURES[::-1])
    assert np.array_equal(predict(predictor, other_image).mean, usual) is not uses_image
    locations = INPUTS.locations
    moved = replace(locations, points=replace(locations.points, xy=locations.xy[::-1]))
    other_positions = replace(INPUTS, locations=moved)
    assert np.array_equal(predict(predictor, other_positions).mean, usual) is not uses_position


@pytest.mark.parametrize("factors", [None, 4])
def test_a_restored_model_predicts_the_same_bits(factors: int | None) -> None:
    """Restoring fits again with the stored seed; another seed gives another forest."""
    model = SklearnModel(RandomForestRegressor(5), factors=factors)
    predictor = model.fit(SAMPLES, seed=3)
    restored = model.restore(predictor.genes, predictor.arrays(), predictor.summary())
    usual = predict(predictor, INPUTS).mean
    assert np.array_equal(predict(restored, INPUTS).mean, usual)
    assert not np.array_equal(predict(model.fit(SAMPLES, seed=4), INPUTS).mean, usual)


def test_the_regressor_of_the_user_stays_unfitted() -> None:
    """A fit works on a clone."""
    regressor = LinearRegression()
    SklearnModel(regressor).fit(SAMPLES)
    assert not hasattr(regressor, "coef_")


def test_predictions_are_those_of_the_regressor() -> None:
    """Least squares on standardised features is least squares on the features, cut at 0."""
    ours = predict(SklearnModel(LinearRegression()).fit(SAMPLES), INPUTS).mean
    theirs = LinearRegression().fit(FEATURES, SAMPLES.expression).predict(FEATURES)
    assert np.allclose(ours, np.maximum(theirs, 0), atol=1e-4)


def test_standard_deviations_are_residuals_or_those_of_the_regressor() -> None:
    """``sd`` names their origin; without it there are none."""
    assert predict(SklearnModel(LinearRegression()).fit(SAMPLES), INPUTS).sd is None
    residual = predict(SklearnModel(LinearRegression(), sd="residual").fit(SAMPLES), INPUTS)
    errors = SAMPLES.expression - residual.mean
    assert residual.sd is not None
    assert np.allclose(residual.sd, np.sqrt((errors**2).mean(axis=0)), rtol=1e-4)
    process = SklearnModel(GaussianProcessRegressor(optimizer=None, alpha=0.1), sd="regressor")
    sd = predict(process.fit(SAMPLES), INPUTS).sd
    assert sd is not None
    assert sd.shape == SAMPLES.expression.shape


def test_missing_image_features_are_refused() -> None:
    """A model of the image without an image is an error of usage."""
    with pytest.raises(UsageError, match="image features"):
        SklearnModel(LinearRegression()).fit(replace(SAMPLES, inputs=replace(INPUTS, features=None)))
