"""Which positions of a lattice lie between measured spots."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array
from histosge.geometry.lattice import Lattice

from .section import Section

__all__ = ["between_spots"]


def between_spots(section: Section, lattice: Lattice, lattice_xy: Array) -> Array:
    """Return which positions have measured spots at all corners of the triangle or cell they lie in."""
    to_ab = np.linalg.inv(lattice.basis)
    first = section.lattice_xy[0]
    measured = {tuple(ab) for ab in np.rint((section.lattice_xy - first) @ to_ab).astype(int)}
    # rounding: a position on a corner or an edge must not need spots beyond it
    position = np.round((lattice_xy - first) @ to_ab, 6)
    low = np.floor(position).astype(int)
    u, v = (position - low).T
    # weights of the four corners in linear (triangle) or bilinear (cell) interpolation
    if lattice.kind == "hexagonal":
        upper = u + v > 1
        weights = np.array(
            [np.where(upper, 0, 1 - u - v), np.where(upper, 1 - v, u), np.where(upper, 1 - u, v)]
        )
        weights = np.vstack([weights, np.where(upper, u + v - 1, 0)])
    else:
        weights = np.array([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
    corners = ((0, 0), (1, 0), (0, 1), (1, 1))
    has_spot = np.array([[(x + i, y + j) in measured for x, y in low] for i, j in corners])
    return np.asarray((has_spot | (weights < 1e-6)).all(axis=0))
