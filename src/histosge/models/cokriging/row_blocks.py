"""Spots block by block: neighbours in one block, and sums over blocks that do not depend on the number of cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import runs

__all__ = ["ROWS", "blocks_of", "in_strips", "summed"]

#: spots of one block: a block of covariances with 2000 inducing points takes 16 MB in single precision
ROWS = 2048
# sums over so many shares of the spots, one after another: each has sums of its own, whatever the number of cores
_SHARES = 4

T = TypeVar("T")


def in_strips(xy_um: Float[np.ndarray, "n 2"], sections: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return an order of the spots in which neighbours are near each other, whatever the order of the rows.

    Strips along x as high as they are wide in spots, so that the spots of a block have a small neighbourhood.

    Examples
    --------
    >>> import numpy as np
    >>> xy_um = np.array([[30.0, 0.0], [0.0, 1.0], [20.0, 0.0], [10.0, 0.0]])
    >>> in_strips(xy_um, np.zeros(4, dtype=int)).tolist()
    [1, 3, 2, 0]
    """
    extent = np.ptp(xy_um, axis=0) if len(xy_um) else np.ones(2)
    # a block is about a square: its area is that of all spots times its share of them
    side = float(np.sqrt(max(extent[0] * extent[1], 1e-12) * min(ROWS / max(len(xy_um), 1), 1.0)))
    strip = np.floor((xy_um[:, 1] - xy_um[:, 1].min(initial=np.inf)) / max(side, 1e-9)).astype(np.intp)
    return np.lexsort((xy_um[:, 1], xy_um[:, 0], strip, sections))


def blocks_of(rows: Array) -> Iterator[Array]:
    """Yield some rows at a time, in their order."""
    for part in runs(len(rows), ROWS):
        yield rows[part]


def summed(work: Callable[[Iterator[Array]], Sequence[T]], order: Array) -> list[T]:
    """Return the sums of what ``work`` makes of the blocks of each share of the spots.

    Shares are summed in order, so that the bits are the same however many cores there are. ``work`` needs memory for
    one block and for its sums.

    Parameters
    ----------
    work
        Takes blocks of rows, and returns its sums.
    order
        Rows of the spots, in the order in which they are worked on.
    """
    results = map_parts(lambda share: work(blocks_of(share)), np.array_split(order, _SHARES))
    totals = list(results[0])
    for result in results[1:]:
        totals = [total + part for total, part in zip(totals, result, strict=True)]  # type: ignore[operator]
    return totals
