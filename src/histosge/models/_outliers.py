"""Measurements that no other spot bears out, pulled in."""

from __future__ import annotations

import numpy as np

from .._types import Float

__all__ = ["pulled_in"]

# genes worked on at once
_AT_ONCE = 256


def pulled_in(
    values: Float[np.ndarray, "n g"],
    left_out: Float[np.ndarray, "n f"],
    loadings: Float[np.ndarray, "f g"],
    most: float,
) -> Float[np.ndarray, "n g"]:
    """Return measurements, centred, no further from what all others say of them than ``most`` standard deviations.

    One step of an M-estimator by pseudo-values (Huber 1981, section 7.8): a molecule or two of a rare gene in a spot of
    few molecules is many deviations from the mean, and a linear predictor believes it in proportion. What the
    neighbours and the look of the place bear out stays as it is, however far from the mean.

    Parameters
    ----------
    values
        Centred expression.
    left_out
        Factors of each spot, predicted from all other spots.
    loadings
        From factors to ``values``.
    most
        Standard deviations of a gene's error.
    """
    found = np.empty_like(values)
    for start in range(0, values.shape[1], _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        expected = left_out @ loadings[:, part]
        error = values[:, part] - expected
        reach = most * np.sqrt((error**2).mean(axis=0))
        expected += np.clip(error, -reach, reach, out=error)
        found[:, part] = expected - expected.mean(axis=0)
    return found
