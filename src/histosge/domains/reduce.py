"""Fewer columns: principal components, and the order of labels."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Float, Int

__all__ = ["by_size", "components", "standardised"]


def components(values: Float[np.ndarray, "n g"], number: int, *, seed: int = 0) -> Float[np.ndarray, "n k"]:
    """Return the first principal components, as many as there can be up to ``number``."""
    from sklearn.decomposition import PCA

    number = min(number, *values.shape)
    return np.asarray(PCA(number, random_state=seed).fit_transform(np.asarray(values, dtype=np.float64)))


def standardised(values: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "n k"]:
    """Return the columns that vary, each with mean 0 and standard deviation 1."""
    values = np.asarray(values, dtype=np.float64)
    deviation = values.std(axis=0)
    varies = deviation > 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-30)
    return np.asarray((values[:, varies] - values[:, varies].mean(axis=0)) / deviation[varies])


def by_size(labels: Array) -> Int[np.ndarray, " n"]:
    """Return the labels numbered from 0, the largest domain first; ties go to the one met first."""
    _, first, code, size = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.intp)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return np.asarray(rank[np.asarray(code).ravel()])
