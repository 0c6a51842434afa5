"""Block support: covariances of averages over disks, because a spot is a disk and not a point."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["block_covariance", "matern"]

# rings × directions of the quadrature over a disk: the kernel is smooth over a spot, and more change nothing
_RINGS, _DIRECTIONS = 4, 12
# nodes of the quadrature table, covariance against distance: half within two diameters, half beyond
_NODES = 160
# nodes of the even table that pairs are interpolated in, and its length in ranges: beyond, the covariance is 0
_EVEN_NODES, _REACH = 16384, 20.0
# tables that are kept: one for each pair of diameters, of which cells have up to twenty classes. With fewer tables than
# pairs, every one would be computed again each time
_PAIRS = 256


def matern(distance: Float[np.ndarray, ...], length: float) -> Float[np.ndarray, ...]:
    """Return the Matérn-3/2 covariance at a distance (Eq. 5 of docs/method.md; Rasmussen & Williams 2006, Eq. 4.17).

    Parameters
    ----------
    distance
        In the unit of ``length``.
    length
        Range of the kernel.
    """
    scaled = np.asarray(distance) * (3**0.5 / length)
    return np.asarray((1 + scaled) * np.exp(-scaled))


def block_covariance(
    distance: Float[np.ndarray, ...],
    lengths: tuple[float, ...],
    diameters: tuple[float, float],
    weights: tuple[float, ...] | None = None,
) -> Float[np.ndarray, ...]:
    """Return the covariance of averages over two disks, summed over Matérn-3/2 kernels of several ranges.

    Block kriging (Journel & Huijbregts 1978; Eq. 5 of docs/method.md). The process and the disks are isotropic, so the
    covariance of two disks depends on the distance of their centres alone, and one table made by quadrature serves all
    pairs.

    Parameters
    ----------
    distance
        Of the centres; the result has the same shape and precision.
    lengths
        Ranges of the kernels, in the unit of ``distance``.
    diameters
        Of the two disks, in the same unit; 0 is a point.
    weights
        One per range; ``None``: equal ones that add up to 1.
    """
    weights = weights or (1 / len(lengths),) * len(lengths)
    small, large = sorted(float(diameter) for diameter in diameters)
    kernels = tuple((float(length), float(weight)) for length, weight in zip(lengths, weights, strict=True))
    pairs = np.ascontiguousarray(distance).ravel()
    number = pairs.dtype.type
    step, values, slopes = _even_table(kernels, small, large, pairs.dtype.str)
    # linear interpolation in place: this runs once for every pair of spots
    position = pairs * number(1 / step)
    np.minimum(position, number(len(slopes) - 0.01), out=position)
    node = position.astype(np.intp)
    position -= np.floor(position)
    position *= slopes.take(node)
    position += values.take(node)
    return np.asarray(position.reshape(np.shape(distance)))


@lru_cache(maxsize=_PAIRS)
def _even_table(
    kernels: tuple[tuple[float, float], ...], small: float, large: float, dtype: str
) -> tuple[float, Array, Array]:
    """Return the step of an even table, the covariance at its nodes, and the change from each node to the next.

    ``kernels`` holds the range and the weight of each kernel.
    """
    from scipy.interpolate import CubicSpline

    end = _REACH * max(length for length, _ in kernels) + 2.0 * large
    nodes = np.linspace(0, end, _EVEN_NODES)
    values = np.zeros_like(nodes)
    for length, weight in kernels:
        if large <= 0:
            values += weight * matern(nodes, length)
            continue
        curve = CubicSpline(*_quadrature_table(length, (small, large)))
        values += weight * np.nan_to_num(curve(nodes, extrapolate=False))
    values[-1] = 0.0
    return float(nodes[1]), values.astype(dtype), np.diff(values).astype(dtype)


@lru_cache(maxsize=4 * _PAIRS)
def _quadrature_table(length: float, diameters: tuple[float, float]) -> tuple[Array, Array]:
    """Return distances, and the covariance of two disks so far apart."""
    end = _REACH * length + 2.0 * max(diameters)
    near = min(2.0 * max(diameters), 0.5 * end)
    nodes = np.concatenate([np.linspace(0, near, _NODES), np.geomspace(near, end, _NODES)[1:]])
    (left, left_weight), (right, right_weight) = (_disk(diameter) for diameter in diameters)
    offset = left[:, None] - right[None, :]
    weight = left_weight[:, None] * right_weight[None, :]
    distance = np.sqrt((nodes[:, None, None] + offset[..., 0]) ** 2 + offset[..., 1] ** 2)
    return nodes, (matern(distance, length) * weight).sum(axis=(1, 2))


def _disk(diameter: float) -> tuple[Array, Array]:
    """Return points of a disk and their weights: Gauss–Legendre in the squared radius, even steps in direction."""
    if diameter <= 0:
        return np.zeros((1, 2)), np.ones(1)
    node, weight = np.polynomial.legendre.leggauss(_RINGS)
    radius = 0.5 * diameter * np.sqrt((node + 1) / 2)
    angle = 2 * np.pi * (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS
    points = np.stack(
        [np.outer(radius, np.cos(angle)).ravel(), np.outer(radius, np.sin(angle)).ravel()], axis=1
    )
    return points, np.repeat(weight / 2 / _DIRECTIONS, _DIRECTIONS)
