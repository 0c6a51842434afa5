"""What each gene's pattern is made of: position, histology, and what other sections measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cokriging_samples import (
    EXPRESSION,
    FEATURES,
    KEPT,
    OUT,
    SAMPLES,
    XY,
    N,
    samples_of,
)

from histosge._runtime.types import Array
from histosge.models.cokriging.eigensolver import Spectrum
from histosge.models.cokriging.kernels import Covariance, Sites
from histosge.models.cokriging.model import Cokriging
from histosge.models.cokriging.predictor import CokrigingPredictor


def shares_of(predictor: CokrigingPredictor) -> Array:
    """From position, histology and siblings, genes × 3."""
    shares = predictor.basis.shares
    assert shares is not None
    return shares


def test_the_shares_of_a_gene_add_up_to_one(fitted: CokrigingPredictor) -> None:
    """Position, histology and siblings share each gene's pattern; without an image all of it is position's."""
    shares = shares_of(fitted)
    assert (shares >= 0).all()
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert (shares[:, 2] == 0).all()
    assert fitted.told["weight_of_histology"] == pytest.approx(shares[:, 1].mean())
    assert fitted.told["weight_of_auxiliary"] == 0.0
    blind = Cokriging(image=False).fit(SAMPLES.take(KEPT))
    assert np.allclose(shares_of(blind), [1.0, 0.0, 0.0])
    kinds = np.arange(36) % 6
    assert shares[kinds == 4, 1].mean() > shares[kinds == 3, 1].mean() + 0.1


def test_the_shares_are_those_of_predictions_taken_apart(fitted: CokrigingPredictor) -> None:
    """Predicting fitted spots with one kind of kernel at a time gives parts whose covariances are the shares."""
    sites, covariance = fitted.inducing_points, fitted.covariance
    weights = fitted.fields.dual @ fitted.basis.loadings.T
    position, image = (kernel(sites, sites) @ weights for kernel in (covariance.position, covariance.image))
    whole = position + image
    centred = whole - whole.mean(axis=0)
    expected = (centred * image).sum(axis=0) / (centred**2).sum(axis=0)
    # beyond 0 and 1 one part runs against the other, and is cut
    plain = (expected > 0) & (expected < 1)
    assert plain.sum() > 18
    assert np.allclose(shares_of(fitted)[plain, 1], expected[plain], atol=1e-4)


def test_what_siblings_measured_is_theirs() -> None:
    """The same tissue measured twice has a part, less than half: a spot has seen itself; a blank one has none."""
    sections = np.zeros(N, dtype=np.intp)
    sections[OUT] = 1
    told = {}
    for kind, features in (("same", FEATURES), ("blank", np.where(sections[:, None] == 1, 0.0, FEATURES))):
        samples = samples_of(features=features)
        joint = replace(samples, inputs=replace(samples.inputs, sections=sections))
        # no kernel of position at all, so that nothing else is left
        predictor = Cokriging(image_weights=(1.0,), short_range_um=None).fit(joint)
        shares = shares_of(predictor)
        assert np.allclose(shares.sum(axis=1), 1.0)
        assert (shares[:, 0] == 0).all()
        assert predictor.told["weight_of_auxiliary"] == pytest.approx(shares[:, 2].mean())
        told[kind] = shares[:, 2].mean()
    assert 0.1 < told["same"] < 0.5
    assert told["blank"] < 0.05


def test_answers_are_sums_of_what_each_spot_said() -> None:
    """Parts owed to some spots and to the others add up to the whole; measurements equal to the mean add nothing."""
    found = Covariance.of(Sites(XY, np.zeros(len(XY), dtype=np.intp), 55.0, None), (200.0, 800.0), 0.0)
    spectrum = Spectrum.exact(
        found(
            Sites(XY, np.zeros(len(XY), dtype=np.intp), 55.0, None),
            Sites(XY, np.zeros(len(XY), dtype=np.intp), 55.0, None),
        )
    )
    targets = EXPRESSION[:, :6].copy()
    answers = spectrum.answer(targets)
    one, two = (spectrum.along(answers, targets, rows) for rows in (KEPT, OUT))
    assert np.allclose(one + two, answers.along)
    assert np.abs(one).max() > 0.1
    assert np.allclose(spectrum.along(answers, np.tile(answers.mean, (N, 1)), KEPT), 0.0)


def test_an_unseen_section_has_all_from_its_siblings(fitted: CokrigingPredictor) -> None:
    """Where no spot was fitted nothing is interpolated: every gene's share of siblings is 1."""
    inputs = SAMPLES.inputs.take(OUT)
    elsewhere = replace(inputs, sections=np.ones(len(inputs), dtype=np.intp))
    seen = fitted.adapted_to(elsewhere).factored(elsewhere)
    assert np.allclose(seen.basis.shares, [0.0, 0.0, 1.0])
