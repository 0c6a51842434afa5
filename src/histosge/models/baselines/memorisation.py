"""The memorisation baseline: a model without any predictive value, to calibrate what a score means.

By the published protocol, which scores training and test spots together, it reaches correlations of about 0.7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import pieces
from histosge.section.inputs import Inputs, Samples

__all__ = ["ENTRIES", "Memorisation", "MemorisationPredictor"]

# a location nearer to a spot than this is that spot, µm
_SAME_UM = 1e-3


@dataclass(frozen=True, slots=True)
class Memorisation(Model):
    """Return the measurement at training spots and the mean of each gene at all other locations.

    Examples
    --------
    >>> Memorisation().uses_image
    False
    """

    card: ClassVar[ModelCard] = ModelCard(
        "memorisation",
        "Measurements at training spots, the mean everywhere else: calibrates what a score means.",
        "",
        uses_position=True,
    )

    @property
    def needs(self) -> Needs:
        """Positions alone."""
        return Needs()

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> MemorisationPredictor:
        """Store the training spots."""
        return MemorisationPredictor(samples.genes, samples.inputs.separated_xy_um, samples.dense_expression)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> MemorisationPredictor:
        """Rebuild the predictor."""
        return MemorisationPredictor(genes, arrays["xy_um"], arrays["expression"])


@dataclass(frozen=True, slots=True, eq=False)
class MemorisationPredictor:
    """The training spots.

    Parameters
    ----------
    genes
        Names of the genes.
    xy_um, expression
        Positions and measurements.
    """

    genes: Array
    xy_um: Float[np.ndarray, "n 2"]
    expression: Float[np.ndarray, "n g"]

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Find the spot at each location, if there is one."""
        from scipy.spatial import cKDTree

        tree, mean = cKDTree(self.xy_um), self.expression.mean(axis=0)
        for rows in pieces(len(inputs), len(self.genes)):
            distance_um, nearest = tree.query(inputs.separated_xy_um[rows])
            at_spot = (distance_um < _SAME_UM)[:, None]
            yield rows, np.where(at_spot, self.expression[nearest], mean).astype(np.float32), None

    def arrays(self) -> dict[str, Array]:
        """Return the training spots."""
        return {"xy_um": self.xy_um, "expression": self.expression}

    def summary(self) -> dict[str, Any]:
        """Return nothing: the arrays are all."""
        return {}


ENTRIES = (Memorisation,)
