"""Which places are neighbours."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from histosge._runtime.types import Array, Float, Int

__all__ = ["nearest", "pieces", "spacing_um", "within"]

_SIX = 6


def spacing_um(xy_um: Float[np.ndarray, "n 2"]) -> float:
    """Return the distance between neighbouring places: the median of the mean distance to the nearest six.

    On a hexagonal lattice that is its pitch. It needs no lattice, so it also tells the spacing of generated places.
    """
    number = min(_SIX + 1, len(xy_um))
    distance = cKDTree(xy_um).query(xy_um, k=number)[0].reshape(len(xy_um), -1)
    return float(np.median(distance[:, 1:].mean(axis=1))) if number > 1 else 1.0


def within(xy_um: Float[np.ndarray, "n 2"], radius_um: float) -> Int[np.ndarray, "2 e"]:
    """Return edges between places nearer than ``radius_um``, both ways, and from each place to itself.

    Row 0 is looked at by row 1; edges are in the order of row 1.
    """
    pairs = cKDTree(xy_um).query_pairs(radius_um, output_type="ndarray").T.astype(np.int64)
    own = np.arange(len(xy_um))
    return _ordered(np.concatenate([pairs, pairs[::-1], np.stack([own, own])], axis=1))


def nearest(xy_um: Float[np.ndarray, "n 2"], neighbours: int) -> Int[np.ndarray, "2 e"]:
    """Return edges from each place's nearest others, and itself, to it; row 0 is looked at by row 1."""
    n = len(xy_um)
    number = min(neighbours, n - 1)
    near = cKDTree(xy_um).query(xy_um, k=number + 1)[1].reshape(n, -1)
    # a place is its own nearest, except where two lie upon each other
    near[~(near == np.arange(n)[:, None]).any(axis=1), -1] = np.flatnonzero(
        ~(near == np.arange(n)[:, None]).any(axis=1)
    )
    return _ordered(np.stack([near.ravel(), np.repeat(np.arange(n), number + 1)]).astype(np.int64))


def pieces(edges: Int[np.ndarray, "2 e"], n: int) -> Int[np.ndarray, " p"]:
    """Return the sizes of the parts of the graph that no edge joins, largest first."""
    graph = sparse.coo_matrix((np.ones(edges.shape[1]), edges), shape=(n, n))
    label = sparse.csgraph.connected_components(graph, directed=False)[1]
    return np.sort(np.bincount(label))[::-1]


def _ordered(edges: Array) -> Array:
    return np.ascontiguousarray(edges[:, np.lexsort(edges)])
