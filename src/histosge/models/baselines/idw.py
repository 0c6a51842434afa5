"""Inverse distance weighting: the nearest spots, the nearer the heavier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import pieces
from histosge.section.inputs import Inputs, Samples

__all__ = ["ENTRIES", "IDW", "WeighingPredictor"]

# squared distance, in squared pitches, below which a place is the spot itself
_SAME = 1e-12


@dataclass(frozen=True, slots=True)
class IDW(Model):
    """Shepard's method (1968).

    Parameters
    ----------
    neighbours
        Spots averaged over.
    power
        Weights are distance to the minus ``power``.
    """

    neighbours: int = 18
    power: float = 2.0

    card: ClassVar[ModelCard] = ModelCard(
        "idw", "Inverse distance weighting of the nearest spots.", "shepard1968", uses_position=True
    )

    def __post_init__(self) -> None:
        if self.neighbours < 1 or not self.power > 0:
            raise UsageError(
                f"`neighbours` and `power` must be positive, got {self.neighbours} and {self.power}. Try 18 and 2."
            )

    @property
    def needs(self) -> Needs:
        """Positions alone."""
        return Needs()

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> WeighingPredictor:
        """Remember the spots."""
        return WeighingPredictor(
            samples.genes, samples.inputs.separated_xy_um, samples.expression, self.neighbours, self.power
        )

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> WeighingPredictor:
        """Rebuild the predictor."""
        return WeighingPredictor(genes, arrays["xy_um"], arrays["expression"], self.neighbours, self.power)


@dataclass(frozen=True, slots=True, eq=False)
class WeighingPredictor:
    """The spots, and how many of them count how much."""

    genes: Array
    xy_um: Float[np.ndarray, "n 2"]
    expression: Float[np.ndarray, "n g"]
    neighbours: int
    power: float

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Average the nearest spots; at a spot its own value."""
        from scipy.spatial import cKDTree

        tree = cKDTree(self.xy_um)
        number = min(self.neighbours, len(self.xy_um))
        for rows in pieces(len(inputs), len(self.genes)):
            distance, near = tree.query(inputs.separated_xy_um[rows], k=range(1, number + 1))
            weights = np.maximum(distance, _SAME) ** -self.power
            weights /= weights.sum(axis=1, keepdims=True)
            mean = np.zeros((len(rows), len(self.genes)))
            for column in range(number):
                mean += weights[:, column, None] * self.expression[near[:, column]]
            yield rows, mean.astype(np.float32), None

    def arrays(self) -> dict[str, Array]:
        """Return the spots."""
        return {"xy_um": self.xy_um, "expression": self.expression}

    def summary(self) -> dict[str, Any]:
        """Nothing else was learnt."""
        return {}


ENTRIES = (IDW,)
