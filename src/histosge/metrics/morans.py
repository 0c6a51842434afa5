"""Whether a gene has a pattern in space."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from .._types import Array, Float
from ._contract import Case, Metric, MetricCard

__all__ = ["ENTRIES", "morans_i", "neighbour_means"]

_NEIGHBOURS = 6


def morans_i(values: Float[np.ndarray, "n g"], xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " g"]:
    """Return Moran's I (1950) of each column over the six nearest neighbours; 0 for constant ones."""
    centred = values - values.mean(axis=0)
    lagged = neighbour_means(xy_um) @ centred
    return np.asarray((centred * lagged).sum(axis=0) / np.maximum((centred**2).sum(axis=0), 1e-12))


def neighbour_means(xy_um: Float[np.ndarray, "n 2"]) -> sparse.csr_matrix:
    """Return the matrix that averages over the six nearest neighbours (all, where there are fewer)."""
    from scipy.spatial import cKDTree

    n = len(xy_um)
    number = min(_NEIGHBOURS, n - 1)
    near = cKDTree(xy_um).query(xy_um, k=number + 1)[1].reshape(n, -1)[:, 1:]
    rows = np.repeat(np.arange(n), number)
    return sparse.csr_matrix((np.full(near.size, 1 / max(number, 1)), (rows, near.ravel())), shape=(n, n))


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
            ("removed",),
            0.0,
        ),
        _shift,
    ),
)
