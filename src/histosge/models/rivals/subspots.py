"""The sub-spots of BayesSpace: 6 of a spot on hexagonal lattices, 9 on others, and which of them are neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.geometry.lattice import Lattice, lattice_indices

__all__ = ["HEXAGONAL", "NeighbourGraph", "SubSpots", "neighbour_graph", "subspots_of"]

# offsets (zhao2021bayesspace), in columns and rows of the array; on Visium every second column of a row has a spot
HEXAGONAL = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1), (2, 0), (-2, 0)]) / 3
_SQUARE = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)]) / 3
# columns and rows in pitches
_HEXAGONAL_STEPS, _SQUARE_STEPS = np.array([0.5, 3**0.5 / 2]), np.ones(2)
# neighbours are nearer than this many times the longest offset, by the sum of both coordinates
_REACH = 1.05


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourGraph:
    """Neighbours, for a Potts prior.

    Parameters
    ----------
    neighbours
        Rows of the neighbours of each; ``len(neighbours)`` where there are fewer.
    groups
        Rows that are not neighbours of each other, so that they can be updated together.
    """

    neighbours: Int[np.ndarray, "n k"]
    groups: tuple[Array, ...]

    @property
    def degree(self) -> Int[np.ndarray, " n"]:
        """How many neighbours each has."""
        return np.asarray((self.neighbours < len(self.neighbours)).sum(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class SubSpots:
    """Sub-spots of the spots of a section.

    Parameters
    ----------
    xy_um
        Positions, spots × sub-spots × 2.
    spots, subspots
        Neighbours among spots, and among sub-spots in the order of their spots.
    hexagonal
        Whether the lattice is.
    """

    xy_um: Float[np.ndarray, "n s 2"]
    spots: NeighbourGraph
    subspots: NeighbourGraph
    hexagonal: bool


def subspots_of(xy_um: Float[np.ndarray, "n 2"], lattice_xy: Float[np.ndarray, "n 2"]) -> SubSpots:
    """Divide spots.

    Parameters
    ----------
    xy_um
        Their positions.
    lattice_xy
        Their lattice positions; found from positions where there are none.

    Raises
    ------
    DataError
        For spots that are on no lattice.

    Examples
    --------
    >>> columns, rows = np.meshgrid(np.arange(4), np.arange(3))
    >>> xy = np.column_stack([columns.ravel(), rows.ravel()]).astype(float)
    >>> subspots_of(200 * xy, xy).xy_um.shape
    (12, 9, 2)
    """
    known = bool(np.isfinite(lattice_xy).all())
    index = lattice_xy if known else lattice_indices(xy_um)
    lattice = Lattice.fit(xy_um, index)
    # whole numbers of the primitive vectors a and b
    ab = np.rint((index - index[0]) @ np.linalg.inv(lattice.basis))
    a_um, b_um = lattice.basis_um
    hexagonal = lattice.kind == "hexagonal"
    if hexagonal:
        # a spans two columns, b one column and one row
        offsets, array_xy, steps = (
            HEXAGONAL,
            np.column_stack([2 * ab[:, 0] + ab[:, 1], ab[:, 1]]),
            _HEXAGONAL_STEPS,
        )
        steps_um = np.array([a_um / 2, b_um - a_um / 2])
    else:
        offsets, array_xy, steps, steps_um = _SQUARE, ab, _SQUARE_STEPS, lattice.basis_um
    divided_um = xy_um[:, None] + offsets @ steps_um
    divided = ((array_xy[:, None] + offsets) * steps).reshape(-1, 2)
    reach = _REACH * float(np.abs(offsets * steps).sum(axis=1).max())
    # six spots around a spot of a hexagonal lattice are 1 pitch away, four of a square one; 1.1: not the diagonal
    spots = neighbour_graph(array_xy * steps, 1.1, order=2)
    return SubSpots(divided_um, spots, neighbour_graph(divided, reach, order=1), hexagonal)


def neighbour_graph(xy: Float[np.ndarray, "n 2"], reach: float, *, order: int) -> NeighbourGraph:
    """Return which points are nearer to each other than ``reach``, by the norm of this order.

    Examples
    --------
    >>> graph = neighbour_graph(np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), 1.5, order=2)
    >>> graph.degree.tolist(), [group.tolist() for group in graph.groups]
    ([1, 2, 1], [[0, 2], [1]])
    """
    from scipy.spatial import cKDTree

    pairs = cKDTree(xy).query_pairs(reach, p=order, output_type="ndarray")
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    degree = np.bincount(both[:, 0], minlength=len(xy))
    neighbours = np.full((len(xy), max(1, int(degree.max(initial=0)))), len(xy))
    starts = np.concatenate([[0], np.cumsum(degree)[:-1]])
    neighbours[both[:, 0], np.arange(len(both)) - starts[both[:, 0]]] = both[:, 1]
    return NeighbourGraph(neighbours, _independent(neighbours))


def _independent(neighbours: Array) -> tuple[Array, ...]:
    """Return groups without neighbours among each other: each row joins the first group that it can."""
    number = len(neighbours)
    group = np.full(number + 1, -1)
    for row, near in enumerate(neighbours):
        taken = set(group[near[near < number]].tolist())
        group[row] = next(index for index in range(number) if index not in taken)
    return tuple(np.flatnonzero(group[:number] == index) for index in range(int(group[:number].max()) + 1))
