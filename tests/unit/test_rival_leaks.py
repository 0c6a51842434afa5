"""The audit of the rivals: none depends on test spots, and keys, scales, components or genes of all spots are leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import pytest

import histosge as hs
from histosge._runtime.types import Array
from histosge.evaluation.audit import audit
from histosge.evaluation.study import Pipeline, Study, gather_samples
from histosge.models import Runtime, build_model, predict
from histosge.models.rivals.triplex import _smoothed as smoothed
from histosge.section.expression import log_cp10k
from histosge.section.genes import GenePanel, select
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots

STANDARD = Pipeline.standard()
SMALL: dict[str, dict[str, Any]] = {
    "bleep": {"width": 8, "nearest": 3},
    "mclstexp": {"width": 8, "depth": 1, "heads": 1, "head_width": 4},
    "deepspot": {"width": 8, "members": 2, "side": 1, "around": 2},
    "triplex": {"width": 8, "depths": (1, 1, 1), "heads": (1, 1, 1), "target_side": 1, "neighbour_side": 3},
    "tesla": {},
    "bayesspace": {"iterations": 20, "spot_iterations": 10},
    "istar": {"superpixels": 1.0, "components": 3, "factors": 3},
    "stentrans": {"patch": 2, "heads": 2, "depth": 1, "epochs": 2},
}


@cache
def study() -> Study:
    return Study.of(hs.synthetic(columns=10, rows=10, genes=24).section, genes="hvg:10", seed=1)


def model(name: str, **options: Any) -> Any:
    return build_model(name, **SMALL[name] | options)


@cache
def inputs_of(name: str) -> Inputs:
    """All spots, with random features and colours."""
    windows = sum(part.number for part in model(name).needs.windows) or 1
    spots = at_spots(study().target)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(spots), 3 * windows)).astype(np.float32)
    return Inputs(spots, features=features, colour=rng.random((len(spots), 3)))


def leaks(name: str, pipeline: Pipeline = STANDARD, **options: Any) -> list[str]:
    """The steps at which the audit finds leaks."""
    found = audit(study(), model(name, **options), inputs_of(name), pipeline=pipeline)
    return [leak.step for leak in found]


def scaled_on_all(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Divide expression by the largest value over all spots."""
    samples = gather_samples(study, panel, inputs)
    largest = log_cp10k(study.target.counts, columns=panel.columns).toarray().max(axis=0)
    return replace(samples, expression=samples.expression / (largest + 1))


def components_of_all(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Rotate features to principal components of all spots."""
    features = np.asarray(inputs.features, dtype=np.float64)
    axes = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)[2]
    return gather_samples(study, panel, replace(inputs, features=(features @ axes.T).astype(np.float32)))


@pytest.mark.parametrize("name", sorted(SMALL))
def test_leaks_of_the_rivals_are_detected(name: str) -> None:
    """No step of this package leaks; a scale, components or genes of all spots do, for each of them."""
    assert leaks(name) == []
    assert "expression" in leaks(name, replace(STANDARD, gather_samples=scaled_on_all))
    if model(name).uses_image:
        assert "features" in leaks(name, replace(STANDARD, gather_samples=components_of_all))
    panel = replace(STANDARD, choose_genes=lambda study: select(study.target, study.genes))
    assert "gene panel" in leaks(name, panel)


# what a fit that leaks is given: the model, its samples, and these followed by further spots
LeakingFit: TypeAlias = Callable[[Any, Samples, Samples], Any]


def keys_of_others(model: Any, samples: Samples, joined: Samples) -> Any:
    """Add further spots to those that are averaged."""
    fitted = model.fit(samples)
    inputs = model.network_inputs(fitted.scaling, joined.inputs)
    profiles = fitted.targets.encode(joined.dense_expression)
    return replace(fitted, keys=model.keys(fitted.network, inputs, profiles, "cpu"), profiles=profiles)


def scale_of_others(model: Any, samples: Samples, joined: Samples) -> Any:
    """Scale genes by what they are at further spots too: iStar's least and largest values, DeepSpot's deviation."""

    class Leaking(type(model)):
        def targets_of(self, expression: Any) -> Any:
            return model.targets_of(joined.dense_expression)

    return as_class(Leaking, model).fit(samples)


def components_of_others(model: Any, samples: Samples, joined: Samples) -> Any:
    """Compute BayesSpace's principal components of expression with further spots."""

    class Leaking(type(model)):
        def _components(self, expression: Any) -> Any:
            others = joined.dense_expression[len(samples) :]
            return model._components(np.concatenate([expression, others]))[: len(samples)]

    return as_class(Leaking, model).fit(samples)


def smoothed_over_others(model: Any, samples: Samples, joined: Samples) -> Any:
    """Smooth TRIPLEX's training expression over further spots, as its authors do with those that are scored."""
    smooth = smoothed(joined)[: len(samples)]
    return replace(model, smooth=False).fit(replace(samples, expression=smooth))


def fitted_to_others(model: Any, _: Samples, joined: Samples) -> Any:
    """Fit further spots: those that TESLA averages, those in stEnTrans's maps."""
    return model.fit(joined)


def as_class(kind: type, model: Any) -> Any:
    return kind(**{item.name: getattr(model, item.name) for item in fields(model)})


# the leak of each model inside its fit, and the options with which it has the leaking step
LEAKING: dict[str, tuple[LeakingFit, dict[str, Any]]] = {
    "bleep": (keys_of_others, {}),
    "mclstexp": (keys_of_others, {}),
    "deepspot": (scale_of_others, {}),
    "triplex": (smoothed_over_others, {"smooth": True}),
    "tesla": (fitted_to_others, {}),
    "bayesspace": (components_of_others, {}),
    # without factors there is nothing but the least and the largest value of each gene
    "istar": (scale_of_others, {"factors": None}),
    "stentrans": (fitted_to_others, {}),
}


def leaking_fit(name: str, others: Array) -> Callable[[Study, Any, Samples, Runtime], Any]:
    """Return the fit of a model with a leak of further spots of the section."""

    def fit(study: Study, model: Any, samples: Samples, runtime: Runtime) -> Any:
        ids, inputs = study.target.spots.ids, inputs_of(name)
        own = np.flatnonzero(np.isin(ids, samples.inputs.locations.points.ids))
        everywhere = replace(study, training=np.arange(len(ids)))
        of_all = gather_samples(everywhere, STANDARD.choose_genes(study), inputs)
        assert np.array_equal(of_all.take(own).expression, samples.expression)
        return LEAKING[name][0](model, samples, of_all.take(np.concatenate([own, others])))

    return fit


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_leak_inside_each_fit_is_detected(name: str) -> None:
    """Keys, scales, components or neighbours of all spots are found; the model with the same options has no leak."""
    options = LEAKING[name][1]
    if options:
        assert leaks(name, **options) == []
    found = leaks(name, replace(STANDARD, fit_model=leaking_fit(name, study().test)), **options)
    assert found == ["fit"]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_fit_that_could_leak_and_does_not_is_the_model(name: str) -> None:
    """Without further spots each leaking fit predicts what the model predicts: the leak is all that differs."""
    panel = STANDARD.choose_genes(study())
    samples = gather_samples(study(), panel, inputs_of(name)).take(np.arange(20))
    short = {"epochs": 1} if hasattr(model(name), "epochs") else {}
    system = model(name, **LEAKING[name][1] | short)
    usual = predict(system.fit(samples), samples.inputs).mean
    without, with_leak = (
        predict(leaking_fit(name, others)(study(), system, samples, Runtime()), samples.inputs).mean
        for others in (study().test[:0], study().test)
    )
    assert np.array_equal(without, usual)
    assert not np.array_equal(with_leak, usual)
