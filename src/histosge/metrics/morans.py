"""Whether a gene has a pattern in space."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float

from .base import Case, Metric, MetricCard

__all__ = ["ENTRIES", "morans_i", "neighbour_means"]

_NEIGHBOURS = 6
# no lattice has more sites within the distance of the sixth
_MOST_AS_NEAR = 20


def morans_i(values: Float[np.ndarray, "n g"], xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " g"]:
    """Return Moran's I (1950) of each column over the six nearest neighbours; 0 for constant ones."""
    centred = values - values.mean(axis=0)
    lagged = neighbour_means(xy_um) @ centred
    return np.asarray((centred * lagged).sum(axis=0) / np.maximum((centred**2).sum(axis=0), 1e-12))


def neighbour_means(xy_um: Float[np.ndarray, "n 2"]) -> sparse.csr_matrix:
    """Return the matrix that averages over the six nearest neighbours, and over those that are as near as the sixth.

    On a square lattice the fifth to the eighth are equally near: taking two of them would depend on the order of
    the spots.
    """
    from scipy.spatial import cKDTree

    n = len(xy_um)
    number = min(_NEIGHBOURS, n - 1)
    distance, near = cKDTree(xy_um).query(xy_um, k=min(_MOST_AS_NEAR, n))
    distance, near = distance.reshape(n, -1), near.reshape(n, -1)
    inside = distance <= distance[:, number, None] * (1 + 1e-6)
    inside &= near != np.arange(n)[:, None]
    rows, columns = np.nonzero(inside)
    weights = 1 / np.maximum(inside.sum(axis=1), 1)[rows]
    return sparse.csr_matrix((weights, (rows, near[rows, columns])), shape=(n, n))


def _shift(case: Case) -> Array | None:
    if case.xy_um is None or len(case.xy_um) < 3:
        return None
    return np.asarray(morans_i(case.found, case.xy_um) - morans_i(case.truth, case.xy_um))


ENTRIES = (
    Metric(
        MetricCard(
            "moran_shift",
            "Moran's I of the prediction less that of the truth: above 0 smoother than what was measured.",
            "target",
            (-2.5, 2.5),
            "moran1950",
            ("test",),
            0.0,
        ),
        _shift,
    ),
)
