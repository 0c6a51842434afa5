"""Specks of domains: patches of a few locations, which are given the domains of their neighbours."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float, Int

__all__ = ["LEAST_PATCH", "NEIGHBOURS_WITHIN", "without_specks"]

#: locations of the smallest patch that is kept: fewer are no region, whatever their domain
LEAST_PATCH = 4
#: how far neighbours are, in distances of neighbours: across the corners of squares, one ring of a hexagonal lattice
NEIGHBOURS_WITHIN = 1.4
# of a neighbour: less than one division in a thousand counts
_LESS_THAN_ANY_VOTE = 1e-5


def without_specks(
    labels: Int[np.ndarray, " n"],
    probability: Float[np.ndarray, "n k"],
    edges: Int[np.ndarray, "2 e"],
    *,
    least: int = LEAST_PATCH,
) -> Int[np.ndarray, " n"]:
    """Return labels in which every patch has ``least`` locations or more, where the tissue around it has others.

    A patch is a connected part of one domain. The smallest is given first what is most probable on it of the domains
    around it, until none is too small. A piece of tissue that is itself smaller becomes one patch.

    Parameters
    ----------
    labels
        Domain of each location.
    probability
        Of each domain at each location.
    edges
        Of neighbouring locations, in both directions.
    least
        Locations of the smallest patch to keep.

    Examples
    --------
    >>> import numpy as np
    >>> row = np.array([[0, 1, 1, 2, 2, 3, 3, 4], [1, 0, 2, 1, 3, 2, 4, 3]])
    >>> without_specks(np.array([0, 0, 1, 0, 0]), np.full((5, 2), 0.5), row, least=2).tolist()
    [0, 0, 0, 0, 0]
    """
    labels = np.array(labels)
    source, target = edges[:, edges[0] != edges[1]]
    n = len(labels)
    graph = sparse.csr_matrix((np.ones(len(source)), (target, source)), shape=(n, n))
    while True:
        patch, size = _patches(labels, source, target)
        between = patch[source] != patch[target]
        # without other domains around it, a patch is a whole piece of tissue
        surrounded = np.zeros(len(size), dtype=bool)
        surrounded[patch[target[between]]] = True
        small = np.flatnonzero((size < least) & surrounded)
        if not len(small):
            return labels
        _join(labels, probability, graph, patch=patch, small=small[np.argsort(size[small], kind="stable")])


def _patches(labels: Array, source: Array, target: Array) -> tuple[Array, Array]:
    """Return the patch of each location, and the number of locations of each patch."""
    n, same = len(labels), labels[source] == labels[target]
    graph = sparse.coo_matrix((np.ones(same.sum()), (target[same], source[same])), shape=(n, n))
    patch = sparse.csgraph.connected_components(graph, directed=False)[1]
    return patch, np.bincount(patch)


def _join(labels: Array, probability: Array, graph: sparse.csr_matrix, *, patch: Array, small: Array) -> None:
    """Give each small patch a domain around it, in place, but none that has just been joined by another."""
    rows_of = np.split(np.argsort(patch, kind="stable"), np.cumsum(np.bincount(patch))[:-1])
    changed = np.zeros(len(rows_of), dtype=bool)
    for own in small:
        rows = rows_of[own]
        around = graph[rows].indices
        around = around[patch[around] != own]
        # a neighbour that has changed may have joined this patch: the next round sees how large it is now
        if changed[patch[around]].any():
            continue
        number = np.bincount(labels[around], minlength=probability.shape[1])
        # of domains that are as probable, often all impossible, the one that most neighbours have
        order = probability[rows].mean(axis=0) + _LESS_THAN_ANY_VOTE * number
        labels[rows] = np.where(number > 0, order, -np.inf).argmax()
        changed[own] = True
