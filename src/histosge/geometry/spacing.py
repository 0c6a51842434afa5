"""The median distance between neighbouring points."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Float

__all__ = ["median_spacing_um"]


def median_spacing_um(xy_um: Float[np.ndarray, "n 2"]) -> float:
    """Return the median distance of points to their nearest other point; infinity for fewer than two points.

    Parameters
    ----------
    xy_um
        Positions, in µm or any other unit of length; the result has the same unit.

    Examples
    --------
    >>> import numpy as np
    >>> median_spacing_um(np.array([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0]]))
    100.0
    """
    from scipy.spatial import cKDTree

    if len(xy_um) < 2:
        return float("inf")
    return float(np.median(cKDTree(xy_um).query(xy_um, k=2)[0][:, 1]))
