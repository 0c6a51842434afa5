"""The gene mean: the baseline that every model must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from histosge.models.base import ModelCard

from .regression import Regression, SklearnModel

__all__ = ["ENTRIES", "Mean"]


@dataclass(frozen=True, slots=True)
class Mean(Regression):
    """Predict the mean of each gene at every location; the standard deviation is that over the training spots.

    Examples
    --------
    >>> Mean().uses_image, Mean().uses_position
    (False, False)
    """

    card: ClassVar[ModelCard] = ModelCard("mean", "Each gene's mean, everywhere.", "", uses_position=False)

    @property
    def adapter(self) -> SklearnModel:
        """A regressor without inputs."""
        from sklearn.dummy import DummyRegressor

        return SklearnModel(DummyRegressor(), inputs="none", sd="residual")


ENTRIES = (Mean,)
