"""Ridge regression on image features: how far straight lines from the picture go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import features_of, pieces
from histosge.models.scaling import Columns
from histosge.prediction.evidence_ridge import EvidenceRidge
from histosge.section.inputs import Inputs, Samples

__all__ = ["ENTRIES", "Ridge"]


@dataclass(frozen=True, slots=True)
class Ridge(Model):
    """Ridge regression (Hoerl & Kennard 1970) on standardised features, the penalty by marginal likelihood per gene."""

    card: ClassVar[ModelCard] = ModelCard(
        "ridge",
        "Linear in the image features, shrunk as each gene's noise demands.",
        "hoerl1970",
        uses_position=False,
    )

    @property
    def needs(self) -> Needs:
        """Features."""
        return Needs(features=True)

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> RidgePredictor:
        """Solve.

        Raises
        ------
        UsageError
            Without features.
        """
        features = features_of(samples.inputs, np.arange(len(samples)))
        columns = Columns.of(features)
        shrinkage = EvidenceRidge.fit(columns.apply(features).astype(np.float64), samples.expression)
        return RidgePredictor(samples.genes, columns, shrinkage)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> RidgePredictor:
        """Rebuild the predictor."""
        columns = Columns(arrays["columns.mean"], arrays["columns.scale"])
        return RidgePredictor(genes, columns, EvidenceRidge.from_arrays(arrays))


@dataclass(frozen=True, slots=True, eq=False)
class RidgePredictor:
    """Scales and weights."""

    genes: Array
    columns: Columns
    shrinkage: EvidenceRidge

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Multiply; values below 0 are cut."""
        for rows in pieces(len(inputs), len(self.genes)):
            features = self.columns.apply(features_of(inputs, rows)).astype(np.float64)
            mean, sd = self.shrinkage.predict(features)
            yield rows, np.maximum(mean, 0), sd

    def arrays(self) -> dict[str, Array]:
        """Return scales and weights."""
        own = {"columns.mean": self.columns.mean, "columns.scale": self.columns.scale}
        return own | self.shrinkage.arrays()

    def summary(self) -> dict[str, Any]:
        """Nothing else was learnt."""
        return {}


ENTRIES = (Ridge,)
