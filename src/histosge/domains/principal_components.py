"""Principal components of expression."""

from __future__ import annotations

import numpy as np

from histosge._runtime.seeds import seed_of_32_bits
from histosge._runtime.types import Float

__all__ = ["principal_components", "standardised"]


def principal_components(
    values: Float[np.ndarray, "n g"], number: int, *, seed: int = 0
) -> Float[np.ndarray, "n k"]:
    """Return the first principal components, at most ``number`` of them."""
    from sklearn.decomposition import PCA

    # there are no more components than locations or genes
    number = min(number, *values.shape)
    return np.asarray(
        PCA(number, random_state=seed_of_32_bits(seed)).fit_transform(np.asarray(values, dtype=np.float64))
    )


def standardised(values: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "n k"]:
    """Return the columns that vary, each with mean 0 and standard deviation 1."""
    values = np.asarray(values, dtype=np.float64)
    sd = values.std(axis=0)
    # constant columns have a standard deviation of rounding errors only
    varies = sd > 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-30)
    return np.asarray((values[:, varies] - values[:, varies].mean(axis=0)) / sd[varies])
