"""Which locations are neighbours: their distance, and graphs of them."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from histosge._runtime.types import Array, Float, Int

__all__ = ["component_sizes", "edges_within", "nearest_edges", "neighbour_distance_um"]

_HEXAGON = 6


def neighbour_distance_um(xy_um: Float[np.ndarray, "n 2"]) -> float:
    """Return the distance of neighbours: the median, over locations, of the mean distance to the nearest six.

    On a hexagonal lattice this is the pitch, on a square one 14 % more. Six neighbours, and not the nearest one as in
    :func:`histosge.geometry.spacing.median_spacing_um`, since graphs of domains need a radius that reaches the
    neighbours of irregular locations too.

    Parameters
    ----------
    xy_um
        Positions; a single location has the distance 1.

    Examples
    --------
    >>> import numpy as np
    >>> square = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), axis=-1).reshape(-1, 2)
    >>> round(neighbour_distance_um(100 * square), 1)
    113.8
    """
    number = min(_HEXAGON + 1, len(xy_um))
    distance = cKDTree(xy_um).query(xy_um, k=number)[0].reshape(len(xy_um), -1)
    return float(np.median(distance[:, 1:].mean(axis=1))) if number > 1 else 1.0


def edges_within(xy_um: Float[np.ndarray, "n 2"], radius_um: float) -> Int[np.ndarray, "2 e"]:
    """Return edges between locations nearer than ``radius_um``, in both directions, and self-loops.

    Row 1 attends to row 0; edges are in the order of row 1.
    """
    pairs = cKDTree(xy_um).query_pairs(radius_um, output_type="ndarray").T.astype(np.int64)
    loops = np.arange(len(xy_um))
    # networks sum over sorted edges without a copy per edge
    return _ordered(np.concatenate([pairs, pairs[::-1], np.stack([loops, loops])], axis=1))


def nearest_edges(xy_um: Float[np.ndarray, "n 2"], neighbours: int) -> Int[np.ndarray, "2 e"]:
    """Return edges to each location from its nearest others and itself; row 1 attends to row 0."""
    n = len(xy_um)
    number = min(neighbours, n - 1)
    nearest = cKDTree(xy_um).query(xy_um, k=number + 1)[1].reshape(n, -1)
    # of several locations at one position the tree may return the others first, and the location itself not at all
    no_loop = ~(nearest == np.arange(n)[:, None]).any(axis=1)
    nearest[no_loop, -1] = np.flatnonzero(no_loop)
    return _ordered(np.stack([nearest.ravel(), np.repeat(np.arange(n), number + 1)]).astype(np.int64))


def component_sizes(edges: Int[np.ndarray, "2 e"], n: int) -> Int[np.ndarray, " p"]:
    """Return the sizes of the connected components of a graph of ``n`` locations, largest first."""
    graph = sparse.coo_matrix((np.ones(edges.shape[1]), edges), shape=(n, n))
    component = sparse.csgraph.connected_components(graph, directed=False)[1]
    return np.sort(np.bincount(component))[::-1]


def _ordered(edges: Array) -> Array:
    return np.ascontiguousarray(edges[:, np.lexsort(edges)])
