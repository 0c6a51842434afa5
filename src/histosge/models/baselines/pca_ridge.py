"""PCA and ridge regression: how HEST-bench judges encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import features_of, pieces
from histosge.models.scaling import Columns
from histosge.section.inputs import Inputs, Samples

__all__ = ["ENTRIES", "PCARidge"]

# principal components that carry less than this share of the first one's power are rounding
_FLAT = 1e-12


@dataclass(frozen=True, slots=True)
class PCARidge(Model):
    """Standardised features, their principal components, ridge regression (Jaume et al. 2024).

    HEST-bench predicts across slides and scores correlation alone, so that it can leave out the intercept; here
    expression is centred first, which changes no correlation and makes squared errors mean something.

    Parameters
    ----------
    components
        At most so many; never more than spots allow.
    alpha
        Penalty; ``None``: 100 / (components × genes), as HEST-bench has it, which is next to none.
    """

    components: int = 256
    alpha: float | None = None

    card: ClassVar[ModelCard] = ModelCard(
        "pca-ridge",
        "Ridge regression on 256 principal components of the image features.",
        "jaume2024hest",
        uses_position=False,
    )

    def __post_init__(self) -> None:
        if self.components < 1 or (self.alpha is not None and self.alpha < 0):
            raise UsageError(
                f"`components` must be 1 or more and `alpha` 0 or more, got {self.components} and {self.alpha}."
            )

    @property
    def needs(self) -> Needs:
        """Features."""
        return Needs(features=True)

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> PCARidgePredictor:
        """Solve.

        Raises
        ------
        UsageError
            Without features.
        """
        features = features_of(samples.inputs, np.arange(len(samples)))
        columns = Columns.of(features)
        standard = columns.apply(features).astype(np.float64)
        middle = standard.mean(axis=0)
        left, power, right = np.linalg.svd(standard - middle, full_matrices=False)
        kept = min(self.components, int((power > _FLAT * power[0]).sum()))
        left, power, right = left[:, :kept], power[:kept], right[:kept]
        mean = samples.expression.mean(axis=0)
        alpha = 100 / (kept * len(mean)) if self.alpha is None else self.alpha
        shrunk = (power / (power**2 + alpha))[:, None] * (left.T @ (samples.expression - mean))
        weights = right.T @ shrunk
        return PCARidgePredictor(samples.genes, columns, weights, mean - middle @ weights)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> PCARidgePredictor:
        """Rebuild the predictor."""
        columns = Columns(arrays["columns.mean"], arrays["columns.scale"])
        return PCARidgePredictor(genes, columns, arrays["weights"], arrays["intercept"])


@dataclass(frozen=True, slots=True, eq=False)
class PCARidgePredictor:
    """Scales, weights on standardised features, intercepts."""

    genes: Array
    columns: Columns
    weights: Float[np.ndarray, "d g"]
    intercept: Float[np.ndarray, " g"]

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Multiply; values below 0 are cut."""
        for rows in pieces(len(inputs), len(self.genes)):
            features = self.columns.apply(features_of(inputs, rows)).astype(np.float64)
            mean = features @ self.weights + self.intercept
            yield rows, np.maximum(mean, 0).astype(np.float32), None

    def arrays(self) -> dict[str, Array]:
        """Return scales and weights."""
        own = {"columns.mean": self.columns.mean, "columns.scale": self.columns.scale}
        return own | {"weights": self.weights, "intercept": self.intercept}

    def summary(self) -> dict[str, Any]:
        """Nothing else was learnt."""
        return {}


ENTRIES = (PCARidge,)
