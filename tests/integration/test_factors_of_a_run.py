"""A run whose model predicts by factors leaves them, and everything can be written from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histosge import Compute, Recipe, Target, fit, synthetic, upsampled
from histosge._runtime.provenance import Stopwatch
from histosge._runtime.types import Array
from histosge.images.tissue import TissueMask
from histosge.io.export import export
from histosge.io.writers import factors, h5ad
from histosge.models.base import Block, FactoredPredictor, Predictor
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.inputs import Inputs
from histosge.workflow.outputs import Job, Outputs, deliver

SECTION = synthetic(columns=8, rows=8, genes=24).section


@dataclass(frozen=True, slots=True, eq=False)
class ByFactors:
    """Predicts with factors of position; knows more genes than it was fitted to."""

    basis: Basis
    fitted: int = 12

    @property
    def genes(self) -> Array:
        return self.basis.genes[: self.fitted]

    def factored(self, inputs: Inputs) -> FactoredPrediction:
        fields = inputs.locations.xy / 500.0
        return FactoredPrediction(inputs.locations, self.basis, fields, np.full(fields.shape, 0.3))

    def left_out_scores(self) -> tuple[Array, Array]:
        fields = SECTION.spots.xy / 500.0
        return fields, np.full(fields.shape, 0.3)

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        raise AssertionError("predicted twice")

    def arrays(self) -> Mapping[str, Array]:
        return {}

    def summary(self) -> Mapping[str, Any]:
        return {"made": "up"}


def job(folder: Path, predictor: Predictor | None) -> Job:
    fitted = fit(SECTION, Recipe(model="mean", genes="hvg:12"), Compute())
    if predictor is not None:
        fitted = replace(fitted, predictor=predictor)
    mask = TissueMask.from_points(SECTION.spots, SECTION.pitch_um)
    places = upsampled(SECTION, 4, mask=mask)
    return Job(SECTION, fitted, Target(upsample=4), places, mask, folder, Compute(), Outputs(figures=False))


def test_factors_are_left_beside_the_matrix(tmp_path: Path) -> None:
    """The matrix holds the genes fitted, the factors all; both are one prediction, made once."""
    rng = np.random.default_rng(0)
    ones = np.ones(24)
    order = np.concatenate([fit(SECTION, Recipe(model="mean", genes="hvg:12"), Compute()).panel.columns])
    order = np.concatenate([order, np.setdiff1d(np.arange(24), order)])
    predictor = ByFactors(Basis(SECTION.genes[order], ones, rng.normal(size=(24, 2)), ones, ones, ones))
    assert isinstance(predictor, FactoredPredictor)
    record = deliver(job(tmp_path, predictor), Stopwatch())
    assert set(record["files"]) == {"prediction.h5ad", "factors.h5ad"}
    matrix, kept = h5ad.read(tmp_path / "prediction.h5ad"), factors.read(tmp_path / "factors.h5ad")
    assert len(kept.genes) == 24
    assert list(matrix.genes) == list(predictor.genes)
    again = kept.whole([str(name) for name in matrix.genes], observation=True)
    assert np.allclose(again.mean, matrix.mean, atol=1e-5)
    assert np.allclose(np.asarray(again.sd), np.asarray(matrix.sd), rtol=2e-3)
    assert kept.provenance == matrix.provenance
    assert export(tmp_path, tmp_path / "all.h5ad").genes == tuple(str(name) for name in SECTION.genes[order])


def test_models_without_factors_leave_none(tmp_path: Path) -> None:
    """Other models' runs are as before."""
    record = deliver(job(tmp_path, None), Stopwatch())
    assert set(record["files"]) == {"prediction.h5ad"}
    with pytest.raises(Exception, match=r"no factors\.h5ad"):
        export(tmp_path, tmp_path / "all.h5ad")
