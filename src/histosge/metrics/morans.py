"""Moran's I: spatial autocorrelation of each gene."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float

from .base import Comparison, Metric, MetricCard

__all__ = ["ENTRIES", "morans_i", "neighbour_means"]

# the neighbours of a spot on a hexagonal lattice
_NEIGHBOURS = 6
# no lattice has more points at the distance of the sixth neighbour or nearer
_MAXIMUM_TIES = 20
# fewer spots have no spatial pattern
_MINIMUM_SPOTS = 3


def morans_i(values: Float[np.ndarray, "n g"], xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " g"]:
    """Return Moran's I (1950) of each column over the six nearest neighbours; 0 for constant columns.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.divmod(np.arange(400.0), 20)
    >>> gradient = morans_i(x[:, None], np.column_stack([x, y]))
    >>> noise = morans_i(np.random.default_rng(0).normal(size=(400, 1)), np.column_stack([x, y]))
    >>> bool(gradient > 0.9), bool(abs(noise) < 0.1)
    (True, True)
    """
    # with rows of the weights summing to 1, I is the regression of the neighbours' mean on the value
    centred = values - values.mean(axis=0)
    lagged = neighbour_means(xy_um) @ centred
    return np.asarray((centred * lagged).sum(axis=0) / np.maximum((centred**2).sum(axis=0), 1e-12))


def neighbour_means(xy_um: Float[np.ndarray, "n 2"]) -> sparse.csr_matrix:
    """Return the n × n matrix that averages over the six nearest neighbours of each spot, ties included.

    On a square lattice the fifth to the eighth neighbour are equally near. Taking two of them would make the result
    depend on the order of the spots.
    """
    from scipy.spatial import cKDTree

    n = len(xy_um)
    number = min(_NEIGHBOURS, n - 1)
    distance, neighbour = cKDTree(xy_um).query(xy_um, k=min(_MAXIMUM_TIES, n))
    distance, neighbour = distance.reshape(n, -1), neighbour.reshape(n, -1)
    # the first column is the spot itself, so that column `number` is the sixth neighbour
    inside = distance <= distance[:, number, None] * (1 + 1e-6)
    inside &= neighbour != np.arange(n)[:, None]
    rows, columns = np.nonzero(inside)
    weights = 1 / np.maximum(inside.sum(axis=1), 1)[rows]
    return sparse.csr_matrix((weights, (rows, neighbour[rows, columns])), shape=(n, n))


def _moran_shift(comparison: Comparison) -> Array | None:
    xy_um = comparison.xy_um
    if xy_um is None or len(xy_um) < _MINIMUM_SPOTS:
        return None
    return np.asarray(morans_i(comparison.prediction, xy_um) - morans_i(comparison.truth, xy_um))


ENTRIES = (
    Metric(
        MetricCard(
            "moran_shift",
            "Moran's I of the prediction minus that of the truth: above 0 where the prediction is smoother.",
            "target",
            (-2.5, 2.5),
            citation="moran1950",
            sets=("test",),
            target=0.0,
        ),
        _moran_shift,
    ),
)
