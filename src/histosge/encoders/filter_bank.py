"""Steerable filters: what the derivatives of a plane say of its edges, blobs and ridges, in any direction."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Float32

__all__ = ["COLUMNS", "curvatures", "gradient", "responses", "smoothed"]

# 2 of edges, their coherence, 2 of clustered edges; 6 of curvature by sign, anisotropy
COLUMNS = 12
# keeps coherence finite where there are no edges
_LEAST_ENERGY = np.float32(1e-8)


def responses(plane: Float32[np.ndarray, "b h w"]) -> list[Float32[np.ndarray, " b"]]:
    """Return pooled responses of first and second derivatives of a Gaussian, one row of each column a patch.

    The derivatives are steered to the direction in which they are strongest: of the first, gradient strength is
    taken; of the second, the eigenvalues of the Hessian matrix (Freeman & Adelson 1991). A response is rectified
    before it is averaged over the patch, as bright and dark structures would cancel. Each is computed where its filter
    lies on the patch, so that the patch alone determines it; turned by 90° or mirrored, the patch has the same
    responses up to rounding.

    Parameters
    ----------
    plane
        Patches of one colour or stain, an even number of at least 18 pixels wide.

    Returns
    -------
    :data:`COLUMNS` vectors: mean and standard deviation of gradient strength; how far its directions agree (0 … 1);
    mean gradient strength of gradient strength, averaged over 2 × 2 and 4 × 4 pixels (how edges are clustered, as in a
    scattering transform, Bruna & Mallat 2013); means of dark and of bright curvature (the two signs of the Laplacian);
    means of the larger and of the smaller eigenvalue of the Hessian matrix, each sign by itself (dark and bright ridges
    and blobs), and of their difference.

    Examples
    --------
    >>> ramp = np.tile(np.arange(32, dtype=np.float32), (1, 32, 1))
    >>> mean, deviation, coherence, *_ = responses(ramp)
    >>> float(mean[0]), float(deviation[0]), float(coherence[0])
    (1.0, 0.0, 1.0)
    """
    # twice ¼, ½, ¼ is a Gaussian with a standard deviation of one pixel
    smooth = smoothed(smoothed(plane))
    return [*_edges(smooth), *_curved(smooth)]


def smoothed(plane: Array) -> Array:
    """Return the plane averaged with weights ¼, ½, ¼ along both axes."""
    half, quarter = np.float32(0.5), np.float32(0.25)
    rows = quarter * (plane[:, 2:] + plane[:, :-2])
    rows += half * plane[:, 1:-1]
    both = quarter * (rows[:, :, 2:] + rows[:, :, :-2])
    both += half * rows[:, :, 1:-1]
    return both


def _divisible(plane: Array, number: int) -> Array:
    """Return the middle of the plane, with sides divisible by an even number; as much is cut on either side."""
    top, left = (side % number // 2 for side in plane.shape[1:])
    height, width = (side // number * number for side in plane.shape[1:])
    return np.asarray(plane[:, top : top + height, left : left + width])


def _halved(plane: Array) -> Array:
    """Return means of squares of 2 × 2 pixels."""
    rows = plane[:, ::2] + plane[:, 1::2]
    return np.float32(0.25) * np.asarray(rows[:, :, ::2] + rows[:, :, 1::2])


def gradient(plane: Array) -> tuple[Array, Array]:
    """Return central differences down and to the right, per pixel."""
    half = np.float32(0.5)
    down, right = plane[:, 2:, 1:-1] - plane[:, :-2, 1:-1], plane[:, 1:-1, 2:] - plane[:, 1:-1, :-2]
    return half * down, half * right


def _edges(smooth: Array) -> list[Array]:
    """Return mean, deviation and coherence of gradient strength, and its own gradient strength at two scales."""
    down, right = gradient(smooth)
    down2, right2 = down * down, right * right
    strength = np.sqrt(down2 + right2)
    mean, vertical, horizontal = _mean(strength), _mean(down2), _mean(right2)
    energy = vertical + horizontal
    coherence = np.sqrt((horizontal - vertical) ** 2 + (2 * _mean(down * right)) ** 2)
    coherence /= np.maximum(energy, _LEAST_ENERGY)
    deviation = np.sqrt(np.maximum(energy - mean * mean, 0))
    clusters, level = [], _divisible(strength, 4)
    for _ in range(2):
        level = _halved(level)
        down, right = gradient(level)
        clusters.append(_mean(np.sqrt(down * down + right * right)))
    return [mean, deviation, coherence, *clusters]


def curvatures(smooth: Array) -> tuple[Array, Array]:
    """Return the Laplacian and the difference of the eigenvalues of the Hessian matrix.

    Twice the eigenvalues are the Laplacian plus and minus the difference.
    """
    twice = 2 * smooth[:, 1:-1, 1:-1]
    down = smooth[:, 2:, 1:-1] + smooth[:, :-2, 1:-1] - twice
    right = smooth[:, 1:-1, 2:] + smooth[:, 1:-1, :-2] - twice
    # 2 times the mixed derivative
    mixed = np.float32(0.5) * (
        smooth[:, 2:, 2:] + smooth[:, :-2, :-2] - smooth[:, 2:, :-2] - smooth[:, :-2, 2:]
    )
    laplacian = down + right
    down -= right
    down *= down
    mixed *= mixed
    down += mixed
    return laplacian, np.sqrt(down, out=down)


def _curved(smooth: Array) -> list[Array]:
    """Return means of the rectified Laplacian and eigenvalues of the Hessian matrix, and of their difference."""
    laplacian, difference = curvatures(smooth)
    mean, anisotropy = _mean(laplacian), _mean(difference)
    columns = []
    for values, expected in (
        (laplacian, mean),
        (laplacian + difference, mean + anisotropy),
        (laplacian - difference, mean - anisotropy),
    ):
        positive = _mean(np.maximum(values, 0, out=values))
        # the negative part from the mean: half of the work; rounding must not make it negative
        columns += [positive, np.maximum(positive - expected, 0)]
    return [*columns, anisotropy]


def _mean(values: Array) -> Array:
    return np.asarray(values.reshape(len(values), -1).mean(axis=1))
