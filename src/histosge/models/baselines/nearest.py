"""The nearest spot: what a map of spots shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from histosge.models.base import ModelCard

from .idw import InverseDistanceMean
from .regression import Regression, SklearnModel

__all__ = ["ENTRIES", "Nearest"]


@dataclass(frozen=True, slots=True)
class Nearest(Regression):
    """Predict the measurement at the nearest spot.

    Examples
    --------
    >>> Nearest().uses_image, Nearest().uses_position
    (False, True)
    """

    card: ClassVar[ModelCard] = ModelCard(
        "nearest", "Measurement at the nearest spot.", "", uses_position=True
    )

    @property
    def adapter(self) -> SklearnModel:
        """One neighbour by position."""
        return SklearnModel(lambda spots, columns, genes: InverseDistanceMean(1), inputs="positions")


ENTRIES = (Nearest,)
