"""Expression without outliers, before the factors are found."""

from __future__ import annotations

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array
from histosge.models.blocks import runs
from histosge.prediction.winsorise import winsorised

from .eigensolver import Eigendecomposition

__all__ = ["winsorised_values"]

_GENES_PER_BLOCK = 256


def winsorised_values(values: Array, axes: Array, eigen: Eigendecomposition, most_sd: float | None) -> Array:
    """Return expression winsorised around its leave-one-out prediction by the factors, some genes at a time.

    ``None`` leaves it as it is.
    """
    if most_sd is None:
        return values
    left_out = eigen.posterior(values @ axes.T).left_out
    result = np.empty_like(values)

    def winsorise(genes: slice) -> None:
        result[:, genes] = winsorised(values[:, genes], left_out @ axes[:, genes], most_sd)

    map_parts(winsorise, runs(values.shape[1], _GENES_PER_BLOCK))
    return result
