"""Refuse domains of more values than memory holds, before they are made dense."""

from __future__ import annotations

from histosge._runtime.memory import available_bytes
from histosge.errors import UsageError

__all__ = ["refuse_beyond_memory"]

# of each value at the peak of spatial_mixture: 34 were measured at 3106 locations of 3000 genes, 40 at 32 330
_BYTES = 45.0
_GIB = 2.0**30


def refuse_beyond_memory(locations: int, genes: int, cure: str) -> None:
    """Refuse to divide locations of whose expression memory does not hold a few copies.

    Parameters
    ----------
    locations, genes
        Their numbers.
    cure
        How to go on; ``{most}`` in it becomes the number of genes that there is memory for.

    Raises
    ------
    UsageError
        With what is needed and what there is.

    Examples
    --------
    >>> refuse_beyond_memory(3000, 3000, "Take fewer `genes` (hvg:{most}).")
    """
    available, needed = available_bytes(), _BYTES * locations * genes
    if available is None or needed <= available:
        return
    most = max(int(0.8 * available / (_BYTES * max(locations, 1))), 1)
    raise UsageError(
        f"Domains of {locations} locations × {genes} genes need about {needed / _GIB:.0f} GiB of memory, and "
        f"{available / _GIB:.1f} GiB are free. {cure.format(most=most)}"
    )
