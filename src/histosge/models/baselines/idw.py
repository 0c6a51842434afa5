"""Inverse distance weighting of the nearest spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from histosge._runtime.types import Float
from histosge.errors import UsageError
from histosge.models.base import ModelCard

from .regression import Regression, SklearnModel

__all__ = ["ENTRIES", "IDW", "InverseDistanceMean"]

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
        return SklearnModel(
            lambda spots, columns, genes: InverseDistanceMean(self.neighbours, self.power), inputs="positions"
        )


class InverseDistanceMean:
    """The weighted mean of the nearest spots, with scikit-learn's methods.

    scikit-learn's ``KNeighborsRegressor`` with weights is the same, but works gene by gene, which takes minutes for a
    transcriptome; and on a lattice, where distances are often equal, each library chooses among them by its own rule.

    Parameters
    ----------
    neighbours
        Number of spots averaged; all where there are fewer.
    power
        Weights are distance to the power of ``-power``.
    """

    def __init__(self, neighbours: int, power: float = 2.0) -> None:
        self.neighbours = neighbours
        self.power = power

    def fit(
        self, xy_um: Float[np.ndarray, "n 2"], expression: Float[np.ndarray, "n g"]
    ) -> InverseDistanceMean:
        """Store the spots."""
        from scipy.spatial import cKDTree

        self.tree, self.expression = cKDTree(xy_um), expression
        return self

    def predict(self, xy_um: Float[np.ndarray, "b 2"]) -> Float[np.ndarray, "b g"]:
        """Average the nearest spots; at a spot this is its own value."""
        number = min(self.neighbours, len(self.expression))
        distance_um, nearest = self.tree.query(xy_um, k=range(1, number + 1))
        weights = np.maximum(distance_um, _SAME_UM) ** -self.power
        weights /= weights.sum(axis=1, keepdims=True)
        mean = np.zeros((len(xy_um), self.expression.shape[1]))
        # neighbour by neighbour: b × g numbers at a time, not b × neighbours × g
        for column in range(number):
            mean += weights[:, column, None] * self.expression[nearest[:, column]]
        return mean


ENTRIES = (IDW,)
