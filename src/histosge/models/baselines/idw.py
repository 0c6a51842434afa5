"""Inverse distance weighting of the nearest spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.models.base import ModelCard

from .regression import Regression, SklearnModel

if TYPE_CHECKING:
    from sklearn.neighbors import KNeighborsRegressor

__all__ = ["ENTRIES", "IDW"]

# µm below which a location is the spot itself, whose own weight is then practically 1
_SAME_UM = 1e-12


@dataclass(frozen=True, slots=True)
class IDW(Regression):
    """Average the nearest spots with weights that fall with distance (Shepard 1968).

    Parameters
    ----------
    neighbours
        Number of spots averaged; 18 are the two nearest rings of a hexagonal lattice.
    power
        Weights are distance to the power of ``-power``; 2 is Shepard's.

    Raises
    ------
    UsageError
        For fewer than one neighbour or a power that is not positive.

    Examples
    --------
    >>> IDW(neighbours=6).power
    2.0
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
    def adapter(self) -> SklearnModel:
        """Neighbours by position."""
        return SklearnModel(self._regressor, inputs="positions")

    def _regressor(self, spots: int, columns: int, genes: int) -> KNeighborsRegressor:
        from sklearn.neighbors import KNeighborsRegressor

        return KNeighborsRegressor(min(self.neighbours, spots), weights=self._weights)

    def _weights(self, distance: Array) -> Array:
        return np.asarray(np.maximum(distance, _SAME_UM) ** -self.power)


ENTRIES = (IDW,)
