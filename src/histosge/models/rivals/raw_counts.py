"""Counts as targets: the total count of a spot is predicted as one more gene, and log1p(CP10k) follows from both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.models.base import Block, Model, Predictor, Runtime
from histosge.section.expression import TARGET_SUM
from histosge.section.inputs import Inputs, Samples

__all__ = ["CountsPredictor", "TargetScale", "fit_to_counts", "restored_of_counts"]

#: what a model is fitted to: ``"cp10k"``: log1p(CP10k), as every model. ``"counts"``: raw counts and their total.
#: ``"log_counts"``: log1p of both
TargetScale: TypeAlias = Literal["cp10k", "counts", "log_counts"]

# the name of the gene that is the total count
_TOTAL = "total counts of a spot"
# a location with less than this many molecules has the expression of one with so many
_LEAST = 1.0


def fit_to_counts(
    model: Model, samples: Samples, scale: TargetScale, *, seed: int, runtime: Runtime
) -> CountsPredictor:
    """Fit a model, whose own scale is log1p(CP10k), to counts and their total.

    No total count but those of the spots fitted is read: at a location it is predicted.

    Raises
    ------
    UsageError
        For expression at the mean depth, which no counts have.
    """
    if samples.measured is not None:
        raise UsageError("`scale` counts cannot be fitted at the mean depth. Leave out `depth_adjusted`.")
    total = np.asarray(samples.depth, dtype=np.float64)[:, None]
    values = np.hstack([np.expm1(samples.dense_expression) * (total / TARGET_SUM), total])
    if scale == "log_counts":
        values = np.log1p(values)
    counted = replace(
        samples,
        expression=values.astype(samples.dense_expression.dtype),
        genes=np.append(samples.genes, _TOTAL),
        programs=None,
    )
    return CountsPredictor(model.fit(counted, seed=seed, runtime=runtime), scale)


def restored_of_counts(
    model: Model, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any], scale: TargetScale
) -> CountsPredictor:
    """Rebuild the predictor of a fit to counts."""
    return CountsPredictor(model.restore(np.append(genes, _TOTAL), arrays, summary), scale)


@dataclass(frozen=True, slots=True, eq=False)
class CountsPredictor:
    """A predictor of counts and their total; see :class:`histosge.models.base.Predictor`.

    Parameters
    ----------
    fitted
        Predicts counts, of which the last is the total, on ``scale``.
    scale
        ``"counts"`` or ``"log_counts"``.
    """

    fitted: Predictor
    scale: TargetScale

    @property
    def genes(self) -> Array:
        """Names of the genes predicted."""
        return self.fitted.genes[:-1]

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict log1p(1e4 · count / total) piece by piece."""
        for rows, mean, _ in self.fitted.blocks(inputs):
            values = np.expm1(mean) if self.scale == "log_counts" else mean
            counts = np.maximum(values, 0)
            shares = counts[:, :-1] / np.maximum(counts[:, -1:], _LEAST)
            yield rows, np.log1p(TARGET_SUM * shares).astype(np.float32), None

    def arrays(self) -> Mapping[str, Array]:
        """Return the arrays of the fit to counts."""
        return self.fitted.arrays()

    def summary(self) -> Mapping[str, Any]:
        """Return the plain values of the fit to counts."""
        return self.fitted.summary()
