"""The leakage auditor: honest studies pass, and each leak that is injected is caught by name."""

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
from histosge.evaluation.entry import BASELINES
from histosge.evaluation.study import Pipeline, Study, choose, gather, learn, look
from histosge.models import Predictor, Runtime, build_model, predict
from histosge.section.expression import log_cp10k
from histosge.section.genes import GenePanel, select
from histosge.section.inputs import Inputs, Samples
from histosge.section.section import Section
from histosge.section.splits import random
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encoder_for
from histosge.workflow.recipe import Recipe

HONEST = Pipeline.honest()


@cache
def section() -> Section:
    return synthetic(columns=12, rows=12, genes=40).section


@cache
def study() -> Study:
    """Half of the spots removed; half of the genes chosen."""
    split = random(len(section()), seed=1)
    return Study(section(), split.training, split.test, split.name, genes="hvg:20")


@cache
def seen(model: str) -> Inputs:
    built = build_model(model)
    return look(
        study(), built, encoder_for(section(), Recipe(), needs=built.needs, compute=Compute()), Compute()
    )


def steps(study: Study, model: str, pipeline: Pipeline = HONEST, inputs: Inputs | None = None) -> list[str]:
    """The steps at which the auditor finds leaks."""
    given = seen(model) if inputs is None else inputs
    return [leak.step for leak in audit(study, build_model(model), given, pipeline=pipeline)]


def removed_expression(of: Study, panel: Any) -> np.ndarray:
    counts = of.target.counts[of.test]
    found: np.ndarray = log_cp10k(counts, columns=panel).toarray()
    return found


@pytest.mark.parametrize(
    "model", [*dict.fromkeys(entry.model for entry in BASELINES), "pca-ridge", "histosge", "stage"]
)
def test_honest_studies_have_no_leaks(model: str) -> None:
    """Nothing this package fits sees a removed spot."""
    assert steps(study(), model) == []


def test_the_counterfactual_differs_at_removed_spots_alone() -> None:
    """Other counts at every removed spot, the same ones at every retained spot."""
    before, after = study().target.counts, counterfactual(study()).target.counts
    changed = np.asarray(abs(before - after).sum(axis=1)).ravel() > 0
    assert changed[study().test].all()
    assert not changed[study().training].any()


def test_a_gene_panel_from_all_spots_is_caught() -> None:
    """The paper's own habit: genes are chosen before the split."""
    leaking = replace(HONEST, choose=lambda study: select(study.target, study.genes))
    assert steps(study(), "mean", leaking) == ["gene panel"]
    assert steps(replace(study(), hvg_scope="all"), "mean") == ["gene panel"]


def scaled_on_all(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Genes divided by their deviation over all spots."""
    samples = gather(study, panel, inputs)
    every = log_cp10k(study.target.counts, columns=panel.columns).toarray()
    return replace(samples, expression=samples.expression / every.std(axis=0))


def smoothed_over_a_graph(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Expression averaged over neighbours, removed ones among them."""
    from scipy.spatial import cKDTree

    samples = gather(study, panel, inputs)
    every = log_cp10k(study.target.counts, columns=panel.columns).toarray()
    near = cKDTree(study.target.spots.xy).query(study.target.spots.xy[study.training], k=7)[1]
    return replace(samples, expression=every[near].mean(axis=1))


def features_scaled_on_all(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Features brought to mean 0 and deviation 1 over all spots."""
    every = np.asarray(inputs.features)
    standard = ((every - every.mean(axis=0)) / (every.std(axis=0) + 1e-6)).astype(np.float32)
    return gather(study, panel, replace(inputs, features=standard))


def components_of_all(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Principal components of the features of all spots."""
    every = np.asarray(inputs.features, dtype=np.float64)
    right = np.linalg.svd(every - every.mean(axis=0), full_matrices=False)[2][:8]
    return gather(study, panel, replace(inputs, features=(every @ right.T).astype(np.float32)))


def graph_of_expression(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Features joined over a graph whose edges come from the expression of all spots."""
    from scipy.spatial import cKDTree

    every = log_cp10k(study.target.counts, columns=panel.columns).toarray()
    near = cKDTree(every).query(every, k=4)[1]
    joined = np.asarray(inputs.features)[near].mean(axis=1)
    return gather(study, panel, replace(inputs, features=joined))


@pytest.mark.parametrize(
    ("leak", "step"),
    [
        (scaled_on_all, "expression"),
        (smoothed_over_a_graph, "expression"),
        (features_scaled_on_all, "features"),
        (components_of_all, "features"),
        (graph_of_expression, "features"),
    ],
)
def test_what_is_fitted_may_not_know_removed_spots(leak: Callable[..., Samples], step: str) -> None:
    """Scalers, principal components and graphs made with removed spots are caught where they enter."""
    inputs = replace(seen("ridge"), features=np.asarray(seen("ridge").features[np.arange(len(section()))]))
    found = steps(study(), "ridge", replace(HONEST, gather=leak), inputs)
    assert step in found
    assert steps(study(), "ridge", HONEST, inputs) == []


def stopped_early(study: Study, model: Any, samples: Samples, runtime: Runtime) -> Predictor:
    """Train for one, two or three epochs, whichever is best on the removed spots."""
    wanted = removed_expression(study, study_columns(study, samples))
    asked = seen("histosge").take(study.test)
    courses = [replace(model, epochs=epochs).fit(samples, seed=study.seed) for epochs in (1, 2, 3)]
    errors = [float(((predict(course, asked).mean - wanted) ** 2).mean()) for course in courses]
    best = courses[int(np.argmin(errors))]
    # as any early stopping does, it keeps the curve it looked at
    return replace(best, learnt={**best.summary(), "loss_validation": errors})


def study_columns(study: Study, samples: Samples) -> np.ndarray:
    return np.flatnonzero(np.isin(study.target.genes, samples.genes))


def tuned(study: Study, model: Any, samples: Samples, runtime: Runtime) -> Predictor:
    """Choose how many neighbours to average by the error on the removed spots."""
    from histosge.section.locations import at_spots

    wanted = removed_expression(study, study_columns(study, samples))
    asked = Inputs(at_spots(study.target)).take(study.test)
    fits = [replace(model, power=power).fit(samples) for power in np.linspace(0.01, 4, 40)]
    errors = [((predict(fit, asked).mean - wanted) ** 2).mean() for fit in fits]
    return fits[int(np.argmin(errors))]


def test_early_stopping_on_removed_spots_is_caught() -> None:
    """A network that stops when removed spots are answered best is not honest."""
    assert steps(study(), "histosge", replace(HONEST, learn=stopped_early)) == ["fit"]


def test_hyper_parameters_chosen_on_removed_spots_are_caught() -> None:
    """They leave no trace in what is stored, but in what is answered."""
    assert steps(study(), "idw", replace(HONEST, learn=tuned)) == ["fit"]


def test_a_graph_kept_by_the_fit_is_caught() -> None:
    """A fit that keeps neighbours' expression, removed ones among them, differs when they do."""

    def learns_a_graph(study: Study, model: Any, samples: Samples, runtime: Runtime) -> Predictor:
        fitted = learn(study, model, samples, runtime)
        every = log_cp10k(study.target.counts, columns=study_columns(study, samples)).toarray()
        return replace(fitted, expression=every[: len(samples)])

    assert steps(study(), "idw", replace(HONEST, learn=learns_a_graph)) == ["fit"]


def test_a_spot_that_is_there_twice_is_caught() -> None:
    """The same counts, or the same place, in the retained and the removed half are one spot."""
    one, two = study().training[0], study().test[0]
    counts = sparse.lil_matrix(section().counts)
    counts[two] = counts[one]
    twice = replace(section(), counts=sparse.csr_matrix(counts))
    assert steps(replace(study(), target=twice), "mean") == ["duplicated spot"]
    xy = np.array(section().spots.xy)
    xy[two] = xy[one] + 0.5
    stacked = replace(section(), spots=replace(section().spots, xy=xy))
    assert steps(replace(study(), target=stacked), "mean") == ["duplicated spot"]


def test_overlapping_sections_are_caught() -> None:
    """A part of the section is found by its counts: under another name, in another order, with fewer genes.

    So it is where some of the section's spots are retained, and it is fitted beside them. Another tissue is none.
    """
    model = build_model("mean")
    part = replace(section().take(np.arange(30, 10, -1)), name="another")
    alone = Study(section(), np.arange(0), np.arange(len(section())), "sections", (part,), genes="all")
    inputs = look(alone, model, None, Compute())
    (leak,) = audit(alone, model, inputs, pipeline=HONEST)
    assert leak.step == "duplicated spot"
    assert leak.sentence.startswith("20 removed spots")
    order = np.random.default_rng(0).permutation(len(part.genes))[:30]
    fewer = replace(
        part, counts=part.counts[:, order], genes=part.genes[order], gene_ids=part.gene_ids[order]
    )
    (leak,) = audit(replace(alone, auxiliary=(fewer,)), model, inputs, pipeline=HONEST)
    assert leak.sentence.startswith("20 removed spots")
    half = np.arange(len(section()))
    beside = replace(alone, training=half[half % 2 == 0], test=half[half % 2 == 1])
    (leak,) = audit(beside, model, inputs, pipeline=HONEST)
    assert leak.sentence.startswith("10 removed spots")
    other = replace(alone, auxiliary=(synthetic(columns=12, rows=12, genes=40, seed=5).section,))
    assert audit(other, model, look(other, model, None, Compute()), pipeline=HONEST) == ()


@pytest.mark.parametrize(
    ("patients", "caught"), [(("A", "B", "A"), True), (("A", " a"), True), (("A", "B"), False), ((), False)]
)
def test_sections_of_the_patient_scored_are_caught(patients: tuple[str, ...], caught: bool) -> None:
    """Where patients must differ, one that is scored may not be fitted, however its name is written."""
    found = audit(study(), build_model("mean"), seen("mean"), pipeline=HONEST, patients=patients)
    assert [leak.step for leak in found] == (["patient"] if caught else [])


def test_the_panel_of_an_audit_is_that_of_the_study() -> None:
    """The audit leaves the study as it was."""
    before = choose(study()).names
    steps(study(), "mean")
    assert np.array_equal(choose(study()).names, before)
