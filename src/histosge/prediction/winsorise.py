"""Measurements that nothing else bears out, pulled in."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Float

__all__ = ["WINSORISE_SD", "winsorised"]

# the usual rule; further out it is rarely the tissue, and nearer it often is
WINSORISE_SD = 3.0


def winsorised(
    values: Float[np.ndarray, "n g"], expected: Float[np.ndarray, "n g"], most: float = WINSORISE_SD
) -> Float[np.ndarray, "n g"]:
    """Return measurements, centred, no further from what is expected of them than ``most`` standard deviations.

    One step of an M-estimator by pseudo-values (Huber & Ronchetti 2009, chapter 7): a molecule or two of a rare gene in
    a spot of few molecules is many deviations from the mean, and a linear predictor believes it in proportion. What
    the neighbours and the look of the place bear out stays as it is, however far from the mean.

    Parameters
    ----------
    values
        Of each gene, a column.
    expected
        What all *other* spots say of each: predictions that have seen the value would excuse it.
    most
        Root mean square errors of a gene.
    """
    error = values - expected
    reach = most * np.sqrt((error**2).mean(axis=0))
    found = expected + np.clip(error, -reach, reach, out=error)
    return np.asarray(found - found.mean(axis=0))
