"""A spot is a disk, not a point: covariances of averages over disks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .._types import Array, Float

__all__ = ["averaged", "matern"]

# rings × directions of a disk's quadrature; exact enough: the kernel is smooth over a spot
_RINGS, _DIRECTIONS = 4, 12
# a table of the covariance against distance, in disk diameters and then in ranges
_NODES = 512


def matern(distance: Float[np.ndarray, ...], length: float) -> Float[np.ndarray, ...]:
    """Return the Matérn-3/2 covariance at a distance, in the unit of ``length``."""
    scaled = np.asarray(distance) * (3**0.5 / length)
    return np.asarray((1 + scaled) * np.exp(-scaled))


def averaged(
    distance: Float[np.ndarray, ...], length: float, diameters: tuple[float, float]
) -> Float[np.ndarray, ...]:
    """Return the covariance of averages over two disks whose centres are ``distance`` apart.

    The process is isotropic and so are disks: their covariance depends on the distance alone, and one table made by
    quadrature serves for all pairs (block kriging; Journel & Huijbregts 1978).

    Parameters
    ----------
    distance
        Of the centres.
    length
        Range of the Matérn-3/2 covariance, in the same unit.
    diameters
        Of both disks, in the same unit; 0 is a point.
    """
    wide = max(diameters)
    if wide <= 0:
        return matern(distance, length)
    nodes, values = _table(float(length), tuple(sorted(float(size) for size in diameters)))
    found = np.interp(distance, nodes, values)
    # beyond the table the covariance is nothing
    return np.asarray(np.where(distance > nodes[-1], 0.0, found))


@lru_cache(maxsize=64)
def _table(length: float, diameters: tuple[float, ...]) -> tuple[Array, Array]:
    """Return distances and the covariance of two disks at them."""
    end = 20.0 * length + 2.0 * max(diameters)
    near = min(2.0 * max(diameters), 0.5 * end)
    nodes = np.concatenate([np.linspace(0, near, _NODES), np.geomspace(near, end, _NODES)[1:]])
    (one, weight_one), (two, weight_two) = (_disk(size) for size in diameters)
    offset = one[:, None] - two[None, :]
    weight = weight_one[:, None] * weight_two[None, :]
    across = np.sqrt((nodes[:, None, None] + offset[..., 0]) ** 2 + offset[..., 1] ** 2)
    return nodes, (matern(across, length) * weight).sum(axis=(1, 2))


def _disk(diameter: float) -> tuple[Array, Array]:
    """Return places of a disk and their weights: Gauss–Legendre in the square of the radius, even in direction."""
    if diameter <= 0:
        return np.zeros((1, 2)), np.ones(1)
    node, weight = np.polynomial.legendre.leggauss(_RINGS)
    radius = 0.5 * diameter * np.sqrt((node + 1) / 2)
    angle = 2 * np.pi * (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS
    places = np.stack(
        [np.outer(radius, np.cos(angle)).ravel(), np.outer(radius, np.sin(angle)).ravel()], axis=1
    )
    return places, np.repeat(weight / 2 / _DIRECTIONS, _DIRECTIONS)
