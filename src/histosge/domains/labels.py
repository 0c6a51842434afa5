"""The numbers of domains."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Int

__all__ = ["numbered_by_size"]


def numbered_by_size(labels: Array) -> Int[np.ndarray, " n"]:
    """Return labels numbered from 0, the largest domain first; of equally large ones the first in the order of rows.

    Examples
    --------
    >>> import numpy as np
    >>> numbered_by_size(np.array([5, 9, 9, 2])).tolist()
    [1, 0, 0, 2]
    """
    _, first, code, size = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.intp)
    # lexsort's last key decides first: size, then first row
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return np.asarray(rank[np.asarray(code).ravel()])
