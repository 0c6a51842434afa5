"""A triangulation of the tissue, with points of its own where the array has gaps and beyond its border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial import Delaunay, QhullError, cKDTree

from histosge._runtime.types import Array, Float, Int

__all__ = ["Mesh", "mesh_of"]

# distances in pitches: how far the mesh reaches beyond locations, and how near to them its own points may be
_REACH = 6
_CLEARANCE = 0.8
# positions nearer than this are one node
_SAME = 1e-3
# longest edge: gaps wider than twice the reach are not crossed
_LONGEST = 2.0
_SLIVER = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Linear finite elements on triangles; lengths are in pitches.

    Parameters
    ----------
    node
        Node of each location; locations at one position share it.
    stiffness
        Integrals of the products of gradients, nodes × nodes.
    mass
        Area that belongs to each node.
    """

    node: Int[np.ndarray, " n"]
    stiffness: sparse.csc_matrix
    mass: Float[np.ndarray, " m"]


def mesh_of(xy_um: Float[np.ndarray, "n 2"], pitch_um: float) -> Mesh:
    """Return the mesh of locations.

    Nodes are the locations and, up to six pitches from them, points of a hexagonal lattice where there is none: a gap
    in the array is crossed by the same covariance as the tissue, and the border of the array is no border of the field
    (Lindgren, Rue & Lindström 2011, § 2.3 and appendix A).

    Parameters
    ----------
    xy_um
        Positions.
    pitch_um
        Distance of neighbouring locations.
    """
    scaled = (xy_um - xy_um.min(axis=0)) / pitch_um
    _, first, node = np.unique(np.round(scaled / _SAME), axis=0, return_index=True, return_inverse=True)
    own = scaled[first]
    points = np.concatenate([own, _between(own)])
    stiffness, mass = _elements(points, _triangles(points))
    return Mesh(np.asarray(node).ravel(), stiffness, mass)


def _between(points: Array) -> Array:
    """Return points of a hexagonal lattice of pitch 1 near ``points``, but not too near to any of them."""
    basis = np.array([[1.0, 0.0], [0.5, 3**0.5 / 2]])
    steps = np.arange(-_REACH - 1, _REACH + 2)
    around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    around = around[np.linalg.norm(around @ basis, axis=1) <= _REACH + 1]
    # a point is in one cell of the lattice; each cell is spread once, however many points it holds
    cells = np.unique(np.round(points @ np.linalg.inv(basis)).astype(np.int64), axis=0)
    near = cells
    for _ in range(2):
        # two half steps: fewer candidates at a time than one whole
        half = around[np.linalg.norm(around @ basis, axis=1) <= (_REACH + 1) / 2]
        near = np.unique((near[:, None] + half).reshape(-1, 2), axis=0)
    lattice = near @ basis
    distance = cKDTree(points).query(lattice)[0]
    return np.asarray(lattice[(distance > _CLEARANCE) & (distance <= _REACH)])


def _triangles(points: Array) -> Array:
    """Return Delaunay's triangles without those that cross wide gaps."""
    try:
        triangles = np.asarray(Delaunay(points).simplices)
    except QhullError:
        return np.empty((0, 3), dtype=np.int64)
    edges = points[triangles] - points[np.roll(triangles, 1, axis=1)]
    return np.asarray(triangles[(np.linalg.norm(edges, axis=2) <= _LONGEST).all(axis=1)])


def _elements(points: Array, triangles: Array) -> tuple[sparse.csc_matrix, Array]:
    """Return the stiffness matrix and the lumped mass of linear elements."""
    corner = points[triangles]
    opposite = np.roll(corner, -2, axis=1) - np.roll(corner, -1, axis=1)
    area = 0.5 * np.abs(opposite[:, 0, 0] * opposite[:, 1, 1] - opposite[:, 0, 1] * opposite[:, 1, 0])
    whole = area > _SLIVER
    triangles, opposite, area = triangles[whole], opposite[whole], area[whole]
    # the gradient of a corner's function is its opposite edge, turned by 90° and divided by twice the area
    local = np.einsum("tid,tjd->tij", opposite, opposite) / (4 * area)[:, None, None]
    rows, columns = np.repeat(triangles, 3, axis=1).ravel(), np.tile(triangles, (1, 3)).ravel()
    m = len(points)
    mass = np.bincount(triangles.ravel(), np.repeat(area / 3, 3), minlength=m)
    # nodes in no triangle stand alone, with the area of a cell of the lattice
    mass = np.where(mass > 0, np.maximum(mass, _SAME), 3**0.5 / 2)
    return sparse.csc_matrix((local.ravel(), (rows, columns)), shape=(m, m)), mass
