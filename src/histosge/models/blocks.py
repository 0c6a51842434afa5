"""Work through locations in blocks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.section.inputs import Inputs

__all__ = ["features_of", "pieces", "runs"]

# bytes of one block of predictions
_BYTES = 16 << 20


def pieces(locations: int, columns: int) -> Iterator[Array]:
    """Yield row numbers in order, as many at a time as make some megabytes of predictions of ``columns`` genes."""
    step = max(1, _BYTES // (8 * max(columns, 1)))
    for start in range(0, locations, step):
        yield np.arange(start, min(start + step, locations))


def runs(total: int, step: int) -> Iterator[slice]:
    """Yield slices of ``step`` rows in order; the last one may be shorter.

    Examples
    --------
    >>> [(part.start, part.stop) for part in runs(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))


def features_of(inputs: Inputs, rows: Array) -> Float[np.ndarray, "b d"]:
    """Return the image features at ``rows``, in double precision.

    Raises
    ------
    UsageError
        When there are none.
    """
    if inputs.features is None:
        raise UsageError("The model needs image features, and the section has no image. Give its `image`.")
    if not inputs.features.shape[1]:
        raise UsageError(
            "Expected at least one image feature per location, got none. Choose another `encoder`."
        )
    return np.asarray(inputs.features[rows], dtype=np.float64)
