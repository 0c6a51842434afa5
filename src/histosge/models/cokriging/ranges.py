"""Ranges of the position kernels: by the number of spots, or those of highest marginal likelihood."""

from __future__ import annotations

from itertools import product

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.geometry.spacing import median_spacing_um
from histosge.prediction.principal_components import principal_axes

from .block_covariance import block_covariance
from .eigensolver import Eigendecomposition

__all__ = ["CANDIDATES", "likely_ranges", "pitch_of", "resolved_pitches", "target_rows", "usual_ranges"]

#: pairs of a short and a long range, in pitches, that :func:`likely_ranges` compares; the first one where all are alike
CANDIDATES: tuple[tuple[float, float], ...] = tuple(product((2.0, 1.5, 1.0, 0.7, 3.0), (8.0, 4.0, 16.0)))
# a range shorter than this many distances between inducing points is not resolved
_RESOLVED = 1.5
# short and long range in pitches where nothing else decides: few spots do not show slow changes
_FEW_SPOTS, _FEW_RANGES, _MANY_RANGES = 1000, (2.0, 8.0), (3.0, 12.0)
# training spots of the section to predict that determine its pitch and the attribution; fewer: those of all sections
_LEAST_SPOTS = 10
# spots around the middle that are compared, and principal components of their expression
_COMPARED, _COMPONENTS = 800, 20
_FLAT = 1e-8


def pitch_of(xy_um: Float[np.ndarray, "n 2"]) -> float:
    """Return the median distance to the nearest location elsewhere; 1 where all spots are at one location."""
    positions = np.unique(xy_um, axis=0)
    return median_spacing_um(positions) if len(positions) > 1 else 1.0


def target_rows(sections: Int[np.ndarray, " n"]) -> Int[np.ndarray, " l"]:
    """Return the spots of the section to predict; all spots where too few of it are fitted."""
    target = np.flatnonzero(sections == 0)
    return target if len(target) >= _LEAST_SPOTS else np.arange(len(sections))


def usual_ranges(sections: Int[np.ndarray, " n"], resolved: float) -> tuple[float, ...]:
    """Return 2 and 8 pitches below 1000 spots, 3 and 12 above; wider where inducing points do not resolve them.

    Auxiliary sections do not show slower changes than the largest section.
    """
    ranges = _FEW_RANGES if np.bincount(sections).max() <= _FEW_SPOTS else _MANY_RANGES
    widening = max(1.0, resolved / ranges[0])
    return tuple(length * widening for length in ranges)


def resolved_pitches(spots: int, inducing_points: int) -> float:
    """Return the shortest range, in pitches, that so many inducing points resolve."""
    return float(_RESOLVED * (spots / inducing_points) ** 0.5)


def likely_ranges(
    xy_um: Float[np.ndarray, "n 2"], expression: Float[np.ndarray, "n g"], *, least: float = 0.0
) -> tuple[float, ...]:
    """Return the pair of :data:`CANDIDATES`, in pitches, of highest marginal likelihood (Eq. 10 of docs/method.md).

    All genes share the ranges. The likelihood is that of the first principal components of standardised expression,
    summed: summed over genes it follows the many that hold noise alone, for which long ranges are likeliest. Of many
    spots those around the middle are compared, because short ranges are seen in neighbours.

    Parameters
    ----------
    xy_um
        Positions of the spots.
    expression
        Measured there.
    least
        The shortest range that may be chosen, in pitches.

    Examples
    --------
    >>> import numpy as np
    >>> xy_um = 100.0 * np.stack(np.meshgrid(np.arange(12), np.arange(12)), axis=-1).reshape(-1, 2)
    >>> smooth = np.sin(xy_um[:, [0]] / 400) + np.cos(xy_um[:, [1]] / 400)
    >>> likely_ranges(xy_um, smooth)[0] > 1
    True
    """
    pitch_um, rows = pitch_of(xy_um), _around_the_middle(xy_um)
    centred = expression - expression.mean(axis=0)
    scale = centred.std(axis=0)
    values = centred / np.where(scale > _FLAT, scale, 1.0)
    axes = principal_axes(values, min(_COMPONENTS, *values.shape))
    components = values[rows] @ axes.T
    if not components.any():
        return CANDIDATES[0] if least <= CANDIDATES[0][0] else (least, max(CANDIDATES[0][1], least))
    distance_um = _distances(xy_um[rows])
    candidates = list(dict.fromkeys((max(short, least), max(long, least)) for short, long in CANDIDATES))

    def log_likelihood(ranges: tuple[float, float]) -> float:
        lengths_um = tuple(length * pitch_um for length in ranges)
        eigen = Eigendecomposition.exact(block_covariance(distance_um, lengths_um, (0.0, 0.0)))
        return float(eigen.posterior(components).log_marginal_likelihood.sum())

    logs = map_parts(log_likelihood, candidates)
    return candidates[int(np.argmax(logs))]


def _around_the_middle(xy_um: Array) -> Array:
    """Return the spots nearest to the one nearest to the middle of all."""
    if len(xy_um) <= _COMPARED:
        return np.arange(len(xy_um))
    from scipy.spatial import cKDTree

    tree = cKDTree(xy_um)
    middle = xy_um[tree.query(np.median(xy_um, axis=0))[1]]
    return np.sort(tree.query(middle, k=_COMPARED)[1])


def _distances(xy_um: Array) -> Array:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(xy_um, xy_um))
