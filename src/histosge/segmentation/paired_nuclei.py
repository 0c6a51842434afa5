"""Which cell each nucleus lies in."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array

from .polygon_arrays import joined_pieces

__all__ = ["paired_nuclei"]


def paired_nuclei(outlines: Array, nuclei: Array) -> tuple[Array, int]:
    """Return the nuclei of each cell, ``None`` for a cell without, and how many nuclei lie in no cell.

    A nucleus belongs to the outline that it shares most area with; a cell with several has them as a multipolygon.

    Parameters
    ----------
    outlines, nuclei
        shapely polygons that belong together by position alone; ``None`` is no outline.

    Examples
    --------
    >>> import shapely
    >>> cells = np.array([shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)])
    >>> of_cells, lost = paired_nuclei(cells, np.array([shapely.box(11, 1, 15, 5), shapely.box(40, 0, 41, 1)]))
    >>> [nucleus and nucleus.area for nucleus in of_cells], lost
    ([None, 16.0], 1)
    """
    import shapely

    nucleus, cell = shapely.STRtree(outlines).query(nuclei, predicate="intersects")
    shared = shapely.area(shapely.intersection(nuclei[nucleus], outlines[cell]))
    # the largest share of each nucleus comes first
    order = np.lexsort([-shared, nucleus])
    order = order[shared[order] > 0]
    nucleus, cell = nucleus[order], cell[order]
    best = np.diff(nucleus, prepend=-1) > 0
    nucleus, cell = nucleus[best], cell[best]
    by_cell = np.argsort(cell, kind="stable")
    pieces, piece_of = shapely.get_parts(nuclei[nucleus[by_cell]], return_index=True)
    joined = joined_pieces(pieces, cell[by_cell][piece_of], len(outlines))
    return joined, int((~shapely.is_missing(nuclei)).sum()) - len(nucleus)
