"""The gene mean: what every model must beat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import pieces
from histosge.section.inputs import Inputs, Samples

__all__ = ["ENTRIES", "Mean"]


@dataclass(frozen=True, slots=True)
class Mean(Model):
    """Answers each gene's mean everywhere; the spread is its standard deviation over spots."""

    card: ClassVar[ModelCard] = ModelCard("mean", "Each gene's mean, everywhere.", "", uses_position=False)

    @property
    def needs(self) -> Needs:
        """Nothing."""
        return Needs()

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> MeanPredictor:
        """Average."""
        return MeanPredictor(samples.genes, samples.expression.mean(axis=0), samples.expression.std(axis=0))

    def restore(self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]) -> MeanPredictor:
        """Rebuild the predictor."""
        return MeanPredictor(genes, arrays["mean"], arrays["deviation"])


@dataclass(frozen=True, slots=True, eq=False)
class MeanPredictor:
    """Means and deviations, one a gene."""

    genes: Array
    mean: Float[np.ndarray, " g"]
    deviation: Float[np.ndarray, " g"]

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Repeat them."""
        for rows in pieces(len(inputs), len(self.genes)):
            shape = (len(rows), len(self.genes))
            mean, deviation = (np.broadcast_to(part, shape) for part in (self.mean, self.deviation))
            yield rows, mean.astype(np.float32), deviation.astype(np.float32)

    def arrays(self) -> dict[str, Array]:
        """Return both."""
        return {"mean": self.mean, "deviation": self.deviation}

    def summary(self) -> dict[str, Any]:
        """Nothing else was learnt."""
        return {}


ENTRIES = (Mean,)
