"""Walking over places in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._types import Array

__all__ = ["pieces"]

# of one block of predictions
_BYTES = 16 << 20


def pieces(places: int, columns: int) -> Iterator[Array]:
    """Yield rows of some megabytes of predictions of ``columns`` genes, in order."""
    step = max(1, _BYTES // (8 * max(columns, 1)))
    for start in range(0, places, step):
        yield np.arange(start, min(start + step, places))
