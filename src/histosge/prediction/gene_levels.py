"""Levels of genes that a section did not measure, from their levels in other data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Float
from histosge.metrics.pearson import pearson

__all__ = ["GeneLevels", "gene_levels"]

# fewer measured genes, or levels less alike over them, do not show that other data have the section's levels
_LEAST_GENES, _LEAST_R = 30, 0.7


@dataclass(frozen=True, slots=True, eq=False)
class GeneLevels:
    """Mean and standard deviation of log1p(CP10k) that genes are expected to have in a section.

    Parameters
    ----------
    mean, sd
        Of each gene.
    error
        Standard deviation over the measured genes of what this is wrong by for their means.
    r
        Correlation over the measured genes of their means in the section with those in the other data.
    """

    mean: Float[np.ndarray, " m"]
    sd: Float[np.ndarray, " m"]
    error: float
    r: float


def gene_levels(
    other: Float[np.ndarray, "2 p"],
    own: Float[np.ndarray, "2 p"],
    asked: Float[np.ndarray, "2 m"],
) -> GeneLevels | None:
    """Return the levels of genes by a straight line over measured genes; ``None`` where they do not determine one.

    Other data have another depth, and a panel another total, so that their levels are not those of the section. Means
    are corrected by the line of least squares of own means on those of the other data, standard deviations by the
    median ratio (Eq. 23 of docs/method.md).

    Parameters
    ----------
    other, own
        Mean and standard deviation of the measured genes, in the other data and in the section.
    asked
        Mean and standard deviation of the genes asked for, in the other data.

    Examples
    --------
    >>> import numpy as np
    >>> other = np.stack([np.linspace(0, 2, 40), np.linspace(0.1, 1, 40)])
    >>> levels = gene_levels(other, 2 * other, np.array([[1.0], [0.5]]))
    >>> levels.mean.round(3).tolist(), levels.sd.round(3).tolist()
    ([2.0], [1.0])
    """
    known = np.isfinite(other).all(axis=0) & (other[1] > 0) & (own[1] > 0)
    if known.sum() < _LEAST_GENES or not np.isfinite(asked).all():
        return None
    x, y = other[0, known], own[0, known]
    r = float(np.nan_to_num(pearson(x[:, None], y[:, None])[0]))
    if r < _LEAST_R:
        return None
    slope, intercept = np.polyfit(x, y, 1)
    error = float(np.sqrt(np.sum((y - slope * x - intercept) ** 2) / (len(x) - 2)))
    ratio = float(np.median(own[1, known] / other[1, known]))
    return GeneLevels(np.maximum(slope * asked[0] + intercept, 0.0), ratio * asked[1], error, r)
