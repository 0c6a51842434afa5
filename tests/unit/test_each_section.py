"""Joint fits: one model of several sections, and a posterior of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from histosge.datasets.synthetic import synthetic
from histosge.models.base import SectionsModel, predict
from histosge.models.cokriging.each_section import inducing_rows, kriged_rows, rows_of
from histosge.models.cokriging.kernels import KernelInputs
from histosge.models.cokriging.model import Cokriging
from histosge.section.inputs import Samples, in_section
from histosge.workflow.compute import Compute
from histosge.workflow.fit import FitPlan
from histosge.workflow.recipe import Recipe


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Two small sections, the second one smaller."""
    sections = [
        synthetic(columns=size, rows=8, genes=60, seed=seed).section for seed, size in ((0, 10), (1, 8))
    ]
    plan = FitPlan.of(sections[0], Recipe(genes="all"), auxiliary=sections[1:])
    return plan.sections.gather(plan.panel.by_name(), plan.encoded(Compute()))


@pytest.fixture(scope="module")
def each(samples):
    """A predictor of each of them."""
    return fits(samples)


def fits(samples: Samples, model: Cokriging = Cokriging()):
    return list(model.fit_sections(samples, diameters_um=[55.0, 55.0]))


def at_own_spots(predictors, samples: Samples, index: int):
    rows = np.flatnonzero(samples.inputs.section_index == index)
    return predict(predictors[index], in_section(samples.inputs.take(rows), 0)).mean


def test_the_first_section_is_predicted_as_by_one_fit(samples, each):
    """Where all spots can be kriged, the first section of a joint fit is that of a fit with auxiliary sections."""
    assert isinstance(Cokriging(), SectionsModel)
    one = Cokriging().fit(samples)
    rows = np.flatnonzero(samples.inputs.section_index == 0)
    expected = predict(one, samples.inputs.take(rows)).mean
    assert np.allclose(at_own_spots(each, samples, 0), expected, atol=1e-3)
    assert each[0].summary()["mean_r_loo"] == pytest.approx(one.summary()["mean_r_loo"], abs=1e-6)


def test_factors_are_shared_and_statements_are_each_sections_own(samples, each):
    """Loadings are the same in standard deviations; correlations and left-out scores are those of each section."""
    first, second = each
    assert np.allclose(first.posterior.loadings, second.posterior.loadings)
    assert first.summary()["mean_r_loo"] != second.summary()["mean_r_loo"]
    # the second is as accurate as where it is the first one
    sections = samples.inputs.section_index
    order = np.argsort(1 - sections, kind="stable")
    inputs = replace(samples.inputs.take(order), sections=1 - sections[order])
    other = Cokriging().fit(replace(samples.take(order), inputs=inputs))
    assert second.summary()["mean_r_loo"] == pytest.approx(other.summary()["mean_r_loo"], abs=0.02)


def test_a_shift_of_a_batch_stays_in_its_section(samples, each):
    """A constant added to every value of each gene in one section is in its predictions, and not in the other's."""
    second = samples.inputs.section_index == 1
    shift = np.random.default_rng(0).uniform(0, 1, len(samples.genes))
    shifted = replace(
        samples, expression=samples.expression + second[:, None] * shift, measured=samples.expression
    )
    before, after = each, fits(shifted)
    assert np.allclose(at_own_spots(after, shifted, 0), at_own_spots(before, samples, 0), atol=1e-3)
    change = at_own_spots(after, shifted, 1) - at_own_spots(before, samples, 1)
    # values are cut at 0, which a shift undoes
    assert np.abs(change.mean(axis=0) - shift).max() < 0.1


def test_sections_none_of_which_is_predicted_give_the_same_share_of_their_spots(samples):
    """The first one is not fitted whole where the model cannot use all spots."""
    sections = np.repeat([0, 1, 2], [500, 300, 200])
    shares = np.bincount(sections[kriged_rows(sections, 100, alike=True)]) / np.bincount(sections)
    assert np.allclose(shares, 0.1, atol=0.01)
    assert len(kriged_rows(sections, 1000, alike=True)) == 1000
    model = Cokriging(exact=100, inducing_points=50)
    first, alike = model.fit(samples), model.fit(replace(samples, alike=True))
    own = [np.bincount(part.inducing_points.section_index).tolist() for part in (first, alike)]
    spots = np.bincount(samples.inputs.section_index)
    assert own[0][0] == spots[0]
    assert np.allclose(np.array(own[1]) / spots, 100 / spots.sum(), atol=0.02)


def test_a_section_is_kriged_from_all_its_spots_however_many_others_there_are():
    """Own spots come first and are never thinned; others and inducing points are limited."""
    sections = np.repeat([0, 1, 2], [50, 30, 2000])
    for index, own in ((0, 50), (1, 30), (2, 2000)):
        rows = rows_of(sections, index, 100)
        assert (sections[rows[:own]] == index).all()
        assert (sections[rows[own:]] != index).all()
        assert len(rows) - own >= 20
    assert len(kriged_rows(sections, 100)) == 100
    spots = KernelInputs(
        np.random.default_rng(0).uniform(0, 1e3, (300, 2)), np.repeat([0, 1], [240, 60]), 55.0
    )
    chosen = inducing_rows(spots, 100)
    assert len(chosen) == len(set(chosen.tolist())) == 100
    assert (spots.section_index[chosen] == 0).sum() == 80


def test_a_joint_fit_by_inducing_points_loses_little(samples, each):
    """With half as many inducing points as spots, r of each section falls by 0.05 at most."""
    carried = fits(samples, Cokriging(inducing_points=72))
    for one, other in zip(each, carried, strict=True):
        assert other.summary()["mean_r_loo"] > one.summary()["mean_r_loo"] - 0.05
