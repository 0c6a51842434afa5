"""Depth alone: what a map reaches that shows no gene, only how many molecules were captured where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime, predict
from histosge.models.blocks import pieces
from histosge.section.expression import log_depth
from histosge.section.inputs import Inputs, Samples

from .kriging import Kriging, KrigingPredictor

__all__ = ["ENTRIES", "Depth", "DepthPredictor"]

# before the names of the arrays of the interpolation
_PREFIX = "depth."
# log depth that varies less than this is that of a section whose spots were all brought to one depth
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Depth(Model):
    """Krige the log total count, and predict each gene from it by a straight line.

    All genes have one and the same map, scaled. A model whose correlations are no higher has shown no pattern of any
    gene.

    Examples
    --------
    >>> Depth().uses_image, Depth().uses_position
    (False, True)
    """

    card: ClassVar[ModelCard] = ModelCard(
        "depth",
        "Each gene from the interpolated log total count alone: how far sequencing depth explains a score.",
        "",
        uses_position=True,
    )

    @property
    def needs(self) -> Needs:
        """Positions alone."""
        return Needs()

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> DepthPredictor:
        """Krige the log depth, and regress each gene on the log depth measured.

        Raises
        ------
        UsageError
            For fewer than 3 spots.
        """
        depth = log_depth(samples.depth)
        alone = replace(
            samples, expression=depth[:, None], genes=np.array(["log depth"]), programs=None, measured=None
        )
        kriging = Kriging().fit(alone, seed=seed, runtime=runtime)
        deviation = depth - depth.mean()
        expression = samples.dense_expression
        mean = expression.mean(axis=0)
        square = float(deviation @ deviation)
        slope = np.zeros(len(mean))
        if square > _LEAST_VARIANCE * len(depth):
            slope = deviation @ (expression - mean) / square
        residual = expression - mean - np.outer(deviation, slope)
        # two parameters of the line
        freedom = max(len(depth) - 2, 1)
        residual_sd = np.sqrt(np.einsum("ng,ng->g", residual, residual) / freedom)
        lines = np.stack([mean - slope * depth.mean(), slope, residual_sd])
        return DepthPredictor(samples.genes, kriging, lines)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> DepthPredictor:
        """Rebuild the predictor."""
        own = {name.removeprefix(_PREFIX): part for name, part in arrays.items() if name.startswith(_PREFIX)}
        kriging = Kriging().restore(np.array(["log depth"]), own, summary)
        return DepthPredictor(genes, kriging, arrays["lines"])


@dataclass(frozen=True, slots=True, eq=False)
class DepthPredictor:
    """Kriged log depth, and a line for each gene.

    Parameters
    ----------
    genes
        Names of the genes.
    kriging
        Predicts the log depth.
    lines
        Intercept, slope, and standard deviation of the residuals of each gene.
    """

    genes: Array
    kriging: KrigingPredictor
    lines: Float[np.ndarray, "3 g"]

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict; values below 0 are cut. The uncertainty of the depth adds to that of the lines."""
        intercept, slope, residual_sd = self.lines
        # one number a location: kept whole, while genes come piece by piece
        depth = predict(self.kriging, inputs)
        for rows in pieces(len(inputs), len(self.genes)):
            mean = intercept + depth.mean[rows].astype(np.float64) * slope
            depth_sd = 0.0 if depth.sd is None else depth.sd[rows].astype(np.float64)
            sd = np.hypot(depth_sd * slope, residual_sd)
            yield rows, np.maximum(mean, 0).astype(np.float32), sd.astype(np.float32)

    def arrays(self) -> dict[str, Array]:
        """Return the interpolation and the lines."""
        return {f"{_PREFIX}{name}": part for name, part in self.kriging.arrays().items()} | {
            "lines": self.lines
        }

    def summary(self) -> dict[str, Any]:
        """Return the number of inducing points."""
        return self.kriging.summary()


ENTRIES = (Depth,)
