"""Predictions of a fitted cokriging: blocks, factor scores, restoring, other sections, variance attribution."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import shapely
from cokriging_samples import DEPTH, EXPRESSION, FEATURES, SAMPLES, TEST, TRAINING, N, samples_of

from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.models import predict
from histosge.models.cokriging.model import Cokriging
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.section.inputs import Samples, in_section
from histosge.segmentation.cells import Cells


def shares_of(predictor: CokrigingPredictor) -> Array:
    """Return the shares of position, histology and auxiliary sections, genes × 3."""
    shares = predictor.basis.shares
    assert shares is not None
    return shares


def test_a_fit_is_restored_from_its_arrays_and_summary(fitted: CokrigingPredictor) -> None:
    """Arrays, and plain values through JSON, restore the same predictions to the last bit."""
    summary = json.loads(json.dumps(fitted.summary()))
    restored = Cokriging().restore(fitted.genes, fitted.arrays(), summary)
    inputs = SAMPLES.inputs.take(TEST)
    before, after = predict(fitted, inputs), predict(restored, inputs)
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal(np.asarray(before.sd), np.asarray(after.sd))
    assert restored.summary() == summary


def test_factors_multiply_out_to_the_blocks(fitted: CokrigingPredictor) -> None:
    """A factored prediction equals the matrix of means, and of standard deviations of a measurement."""
    inputs = SAMPLES.inputs.take(TEST)
    whole, blocks = fitted.factored(inputs).whole(observation=True), predict(fitted, inputs)
    assert np.allclose(whole.mean, blocks.mean, atol=1e-4)
    assert np.allclose(np.asarray(whole.sd), np.asarray(blocks.sd), rtol=1e-4)


def test_a_factored_prediction_is_of_one_section() -> None:
    """Locations of several sections have several means and are refused together."""
    inputs = replace(SAMPLES.inputs, sections=np.repeat([0, 1], [N // 2, N - N // 2]))
    predictor = Cokriging(image=False).fit(Samples(inputs, EXPRESSION, SAMPLES.genes, DEPTH))
    with pytest.raises(DataError, match="one section, got 2"):
        predictor.factored(inputs)


def test_shares_of_a_gene_add_up_to_one(fitted: CokrigingPredictor) -> None:
    """Position, histology and auxiliary sections share each gene's variance; without an image all is position's."""
    shares, summary = shares_of(fitted), fitted.summary()
    assert (shares >= 0).all()
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert (shares[:, 2] == 0).all()
    assert summary["weight_of_histology"] == pytest.approx(shares[:, 1].mean())
    assert summary["weight_of_auxiliary"] == 0.0
    without = Cokriging(image=False).fit(SAMPLES.take(TRAINING))
    assert np.allclose(shares_of(without), [1.0, 0.0, 0.0])
    # genes of nuclei, which the features show, have a larger share than genes of waves, which they do not
    kinds = np.arange(36) % 6
    assert shares[kinds == 4, 1].mean() > shares[kinds == 3, 1].mean() + 0.1


def test_shares_are_covariances_of_predictions_by_kernel(fitted: CokrigingPredictor) -> None:
    """Predictions with one kind of kernel at a time have the covariances with the whole that the shares state."""
    spots, covariance = fitted.inducing_points, fitted.covariance
    weights = fitted.posterior.dual @ fitted.basis.loadings.T
    position, image = (kernel(spots, spots) @ weights for kernel in (covariance.position, covariance.image))
    whole = position + image
    centred = whole - whole.mean(axis=0)
    expected = (centred * image).sum(axis=0) / (centred**2).sum(axis=0)
    # outside 0 … 1 one component has a negative covariance, and is cut
    inside = (expected > 0) & (expected < 1)
    assert inside.sum() > 18
    assert np.allclose(shares_of(fitted)[inside, 1], expected[inside], atol=1e-4)


def test_measurements_of_auxiliary_sections_have_a_share() -> None:
    """The same tissue in an auxiliary section has a share below a half; one with a blank image has nearly none."""
    sections = np.zeros(N, dtype=np.intp)
    sections[TEST] = 1
    share = {}
    for kind, features in (("same", FEATURES), ("blank", np.where(sections[:, None] == 1, 0.0, FEATURES))):
        samples = samples_of(features=features)
        joint = replace(samples, inputs=replace(samples.inputs, sections=sections))
        # without any kernel of position, so that the image alone remains
        predictor = Cokriging(image_weights=(1.0,), short_range_um=None).fit(joint)
        shares = shares_of(predictor)
        assert np.allclose(shares.sum(axis=1), 1.0)
        assert (shares[:, 0] == 0).all()
        share[kind] = shares[:, 2].mean()
        assert predictor.summary()["weight_of_auxiliary"] == pytest.approx(share[kind])
    assert 0.1 < share["same"] < 0.5
    assert share["blank"] < 0.05


def test_a_section_without_training_spots_owes_all_to_auxiliary_sections(fitted: CokrigingPredictor) -> None:
    """Nothing is interpolated there: every gene's share of auxiliary sections is 1, and r_loo is unknown."""
    inputs = in_section(SAMPLES.inputs.take(TEST), 1)
    prediction = fitted.adapted_to(inputs).factored(inputs)
    assert np.allclose(np.asarray(prediction.basis.shares), [0.0, 0.0, 1.0])
    assert np.isnan(prediction.basis.r_loo).all()


def test_a_predictor_adapts_to_one_section_at_a_time(fitted: CokrigingPredictor) -> None:
    """Locations of two sections are refused in a sentence."""
    inputs = replace(SAMPLES.inputs, sections=np.repeat([1, 2], [N // 2, N - N // 2]))
    with pytest.raises(DataError, match="one section, got 2"):
        fitted.adapted_to(inputs)


def test_a_cell_is_the_disk_of_its_area(fitted: CokrigingPredictor) -> None:
    """A cell as large as a spot is predicted as a spot, a tiny one as a point; points without outline stay points."""
    inputs = SAMPLES.inputs.take(TEST[:20])
    locations, spot_um = inputs.locations, fitted.inducing_points.diameter_um

    def predicted(outlines: Array | None, diameter_um: float = 0.0) -> Array:
        points = replace(locations.points, diameter_um=diameter_um)
        cells = Cells(points.ids, points.xy, outlines)
        where = replace(locations, points=points, observed=np.zeros(20, dtype=bool), cells=cells)
        return fitted.factored(replace(inputs, locations=where)).scores

    large, tiny = (
        shapely.buffer(shapely.points(locations.xy), size, quad_segs=64) for size in (spot_um, 1e-3)
    )
    assert np.allclose(predicted(large), predicted(None, spot_um), atol=1e-6)
    assert np.allclose(predicted(tiny), predicted(None), atol=1e-4)
    assert np.abs(predicted(large) - predicted(None)).max() > 1e-3
