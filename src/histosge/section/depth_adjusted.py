"""Expression at the mean depth of a section: what is left of log1p(CP10k) without its straight line in log depth."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Float, Int

from .expression import log_depth

__all__ = ["depth_adjusted"]

# sum of squares of log depth below which it does not vary; rounding of equal depths stays below it
_CONSTANT = 1e-12


def depth_adjusted(
    expression: Float[np.ndarray, "n g"],
    depth: Float[np.ndarray, " n"],
    *,
    sections: Int[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "n g"]:
    """Return expression less a straight line in log depth for each gene, by least squares in each section.

    The line is 0 at the mean log depth of the section, so that the mean of a gene stays as it is. Values may fall
    below 0: a zero at a spot of many molecules means less than one at a spot of few.

    Parameters
    ----------
    expression
        log1p(CP10k) at spots that are fitted.
    depth
        Total counts of each spot.
    sections
        Index of the section of each spot; ``None``: all are in one section.

    Examples
    --------
    >>> import numpy as np
    >>> depth = np.exp([1.0, 2.0, 3.0])
    >>> depth_adjusted(np.array([[1.0], [2.0], [3.0]]), depth).round(6).ravel().tolist()
    [2.0, 2.0, 2.0]
    """
    sections = np.zeros(len(depth), dtype=np.intp) if sections is None else sections
    result = np.array(expression, dtype=np.float64)
    for index in np.unique(sections):
        rows = np.flatnonzero(sections == index)
        result[rows] -= _line(result[rows], log_depth(depth[rows]))
    return result


def _line(values: Array, log_depths: Array) -> Array:
    """Return the line of each gene at the spots of one section."""
    centred = log_depths - log_depths.mean()
    square = float(centred @ centred)
    if square <= _CONSTANT * len(centred):
        return np.zeros(values.shape)
    slope = centred @ (values - values.mean(axis=0)) / square
    return np.asarray(np.outer(centred, slope))
