"""Vectors of locations that were encoded already, for others among which they are again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.section.inputs import FeatureRows

__all__ = ["KnownVectors"]


@dataclass(frozen=True, slots=True, eq=False)
class KnownVectors:
    """Image features of some locations, of the same encoder on the same slide.

    Upsampled locations hold the spots themselves: a fifth of four a spot need not be computed twice.

    Parameters
    ----------
    xy_um
        Locations.
    vectors
        Their features.
    """

    xy_um: Float[np.ndarray, "k 2"]
    vectors: FeatureRows

    def at(self, xy_um: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, " n"]:
        """Return the row of each location, −1 where it is not known.

        Examples
        --------
        >>> import numpy as np
        >>> known = KnownVectors(np.array([[0.0, 1.0], [2.0, 3.0]]), np.zeros((2, 5), dtype=np.float32))
        >>> known.at(np.array([[2.0, 3.0], [2.0, 3.1]])).tolist()
        [1, -1]
        """
        rows = {xy: row for row, xy in enumerate(map(tuple, self.xy_um.tolist()))}
        return np.array([rows.get(xy, -1) for xy in map(tuple, xy_um.tolist())], dtype=np.intp)

    def filled(self, rows: Int[np.ndarray, " m"], computed: Array) -> Array:
        """Return the vectors of some locations: known ones by their row, others, −1, as they were computed."""
        vectors = np.empty((len(rows), computed.shape[1]), dtype=np.float32)
        vectors[rows < 0] = computed
        vectors[rows >= 0] = self.vectors[rows[rows >= 0]]
        return vectors
