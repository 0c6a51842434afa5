"""Rivals fitted to counts: shares of a predicted total, which no location brings along."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histosge as hs
from histosge.errors import UsageError
from histosge.models import build_model, predict, saving
from histosge.section.expression import depth, log_cp10k
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots

SECTION = hs.synthetic(columns=8, rows=8, genes=12).section
OPTIONS: dict[str, dict[str, Any]] = {
    "tesla": {"scale": "log_counts"},
    "istar": {"scale": "counts", "superpixels": 1.0, "components": 3, "factors": 3, "epochs": 2},
    "stentrans": {"scale": "counts", "patch": 2, "heads": 2, "depth": 1, "epochs": 2},
}


def samples() -> Samples:
    """All spots with six of the genes, random features and colours."""
    rng = np.random.default_rng(0)
    n = len(SECTION)
    features = rng.normal(size=(n, 6)).astype(np.float32)
    inputs = Inputs(at_spots(SECTION), features=features, colour=rng.random((n, 3)))
    expression = log_cp10k(SECTION.counts, columns=np.arange(6)).toarray()
    return Samples(inputs, expression, SECTION.genes[:6], depth(SECTION.counts))


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_a_fit_to_counts_predicts_the_same_genes_and_comes_back(name: str, tmp_path: Path) -> None:
    """The total is no gene of the prediction; values are finite and not negative; a saved fit predicts the same."""
    model, data = build_model(name, **OPTIONS[name]), samples()
    predictor = model.fit(data, seed=1)
    assert predictor.genes.tolist() == data.genes.tolist()
    mean = predict(predictor, data.inputs).mean
    assert np.isfinite(mean).all()
    assert (mean >= 0).all()
    saving.save(tmp_path / "fit", model, predictor)
    assert np.array_equal(predict(saving.load(tmp_path / "fit")[1], data.inputs).mean, mean)
    with pytest.raises(UsageError, match="mean depth"):
        model.fit(replace(data, measured=data.expression))


def test_counts_at_a_measured_spot_are_its_expression() -> None:
    """One neighbour's log counts give back log1p(CP10k): count and total are those of one spot."""
    data = samples()
    predictor = build_model("tesla", scale="log_counts", neighbours=1).fit(data)
    assert np.allclose(predict(predictor, data.inputs).mean, data.expression, atol=1e-3)


def test_totals_decide_where_counts_are_averaged() -> None:
    """A spot with a hundred times as many molecules outweighs its neighbours in counts, and not in log1p(CP10k)."""
    data = samples()
    heavy = np.where(np.arange(len(data)) == 20, 100.0, 1.0)
    deep = replace(data, depth=data.depth * heavy)
    options = {"power": 1.0, "colour_weight": 0.0}
    at = data.inputs.take(np.array([21]))
    errors = []
    for scale in ("cp10k", "log_counts"):
        before, after = (
            predict(build_model("tesla", scale=scale, **options).fit(part), at).mean for part in (data, deep)
        )
        errors.append(np.abs(after - before).max())
    assert errors[0] < 1e-6 < errors[1]
