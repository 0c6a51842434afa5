"""Intervals that cover what they promise, and how well each gene is predicted, from spots left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from histosge._runtime.types import Float

__all__ = ["calibration_factor", "pooled", "skill"]

_LEVEL = 0.9
# of the standard normal distribution at 0.95
_REACH = 1.6448536269514722
_LEVELS = {0.5: 0.6744897501960817, 0.8: 1.2815515655446004, 0.9: _REACH, 0.95: 1.959963984540054}


def calibration_factor(
    error: Float[np.ndarray, "n g"], sd: Float[np.ndarray, "n g"]
) -> tuple[Float[np.ndarray, " g"], dict[str, list[float]]]:
    """Return by what each gene's standard deviations are multiplied, and the coverage before and after.

    Split conformal prediction (Vovk et al. 2005; Lei et al. 2018) with a normalised score: the 90 % quantile of
    |error| / spread at spots left out, the (n + 1) · 0.9-th smallest of n, over its normal value.

    Parameters
    ----------
    error
        What was measured less what was predicted, at spots left out.
    sd
        What the model thinks the standard deviation of ``error`` is.
    """
    n = len(error)
    score = np.abs(error) / np.maximum(sd, 1e-12)
    rank = min(n, math.ceil((n + 1) * _LEVEL)) - 1
    quantile = np.partition(np.ascontiguousarray(score.T), rank, axis=1)[:, rank]
    # a gene that never varied has no error and needs no factor
    factor = np.where(np.abs(error).max(axis=0) > 1e-9, np.maximum(quantile / _REACH, 1e-3), 1.0)
    table = {
        "levels": list(_LEVELS),
        "raw": [float((score <= reach).mean()) for reach in _LEVELS.values()],
        "coverage": [float((score <= reach * factor).mean()) for reach in _LEVELS.values()],
    }
    return factor, table


def pooled(tables: Sequence[tuple[int, dict[str, list[float]]]]) -> dict[str, list[float]]:
    """Return the coverage of all genes, from that of some at a time and how many these were."""
    weights = [genes for genes, _ in tables]
    raw, covered = (
        np.average([table[name] for _, table in tables], axis=0, weights=weights).tolist()
        for name in ("raw", "coverage")
    )
    return {"levels": list(_LEVELS), "raw": raw, "coverage": covered}


def skill(measured: Float[np.ndarray, "n g"], expected: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " g"]:
    """Return Pearson's correlation of each gene; 0 where one side does not vary."""
    one, two = measured - measured.mean(axis=0), expected - expected.mean(axis=0)
    size = np.sqrt((one**2).sum(axis=0) * (two**2).sum(axis=0))
    return np.asarray(np.divide((one * two).sum(axis=0), size, out=np.zeros_like(size), where=size > 1e-12))
