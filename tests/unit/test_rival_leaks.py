"""The audit of the rivals: none depends on test spots, and keys, scales, components or genes of all spots are leaks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import histosge as hs
from histosge.evaluation.audit import audit
from histosge.evaluation.study import Pipeline, Study, gather_samples
from histosge.models import Model, Runtime, build_model
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


def model(name: str) -> Model:
    return build_model(name, **SMALL[name])


def leaks(name: str, pipeline: Pipeline = STANDARD) -> list[str]:
    """The steps at which the audit finds leaks, with random features and colours."""
    windows = sum(part.number for part in model(name).needs.windows) or 1
    spots = at_spots(study().target)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(spots), 3 * windows)).astype(np.float32)
    inputs = Inputs(spots, features=features, colour=rng.random((len(spots), 3)))
    found = audit(study(), model(name), inputs, pipeline=pipeline)
    return [leak.step for leak in found]


def keys_of_all(study: Study, model: Model, samples: Samples, runtime: Runtime) -> Any:
    """Add the expression of a test spot to the spots that are averaged."""
    fitted: Any = model.fit(samples, seed=study.seed, runtime=runtime)
    columns = np.flatnonzero(np.isin(study.target.genes, samples.genes))
    truth = log_cp10k(study.target.counts, columns=columns).toarray()[study.test[:1]]
    return replace(
        fitted,
        keys=np.concatenate([fitted.keys, fitted.keys[:1]]),
        profiles=np.concatenate([fitted.profiles, truth]),
    )


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


@pytest.mark.parametrize("name", ["bleep", "mclstexp"])
def test_keys_of_test_spots_are_a_leak(name: str) -> None:
    """A test spot among those that are averaged is detected."""
    assert "fit" in leaks(name, replace(STANDARD, fit_model=keys_of_all))
