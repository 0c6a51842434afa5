"""Spots block by block: neighbours in one block, and sums over blocks that depend on no number of cores or workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from threadpoolctl import threadpool_limits

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.models.base import Workers
from histosge.models.blocks import runs

__all__ = ["ROWS", "Summand", "blocks_of", "in_strips", "of_parts", "summed"]

#: spots of one block: a block of covariances with 2000 inducing points takes 16 MB in single precision
ROWS = 2048
# sums over so many shares of the spots, one after another: each has sums of its own, whatever the number of cores
_SHARES = 4


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


@runtime_checkable
class Summand(Protocol):
    """What is summed over spots: takes blocks of their rows, and returns its sums. Workers are sent that of a share."""

    def __call__(self, blocks: Iterator[Array]) -> Sequence[Any]:
        """Return the sums over some blocks, in the memory of one block and of the sums."""
        ...

    def take(self, rows: Array) -> Summand:
        """Return the same of some spots, whose rows count from 0."""
        ...


def summed(work: Summand, order: Array, workers: Workers | None = None) -> list[Any]:
    """Return the sums of what ``work`` makes of the blocks of each share of the spots.

    Shares are summed in order, so that the bits are the same however many cores or workers there are.

    Parameters
    ----------
    work
        Makes sums of blocks.
    order
        Rows of the spots, in the order in which they are worked on.
    workers
        Other processes that compute the shares; ``None``: threads of this one.
    """
    results = of_parts(work, np.array_split(order, _SHARES), workers)
    totals = list(results[0])
    for result in results[1:]:
        totals = [total + part for total, part in zip(totals, result, strict=True)]
    return totals


def of_parts(work: Summand, parts: Sequence[Array], workers: Workers | None = None) -> list[Sequence[Any]]:
    """Return the sums of each of some parts of the spots."""
    if workers is None:
        return map_parts(lambda rows: work(blocks_of(rows)), parts)
    return workers.map(_of_part, [(work.take(rows), len(rows)) for rows in parts])


def _of_part(part: tuple[Summand, int]) -> Sequence[Any]:
    """Return the sums of a part in another process, by the arithmetic of :func:`map_parts`."""
    work, spots = part
    with threadpool_limits(1, user_api="blas"):
        return work(blocks_of(np.arange(spots)))
