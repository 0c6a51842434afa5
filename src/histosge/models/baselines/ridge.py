"""Ridge regression on image features: the accuracy of a linear model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from histosge._runtime.types import Float
from histosge.models.base import ModelCard
from histosge.prediction.evidence_ridge import EvidenceRidge

from .regression import Regression, SklearnModel

__all__ = ["ENTRIES", "MarginalLikelihoodRidge", "Ridge"]


@dataclass(frozen=True, slots=True)
class Ridge(Regression):
    """Ridge regression (Hoerl & Kennard 1970) on image features; the penalty of each gene by marginal likelihood.

    Examples
    --------
    >>> Ridge().uses_image, Ridge().uses_position
    (True, False)
    """

    card: ClassVar[ModelCard] = ModelCard(
        "ridge",
        "Linear in the image features; the penalty of each gene by marginal likelihood.",
        "hoerl1970",
        uses_position=False,
    )

    @property
    def adapter(self) -> SklearnModel:
        """Ridge regression on image features."""
        return SklearnModel(
            lambda spots, columns, genes: MarginalLikelihoodRidge(), inputs="features", sd="regressor"
        )


class MarginalLikelihoodRidge:
    """Ridge regression with scikit-learn's methods; see :class:`histosge.prediction.evidence_ridge.EvidenceRidge`.

    scikit-learn's ``BayesianRidge`` predicts one output; here all genes share one eigendecomposition.
    """

    def fit(
        self, features: Float[np.ndarray, "n d"], expression: Float[np.ndarray, "n g"]
    ) -> MarginalLikelihoodRidge:
        """Fit weights and penalties."""
        self.ridge = EvidenceRidge.fit(features, expression)
        return self

    def predict(
        self, features: Float[np.ndarray, "b d"], return_std: bool = False
    ) -> Float[np.ndarray, "b g"] | tuple[Float[np.ndarray, "b g"], Float[np.ndarray, "b g"]]:
        """Return means and, if asked for, standard deviations of a measurement."""
        mean, sd = self.ridge.predict(features)
        return (mean, sd) if return_std else mean


ENTRIES = (Ridge,)
