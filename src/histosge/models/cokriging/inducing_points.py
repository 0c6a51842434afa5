"""Few places that stand for many."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["evenly", "spread_out"]


def evenly(total: int, most: int) -> Array:
    """Return at most ``most`` rows of ``total``, evenly through their order."""
    return np.unique(np.linspace(0, total - 1, min(most, total)).round().astype(np.intp))


def spread_out(xy_um: Float[np.ndarray, "n 2"], number: int) -> Array:
    """Return ascending rows of places spread evenly: each the furthest from all before it."""
    distance = np.linalg.norm(xy_um - xy_um.mean(axis=0), axis=1)
    chosen = [int(distance.argmin())]
    gap = np.linalg.norm(xy_um - xy_um[chosen[0]], axis=1)
    for _ in range(number - 1):
        chosen.append(int(gap.argmax()))
        np.minimum(gap, np.linalg.norm(xy_um - xy_um[chosen[-1]], axis=1), out=gap)
    return np.sort(chosen)
