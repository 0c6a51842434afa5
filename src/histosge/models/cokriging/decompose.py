"""Decompose the covariance of the training spots."""

from __future__ import annotations

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array
from histosge.models.blocks import pieces

from .eigensolver import Eigendecomposition, precision
from .kernels import Covariance, KernelInputs

__all__ = ["decomposed"]


def decomposed(
    covariance: Covariance, spots: KernelInputs, inducing: KernelInputs, *, device: str
) -> Eigendecomposition:
    """Return the eigendecomposition of the covariance of the spots, exact or carried by inducing points."""
    dtype = precision(len(spots))
    matrix = np.empty((len(spots), len(inducing)), dtype=dtype)

    def compare(rows: Array) -> None:
        matrix[rows] = covariance(spots.take(rows), inducing, dtype)

    map_parts(compare, pieces(len(spots), len(inducing)))
    # the same object where the process is exact
    if inducing is spots:
        return Eigendecomposition.exact(matrix, device)
    return Eigendecomposition.nystrom(
        matrix, covariance(inducing, inducing), device, variance=covariance.variance(spots)
    )
