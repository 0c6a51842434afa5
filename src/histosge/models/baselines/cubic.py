"""Cubic interpolation of the spots: smooth, through every measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.models.base import ModelCard

from .regression import Regression, SklearnModel

__all__ = ["ENTRIES", "Cubic", "CubicSurface"]


@dataclass(frozen=True, slots=True)
class Cubic(Regression):
    """Interpolate with a piecewise cubic surface over the triangles of the spots (Clough & Tocher 1965).

    The surface passes through every measurement, noise included. Outside the spots it is the nearest measurement.

    Examples
    --------
    >>> Cubic().uses_image, Cubic().uses_position
    (False, True)
    """

    card: ClassVar[ModelCard] = ModelCard(
        "cubic",
        "Piecewise cubic interpolation between the spots, through every measurement.",
        "clough1965",
        uses_position=True,
    )

    @property
    def adapter(self) -> SklearnModel:
        """A surface over positions."""
        return SklearnModel(lambda spots, columns, genes: CubicSurface(), inputs="positions")


class CubicSurface:
    """A piecewise cubic surface for each gene, with scikit-learn's methods.

    Positions on one line, and fewer than four, have no triangles: there the nearest measurement is returned
    everywhere.
    """

    def fit(self, xy_um: Float[np.ndarray, "n 2"], expression: Float[np.ndarray, "n g"]) -> CubicSurface:
        """Divide the spots into triangles and estimate the slopes at the spots."""
        from scipy.interpolate import CloughTocher2DInterpolator
        from scipy.spatial import QhullError, cKDTree

        # from their middle, in which rounding is least
        self._middle = xy_um.mean(axis=0)
        centred = xy_um - self._middle
        self._tree, self._expression = cKDTree(centred), np.asarray(expression)
        try:
            self._surface = CloughTocher2DInterpolator(centred, self._expression)
        except (QhullError, ValueError):
            self._surface = None
        return self

    def predict(self, xy_um: Float[np.ndarray, "b 2"]) -> Float[np.ndarray, "b g"]:
        """Return the surface, and the nearest measurement outside the spots."""
        centred = xy_um - self._middle
        nearest: Array = self._expression[self._tree.query(centred)[1]]
        if self._surface is None:
            return nearest
        values = np.asarray(self._surface(centred)).reshape(nearest.shape)
        return np.where(np.isfinite(values), values, nearest)


ENTRIES = (Cubic,)
