"""What a model adds to interpolation."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Float

__all__ = ["skill"]


def skill(mse: Float[np.ndarray, " g"], mse_reference: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """Return 1 − MSE / MSE of the reference, gene by gene; NaN where the reference makes no error."""
    made = mse_reference > 0
    return np.asarray(1 - np.divide(mse, mse_reference, out=np.full(len(mse), np.nan), where=made))
