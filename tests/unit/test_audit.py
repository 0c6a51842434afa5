"""The audit: studies of this package have no leaks, and each injected leak is found and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from histosge.datasets import synthetic
from histosge.evaluation.audit import audit, counterfactual
from histosge.evaluation.baselines import BASELINES
from histosge.evaluation.study import (
    Pipeline,
    Study,
    choose_genes,
    encode_study,
    fit_model,
    gather_samples,
)
from histosge.models import Predictor, Runtime, build_model, predict
from histosge.section.expression import log_cp10k
from histosge.section.genes import GenePanel, select
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots
from histosge.section.section import Section
from histosge.workflow.recipe import Recipe

STANDARD = Pipeline.standard()


@cache
def section() -> Section:
    return synthetic(columns=12, rows=12, genes=40).section


@cache
def study() -> Study:
    """Half of the spots for training; half of the genes chosen."""
    return Study.of(section(), genes="hvg:20", seed=1)


@cache
def inputs_of(model: str) -> Inputs:
    return encode_study(study(), Recipe(model))


def leaking_steps(
    study: Study, model: str, pipeline: Pipeline = STANDARD, inputs: Inputs | None = None
) -> list[str]:
    """The steps at which the audit finds leaks."""
    inputs = inputs_of(model) if inputs is None else inputs
    return [leak.step for leak in audit(study, build_model(model), inputs, pipeline=pipeline)]


def expression(study: Study, columns: np.ndarray) -> np.ndarray:
    """Expression of all spots, test spots among them."""
    values: np.ndarray = log_cp10k(study.target.counts, columns=columns).toarray()
    return values


def columns_of(study: Study, samples: Samples) -> np.ndarray:
    return np.flatnonzero(np.isin(study.target.genes, samples.genes))


@pytest.mark.parametrize(
    "model", [*dict.fromkeys(recipe.model for recipe in BASELINES), "pca-ridge", "histosge", "stage"]
)
def test_standard_steps_have_no_leaks(model: str) -> None:
    """No step of this package depends on the test spots."""
    assert leaking_steps(study(), model) == []


def test_counterfactual_changes_test_spots_alone() -> None:
    """The counterfactual has other counts at every test spot, and the same at every training spot."""
    before, after = study().target.counts, counterfactual(study()).target.counts
    changed = np.asarray(abs(before - after).sum(axis=1)).ravel() > 0
    assert changed[study().test].all()
    assert not changed[study().training].any()


def test_gene_panel_of_all_spots_is_a_leak() -> None:
    """The paper's protocol, which chooses genes before the split, is found."""
    leaking = replace(STANDARD, choose_genes=lambda study: select(study.target, study.genes))
    assert leaking_steps(study(), "mean", leaking) == ["gene panel"]
    assert leaking_steps(replace(study(), hvg_scope="all"), "mean") == ["gene panel"]


def scaled_on_all(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Genes divided by their standard deviation over all spots."""
    samples = gather_samples(study, panel, inputs)
    return replace(samples, expression=samples.expression / expression(study, panel.columns).std(axis=0))


def smoothed_over_neighbours(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Expression averaged over neighbours, test spots among them."""
    from scipy.spatial import cKDTree

    samples = gather_samples(study, panel, inputs)
    neighbours = cKDTree(study.target.spots.xy).query(study.target.spots.xy[study.training], k=7)[1]
    return replace(samples, expression=expression(study, panel.columns)[neighbours].mean(axis=1))


def features_scaled_on_all(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Features standardised over all spots."""
    features = np.asarray(inputs.features)
    standard = ((features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)).astype(np.float32)
    return gather_samples(study, panel, replace(inputs, features=standard))


def components_of_all(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Principal components of the features of all spots."""
    features = np.asarray(inputs.features, dtype=np.float64)
    axes = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)[2][:8]
    return gather_samples(study, panel, replace(inputs, features=(features @ axes.T).astype(np.float32)))


def graph_of_expression(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Features averaged over a graph whose edges come from the expression of all spots."""
    from scipy.spatial import cKDTree

    values = expression(study, panel.columns)
    neighbours = cKDTree(values).query(values, k=4)[1]
    averaged = np.asarray(inputs.features)[neighbours].mean(axis=1)
    return gather_samples(study, panel, replace(inputs, features=averaged))


@pytest.mark.parametrize(
    ("leak", "step"),
    [
        (scaled_on_all, "expression"),
        (smoothed_over_neighbours, "expression"),
        (features_scaled_on_all, "features"),
        (components_of_all, "features"),
        (graph_of_expression, "features"),
    ],
)
def test_preprocessing_with_test_spots_is_a_leak(leak: Callable[..., Samples], step: str) -> None:
    """Scalers, principal components and graphs that use test spots are found where they enter."""
    inputs = inputs_of("ridge")
    inputs = replace(inputs, features=np.asarray(inputs.features[np.arange(len(section()))]))
    assert step in leaking_steps(study(), "ridge", replace(STANDARD, gather_samples=leak), inputs)
    assert leaking_steps(study(), "ridge", STANDARD, inputs) == []


def stopped_early(study: Study, model: Any, samples: Samples, runtime: Runtime) -> Predictor:
    """Train for one, two or three epochs, whichever has the least error at the test spots."""
    truth = expression(study, columns_of(study, samples))[study.test]
    test = inputs_of("histosge").take(study.test)
    fits = [replace(model, epochs=epochs).fit(samples, seed=study.seed) for epochs in (1, 2, 3)]
    errors = [float(((predict(fitted, test).mean - truth) ** 2).mean()) for fitted in fits]
    best = fits[int(np.argmin(errors))]
    # early stopping usually stores its validation curve
    return replace(best, fit_summary={**best.summary(), "loss_validation": errors})


def tuned(study: Study, model: Any, samples: Samples, runtime: Runtime) -> Predictor:
    """Choose the power of inverse distances by the error at the test spots."""
    truth = expression(study, columns_of(study, samples))[study.test]
    test = Inputs(at_spots(study.target)).take(study.test)
    fits = [replace(model, power=power).fit(samples) for power in np.linspace(0.01, 4, 40)]
    errors = [((predict(fitted, test).mean - truth) ** 2).mean() for fitted in fits]
    return fits[int(np.argmin(errors))]


def graph_in_fit(study: Study, model: Any, samples: Samples, runtime: Runtime) -> Predictor:
    """Store the expression of other spots, test spots among them, in the fit."""
    fitted = fit_model(study, model, samples, runtime)
    values = expression(study, columns_of(study, samples))
    return replace(fitted, expression=values[: len(samples)])


def test_early_stopping_on_test_spots_is_a_leak() -> None:
    """A network that stops at the least error of the test spots is found."""
    assert leaking_steps(study(), "histosge", replace(STANDARD, fit_model=stopped_early)) == ["fit"]


def test_hyper_parameters_chosen_on_test_spots_are_a_leak() -> None:
    """They leave no trace in what is stored, but in what is predicted."""
    assert leaking_steps(study(), "idw", replace(STANDARD, fit_model=tuned)) == ["fit"]


def test_expression_of_neighbours_stored_in_the_fit_is_a_leak() -> None:
    """A fit that stores expression of test spots differs when they do."""
    assert leaking_steps(study(), "idw", replace(STANDARD, fit_model=graph_in_fit)) == ["fit"]


def test_an_overlapping_spot_is_a_leak() -> None:
    """The same counts, or the same position, in the training and the test half are one spot."""
    training, test = study().training[0], study().test[0]
    counts = sparse.lil_matrix(section().counts)
    counts[test] = counts[training]
    same_counts = replace(section(), counts=sparse.csr_matrix(counts))
    assert leaking_steps(replace(study(), target=same_counts), "mean") == ["duplicated spot"]
    xy = np.array(section().spots.xy)
    xy[test] = xy[training] + 0.5
    same_position = replace(section(), spots=replace(section().spots, xy=xy))
    assert leaking_steps(replace(study(), target=same_position), "mean") == ["duplicated spot"]


def test_an_overlapping_section_is_a_leak() -> None:
    """A part of the section is found by its counts: under another name, in another order, with fewer genes.

    It is also found where half of the section's spots are training spots. Another tissue is no leak.
    """
    model, rows = build_model("mean"), np.arange(len(section()))
    part = replace(section().take(np.arange(30, 10, -1)), name="another")
    whole = Study(section(), rows[:0], rows, "sections", (part,), genes="all")
    inputs = encode_study(whole, Recipe("mean"))
    (leak,) = audit(whole, model, inputs)
    assert leak.step == "duplicated spot"
    assert leak.message.startswith("20 test spots")
    order = np.random.default_rng(0).permutation(len(part.genes))[:30]
    fewer = replace(
        part, counts=part.counts[:, order], genes=part.genes[order], gene_ids=part.gene_ids[order]
    )
    (leak,) = audit(replace(whole, auxiliary=(fewer,)), model, inputs)
    assert leak.message.startswith("20 test spots")
    half = replace(whole, training=rows[rows % 2 == 0], test=rows[rows % 2 == 1])
    (leak,) = audit(half, model, inputs)
    assert leak.message.startswith("10 test spots")
    other = replace(whole, auxiliary=(synthetic(columns=12, rows=12, genes=40, seed=5).section,))
    assert audit(other, model, encode_study(other, Recipe("mean"))) == ()


@pytest.mark.parametrize(
    ("patients", "is_leak"),
    [(("A", "B", "A"), True), (("A", " a"), True), (("A", "B"), False), ((), False)],
)
def test_a_section_of_the_same_patient_is_a_leak(patients: tuple[str, ...], is_leak: bool) -> None:
    """Where patients must differ, the patient of the target may not be fitted, in whatever spelling."""
    leaks = audit(study(), build_model("mean"), inputs_of("mean"), patients=patients)
    assert [leak.step for leak in leaks] == (["patient"] if is_leak else [])


def test_the_audit_leaves_the_study_as_it_was() -> None:
    """The genes of a study are the same before and after its audit."""
    before = choose_genes(study()).names
    leaking_steps(study(), "mean")
    assert np.array_equal(choose_genes(study()).names, before)
