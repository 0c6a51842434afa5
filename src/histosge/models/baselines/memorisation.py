"""The memoriser: no skill at all, and 0.71 by the published protocol. A check of benchmarks, not a model to use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import pieces
from histosge.section.inputs import Inputs, Samples

__all__ = ["ENTRIES", "Memorisation"]

# nearer than this is the spot itself, µm
_SAME_UM = 1e-3


@dataclass(frozen=True, slots=True)
class Memorisation(Model):
    """Answers what was measured at the spots fitted and each gene's mean everywhere else."""

    card: ClassVar[ModelCard] = ModelCard(
        "memorisation",
        "What was measured at spots fitted, the mean elsewhere: shows what a score is worth.",
        "",
        uses_position=True,
    )

    @property
    def needs(self) -> Needs:
        """Positions alone."""
        return Needs()

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> MemoriserPredictor:
        """Remember."""
        return MemoriserPredictor(samples.genes, samples.inputs.separated_xy_um, samples.expression)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> MemoriserPredictor:
        """Rebuild the predictor."""
        return MemoriserPredictor(genes, arrays["xy_um"], arrays["expression"])


@dataclass(frozen=True, slots=True, eq=False)
class MemoriserPredictor:
    """The spots."""

    genes: Array
    xy_um: Float[np.ndarray, "n 2"]
    expression: Float[np.ndarray, "n g"]

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Look places up."""
        from scipy.spatial import cKDTree

        tree, mean = cKDTree(self.xy_um), self.expression.mean(axis=0)
        for rows in pieces(len(inputs), len(self.genes)):
            distance, near = tree.query(inputs.separated_xy_um[rows])
            known = (distance < _SAME_UM)[:, None]
            yield rows, np.where(known, self.expression[near], mean).astype(np.float32), None

    def arrays(self) -> dict[str, Array]:
        """Return the spots."""
        return {"xy_um": self.xy_um, "expression": self.expression}

    def summary(self) -> dict[str, Any]:
        """Nothing else was learnt."""
        return {}


ENTRIES = (Memorisation,)
