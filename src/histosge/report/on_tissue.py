"""Which locations of a prediction lie on tissue."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Bool
from histosge.section.locations import Locations

from .measured import Measured

__all__ = ["on_tissue"]

# a location between spots has four spots within this many pitches, a location outside at most three
_AROUND, _AROUND_PITCHES = 4, 1.15


def on_tissue(locations: Locations, measured: Measured | None, pitch_um: float) -> Bool[np.ndarray, " n"]:
    """Return which locations are in the tissue mask, measured, or surrounded by spots.

    Among measured spots, a hole in the tissue mask is more often pale tissue than a hole.
    """
    from scipy.spatial import cKDTree

    shown = np.asarray(locations.in_tissue | locations.observed)
    if measured is None:
        return shown
    near = cKDTree(measured.spots.xy).query_ball_point(
        locations.xy, _AROUND_PITCHES * pitch_um, return_length=True
    )
    return np.asarray(shown | (near >= _AROUND))
