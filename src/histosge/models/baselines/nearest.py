"""The nearest spot: what a reader of a spot map does by eye."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from histosge._runtime.types import Array
from histosge.models.base import Model, ModelCard, Needs, Runtime
from histosge.section.inputs import Samples

from .idw import WeighingPredictor

__all__ = ["ENTRIES", "Nearest"]


@dataclass(frozen=True, slots=True)
class Nearest(Model):
    """Answers what was measured at the nearest spot."""

    card: ClassVar[ModelCard] = ModelCard(
        "nearest", "What was measured at the nearest spot.", "", uses_position=True
    )

    @property
    def needs(self) -> Needs:
        """Positions alone."""
        return Needs()

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> WeighingPredictor:
        """Remember the spots."""
        return WeighingPredictor(samples.genes, samples.inputs.separated_xy_um, samples.expression, 1, 1.0)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> WeighingPredictor:
        """Rebuild the predictor."""
        return WeighingPredictor(genes, arrays["xy_um"], arrays["expression"], 1, 1.0)


ENTRIES = (Nearest,)
