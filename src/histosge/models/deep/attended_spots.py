"""The training spots that a location attends to: all of them, or the nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array, Float

from .inputs import Attended, Batch, NetworkInputs

if TYPE_CHECKING:
    import torch
    from scipy.spatial import cKDTree

__all__ = ["AttendedSpots"]

# a spot closer than this, in pitches, is the location itself
_SAME_LOCATION = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class AttendedSpots:
    """All training spots, on the device.

    Parameters
    ----------
    spots
        Their features and positions.
    tree
        Of their positions in pitches.
    neighbours
        How many of the nearest a location attends to; ``None``: all.
    """

    spots: Batch
    tree: cKDTree
    neighbours: int | None

    @classmethod
    def of(cls, inputs: NetworkInputs, device: str, *, neighbours: int | None) -> AttendedSpots:
        """Bring the training spots to the device."""
        from scipy.spatial import cKDTree

        nearest = None if neighbours is None else min(neighbours, len(inputs) - 1)
        return cls(inputs.batch(np.arange(len(inputs)), device), cKDTree(inputs.xy), nearest)

    def attended_from(self, xy: Float[np.ndarray, "b 2"]) -> Attended:
        """Return the spots that locations at ``xy`` attend to.

        A spot at the very location is left out: the network attends to the location itself in any case.
        """
        import torch

        device = self.spots.xy.device
        if self.neighbours is None:
            # all pairs: b × m distances fit memory for the thousands of spots of a section
            distance = torch.cdist(torch.as_tensor(np.array(xy), device=device), self.spots.xy)
            return Attended(self.spots, None, distance < _SAME_LOCATION, distance)
        chosen, distances = _nearest(self.tree, xy, self.neighbours)
        # spots that no location attends to need no token
        rows, chosen = np.unique(chosen, return_inverse=True)
        return Attended(
            self._take(torch.as_tensor(rows, device=device)),
            torch.as_tensor(chosen.reshape(distances.shape), device=device),
            None,
            torch.as_tensor(distances, device=device),
        )

    def _take(self, rows: torch.Tensor) -> Batch:
        features = None if self.spots.features is None else self.spots.features[rows]
        return Batch(self.spots.lattice_xy[rows], self.spots.xy[rows], features)


def _nearest(tree: cKDTree, xy: Array, number: int) -> tuple[Array, Array]:
    """Return the rows and distances of the nearest spots, without one at the location itself."""
    # one more than needed, in case the nearest is the location itself
    distance, row = tree.query(xy, k=number + 1)
    itself = distance[:, :1] < _SAME_LOCATION
    distance = np.where(itself, distance[:, 1:], distance[:, :-1])
    return np.where(itself, row[:, 1:], row[:, :-1]), distance.astype(np.float32)
