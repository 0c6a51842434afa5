"""Walking over places in pieces of bounded size, and reading their features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.section.inputs import Inputs

__all__ = ["features_of", "pieces", "runs"]

# of one block of predictions
_BYTES = 16 << 20


def pieces(places: int, columns: int) -> Iterator[Array]:
    """Yield rows of some megabytes of predictions of ``columns`` genes, in order."""
    step = max(1, _BYTES // (8 * max(columns, 1)))
    for start in range(0, places, step):
        yield np.arange(start, min(start + step, places))


def runs(total: int, step: int) -> Iterator[slice]:
    """Yield slices of ``step``, and what remains, in order."""
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))


def features_of(inputs: Inputs, rows: Array) -> Float[np.ndarray, "b d"]:
    """Return the encoder features at ``rows``.

    Raises
    ------
    UsageError
        When there are none.
    """
    if inputs.features is None:
        raise UsageError("The model reads image features, but there are none. Give the section's `image`.")
    if not inputs.features.shape[1]:
        raise UsageError(
            "Expected at least one image feature a location, got none. Choose another `encoder`."
        )
    return np.asarray(inputs.features[rows], dtype=np.float64)
