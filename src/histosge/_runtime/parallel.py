"""Parts of an array worked on side by side, one core a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

__all__ = ["cores", "map_parts"]

# a part holds some tens of megabytes
_MOST = 8

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Return how many parts are worked on side by side: the threads that linear algebra may use, at most eight."""
    blas = (pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
    return min(max(blas, default=1), _MOST)


def map_parts(work: Callable[[T], R], parts: Iterable[T]) -> list[R]:
    """Return what ``work`` makes of every part, in order.

    As many cores work as linear algebra may use: ``OMP_NUM_THREADS`` says how many.
    Much of the work on kernels is element by element, which NumPy does on one core. Linear algebra stays on one core
    within a part, so that the bits are the same however many there are.

    Parameters
    ----------
    work
        What is done with a part; where it writes, to memory of its own.
    parts
        Of the whole.
    """
    number = cores()
    if number == 1:  # no threads to make and nothing to hold to one core, both of which take milliseconds
        return [work(part) for part in parts]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(number) as executor:
        return list(executor.map(work, parts))
