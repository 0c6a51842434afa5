"""Cutting places into windows, within which they look at each other."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError

__all__ = ["Order", "windows"]

Order: TypeAlias = Literal["file", "random", "spatial"]


def windows(xy_um: Float[np.ndarray, "n 2"], size: int, order: Order = "file") -> list[Array]:
    """Return the rows of each window; together they hold every row once.

    Parameters
    ----------
    xy_um
        Places.
    size
        Most places of a window. Windows are as equal as can be: 49 and 50, never 50 and 3.
    order
        ``"file"``: as listed. 10x Genomics lists barcodes alphabetically, so that this is random in space.
        ``"random"``: shuffled, always in the same way. ``"spatial"``: neighbours together, by cutting the places
        in half across the longer side until they fit.

    Raises
    ------
    UsageError
        For a size below 2.
    """
    if size < 2:
        raise UsageError(f"`window_size` must be 2 or more, got {size}. The published code has 50.")
    rows = np.arange(len(xy_um))
    if order == "spatial":
        return _halved(xy_um, rows, size)
    if order == "random":
        rows = np.random.default_rng(0).permutation(rows)
    return [part for part in np.array_split(rows, -(-len(rows) // size)) if len(part)]


def _halved(xy_um: Array, rows: Array, size: int) -> list[Array]:
    if len(rows) <= size:
        return [rows] if len(rows) else []
    axis = int(np.ptp(xy_um[rows], axis=0).argmax())
    ordered = rows[np.argsort(xy_um[rows, axis], kind="stable")]
    half = len(rows) // 2
    return _halved(xy_um, ordered[:half], size) + _halved(xy_um, ordered[half:], size)
