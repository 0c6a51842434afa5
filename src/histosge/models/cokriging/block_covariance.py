"""A spot is a disk, not a point: covariances of averages over disks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["averaged", "matern"]

# rings × directions of a disk's quadrature; exact enough: the kernel is smooth over a spot
_RINGS, _DIRECTIONS = 4, 12
# nodes of the table of covariance against distance that quadrature fills: half within two diameters, half beyond
_NODES = 160
# of the even table that pairs are looked up in, and how many ranges it reaches
_EVEN_NODES, _REACH = 16384, 20.0


def matern(distance: Float[np.ndarray, ...], length: float) -> Float[np.ndarray, ...]:
    """Return the Matérn-3/2 covariance at a distance, in the unit of ``length``."""
    scaled = np.asarray(distance) * (3**0.5 / length)
    return np.asarray((1 + scaled) * np.exp(-scaled))


def averaged(
    distance: Float[np.ndarray, ...],
    lengths: tuple[float, ...],
    diameters: tuple[float, float],
    weights: tuple[float, ...] | None = None,
) -> Float[np.ndarray, ...]:
    """Return the covariance, summed over several ranges, of averages over two disks ``distance`` apart.

    The process is isotropic and so are disks: their covariance depends on the distance alone, and one table made by
    quadrature serves for all pairs (block kriging; Journel & Huijbregts 1978).

    Parameters
    ----------
    distance
        Of the centres; covariances are of the same precision.
    lengths
        Ranges of Matérn-3/2 covariances, in the same unit.
    diameters
        Of both disks, in the same unit; 0 is a point.
    weights
        One a range; ``None``: equal ones that add up to 1.
    """
    weights = weights or (1 / len(lengths),) * len(lengths)
    small, large = sorted(float(size) for size in diameters)
    pairs = np.ascontiguousarray(distance).ravel()
    kind = pairs.dtype.type
    step, values, slopes = _even_table(
        tuple((float(one), float(two)) for one, two in zip(lengths, weights, strict=True)),
        small,
        large,
        pairs.dtype.str,
    )
    along = pairs * kind(1 / step)
    # beyond the table the covariance is nothing, as its last entry is
    np.minimum(along, kind(len(slopes) - 0.01), out=along)
    node = along.astype(np.intp)
    along -= np.floor(along)
    along *= slopes.take(node)
    along += values.take(node)
    return np.asarray(along.reshape(np.shape(distance)))


@lru_cache(maxsize=64)
def _even_table(
    parts: tuple[tuple[float, float], ...], small: float, large: float, kind: str
) -> tuple[float, Array, Array]:
    """Return the step of an even table, the mean covariance at its nodes, and the change from each to the next."""
    from scipy.interpolate import CubicSpline

    end = _REACH * max(length for length, _ in parts) + 2.0 * large
    even = np.linspace(0, end, _EVEN_NODES)
    found = np.zeros_like(even)
    for length, weight in parts:
        if large <= 0:
            found += weight * matern(even, length)
            continue
        curve = CubicSpline(*_table(length, (small, large)))
        found += weight * np.nan_to_num(curve(even, extrapolate=False))
    found[-1] = 0.0
    return float(even[1]), found.astype(kind), np.diff(found).astype(kind)


@lru_cache(maxsize=64)
def _table(length: float, diameters: tuple[float, float]) -> tuple[Array, Array]:
    """Return distances and the covariance of two disks at them."""
    end = _REACH * length + 2.0 * max(diameters)
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
