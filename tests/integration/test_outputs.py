"""A run whose model predicts by factors writes them, and everything can be exported from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histosge import Compute, Recipe, Target, fit, synthetic, upsampled
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.images.tissue import TissueMask
from histosge.io.export import export
from histosge.io.writers import factors, h5ad
from histosge.models.base import Block, FactoredPredictor, Predictor
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.inputs import Inputs
from histosge.workflow.outputs import Outputs, write_prediction
from histosge.workflow.provenance import provenance_of
from histosge.workflow.section_prediction import Task, predict_section

SECTION = synthetic(columns=8, rows=8, genes=24).section
FIT = fit(SECTION, Recipe(model="mean", genes="hvg:12"))


@dataclass(frozen=True, slots=True, eq=False)
class ByFactors:
    """Predicts with factors of position, of more genes than it was fitted to."""

    basis: Basis
    fitted: int = 12

    @property
    def genes(self) -> Array:
        return self.basis.genes[: self.fitted]

    def factored(self, inputs: Inputs) -> FactoredPrediction:
        scores = inputs.locations.xy / 500.0
        return FactoredPrediction(inputs.locations, self.basis, scores, np.full(scores.shape, 0.3))

    def left_out_scores(self) -> tuple[Array, Array]:
        scores = SECTION.spots.xy / 500.0
        return scores, np.full(scores.shape, 0.3)

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        raise AssertionError("predicted twice")

    def arrays(self) -> Mapping[str, Array]:
        return {}

    def summary(self) -> Mapping[str, Any]:
        return {"made": "up"}


def written(folder: Path, predictor: Predictor | None) -> set[str]:
    """Predict at four locations a spot, write, and return the names of the files."""
    result = FIT if predictor is None else replace(FIT, predictor=predictor)
    mask = TissueMask.from_points(SECTION.spots, SECTION.pitch_um)
    task = Task(SECTION, Target(upsample=4), mask, upsampled(SECTION, 4, mask=mask))
    provenance = provenance_of(
        SECTION, result, target=task.target, locations=task.locations, compute=Compute()
    )
    prediction = predict_section(result, task, Inputs(task.locations), provenance=provenance)
    return {path.name for path in write_prediction(prediction, folder)[1]}


def test_factors_are_written_beside_the_matrix(tmp_path: Path) -> None:
    """The matrix holds the fitted genes, the factors all genes; both are one prediction, made once."""
    rng = np.random.default_rng(0)
    ones = np.ones(24)
    order = np.concatenate([FIT.panel.columns, np.setdiff1d(np.arange(24), FIT.panel.columns)])
    predictor = ByFactors(Basis(SECTION.genes[order], ones, rng.normal(size=(24, 2)), ones, ones, ones))
    assert isinstance(predictor, FactoredPredictor)
    assert written(tmp_path, predictor) == {"prediction.h5ad", "factors.h5ad"}
    matrix, kept = h5ad.read(tmp_path / "prediction.h5ad"), factors.read(tmp_path / "factors.h5ad")
    assert len(kept.genes) == 24
    assert list(matrix.genes) == list(predictor.genes)
    again = kept.whole([str(name) for name in matrix.genes], observation=True)
    assert np.allclose(again.mean, matrix.mean, atol=1e-5)
    assert np.allclose(np.asarray(again.sd), np.asarray(matrix.sd), rtol=2e-3)
    assert kept.provenance == matrix.provenance
    exported = export(tmp_path, tmp_path / "all.h5ad")
    assert exported.genes == tuple(str(name) for name in SECTION.genes[order])


def test_genes_and_formats_are_lists_or_separated_by_commas(tmp_path: Path) -> None:
    """Both forms mean the same, a file of names too; ``all`` is no choice of genes for a figure."""
    outputs = Outputs(show="A, B", also="geojson")
    assert outputs == Outputs(show=["A", "B"], also=["geojson"])
    (tmp_path / "genes.txt").write_text("A\nB\n")
    assert Outputs(show=tmp_path / "genes.txt").genes == outputs.genes == ("A", "B")
    with pytest.raises(UsageError, match="`show`"):
        Outputs(show="all")
    with pytest.raises(UsageError, match="geojson"):
        Outputs(also="xlsx")


def test_models_without_factors_write_none(tmp_path: Path) -> None:
    """Their run writes the matrix alone, and exporting genes outside it is refused."""
    assert written(tmp_path, None) == {"prediction.h5ad"}
    with pytest.raises(Exception, match=r"no factors\.h5ad"):
        export(tmp_path, tmp_path / "all.h5ad")
