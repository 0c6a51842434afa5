"""Choose a few locations that represent many."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["evenly", "farthest_points"]


def evenly(total: int, most: int) -> Array:
    """Return at most ``most`` of ``total`` row numbers, in even steps from the first to the last.

    Examples
    --------
    >>> evenly(9, 3).tolist()
    [0, 4, 8]
    """
    return np.unique(np.linspace(0, total - 1, min(most, total)).round().astype(np.intp))


def farthest_points(xy_um: Float[np.ndarray, "n 2"], number: int) -> Array:
    """Return ascending rows of locations that cover the section evenly.

    Farthest-point selection: the first is nearest to the centre, each further one is the farthest from all before it.
    Its time grows with ``number`` × n.

    Parameters
    ----------
    xy_um
        Positions in µm, with sections laid side by side (:func:`histosge.section.inputs.separated`).
    number
        Locations to choose, at most n.

    Examples
    --------
    >>> import numpy as np
    >>> farthest_points(np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0], [21.0, 0.0]]), 3).tolist()
    [0, 1, 3]
    """
    # from the centre, so that the choice does not depend on the order of the locations
    from_centre = np.linalg.norm(xy_um - xy_um.mean(axis=0), axis=1)
    chosen = [int(from_centre.argmin())]
    gap = np.linalg.norm(xy_um - xy_um[chosen[0]], axis=1)
    # the distance to the nearest chosen location is updated, not computed again: O(n) for each choice
    for _ in range(number - 1):
        chosen.append(int(gap.argmax()))
        np.minimum(gap, np.linalg.norm(xy_um - xy_um[chosen[-1]], axis=1), out=gap)
    return np.sort(chosen)
