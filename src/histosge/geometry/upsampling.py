"""Offsets that turn a lattice into a denser one.

Offsets are fractions (f1, f2) of the primitive vectors a, b. N-fold refinement is the union of the lattice and its
translates by N − 1 offsets; it has N places a site exactly if no two offsets differ by a lattice vector.
"""

from __future__ import annotations

from itertools import product
from typing import Literal, TypeAlias

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError

from .lattice import Lattice

__all__ = ["FOLDS", "Table", "best_superlattice", "classes", "offsets", "separation"]

Table: TypeAlias = Literal["spread", "paper_literal", "published_4fold", "published_8fold", "stage_4fold"]

# offsets × N, in (a, b): translates as far apart from one another as any superlattice of index N allows, each the
# shortest of its class; N = 3, 4, 7 (hexagonal) and 2, 4, 5, 8 (square) are lattices of the same shape again
_HEXAGONAL: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((2 / 3, 2 / 3),),
    3: ((1, 1), (-1, -1)),
    4: ((2, 0), (0, 2), (-2, 2)),
    5: ((-2, 1), (2, -1), (1, 2), (-1, 3)),
    6: ((2, 0), (-2, 0), (-2, 3), (2, -3), (0, 3)),
    7: ((1, 2), (-2, 3), (-3, 1), (-1, -2), (2, -3), (3, -1)),
    8: ((2, 1), (-2, 3), (-2, -1), (2, -3), (-4, 2), (4, -2), (0, 4)),
}
_SQUARE: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((1, 1),),
    3: ((-1, 1), (1, -1)),
    4: ((2, 0), (0, 2), (2, 2)),
    5: ((1, 2), (-1, -2), (2, -1), (-2, 1)),
    6: ((2, -1), (-2, 1), (2, 2), (-2, -2), (0, 3)),
    7: ((2, -1), (-2, 1), (1, 3), (-1, -3), (3, 2), (-3, -2)),
    8: ((4, 0), (0, 4), (4, 4), (2, 2), (6, 2), (2, 6), (6, 6)),
}

# what others use, as (r / R, degrees from a towards b); several entries are congruent, see `classes`
_POLAR: dict[str, tuple[tuple[float, float], ...]] = {
    # the list printed in the HisToSGE paper for N = 8
    "paper_literal": ((0.5, 0), (8**-0.5, 45), (8**-0.5, 225), (0.5, 180), (0.5, 90)),
    # what its released code shifts by, in use and in remarks
    "published_4fold": ((0.5, 0), (0.5, 60), (0.5, 120)),
    "published_8fold": (
        (0.5, 0),
        (0.5, 60),
        (0.5, 120),
        (0.5, -60),
        (0.5, -120),
        (0.5, 180),
        (0.75**0.5, 90),
    ),
    # what STAGE intends on Visium
    "stage_4fold": ((3**-0.5, 90), (3**-0.5, 30), (3**-0.5, -30)),
}
FOLDS = range(1, 9)
# of a lattice vector: real lattices are some per mille off the ideal one, for which the polar lists are meant
_SAME = 0.02


def offsets(lattice: Lattice, n_fold: int, table: str = "spread") -> Float[np.ndarray, "m 2"]:
    """Return the offsets of a refinement, zero first, as fractions of the lattice's vectors a and b.

    Parameters
    ----------
    lattice
        The lattice to refine.
    n_fold
        Places per site, 1 to 8. Tables other than ``sd`` have their own number and are taken whole.
    table
        ``"sd"``: as far apart as can be. ``"paper_literal"`` and the others: what was published, congruent
        entries removed, so that the number of places may be smaller than their name says.

    Raises
    ------
    UsageError
        For another number or name.
    """
    if n_fold not in FOLDS:
        raise UsageError(
            f"Expected a refinement of 1 to 8 places a spot, got {n_fold}. For more, use --spacing-um."
        )
    if table == "spread":
        known = {"hexagonal": _HEXAGONAL, "square": _SQUARE}.get(lattice.kind)
        rest = best_superlattice(lattice.basis_um, n_fold) if known is None else _listed(known, n_fold)
    elif table in _POLAR:
        rest = _fractions(_POLAR[table], lattice.basis_um)
    else:
        raise UsageError(f"Expected a table among spread, {', '.join(_POLAR)}; got '{table}'.")
    return classes(np.vstack([np.zeros((1, 2)), rest]))


def classes(fractions: Float[np.ndarray, "m 2"]) -> Float[np.ndarray, "c 2"]:
    """Return the offsets without those that differ from an earlier one by a lattice vector."""
    kept: list[Array] = []
    for offset in fractions:
        steps = [offset - other for other in kept]
        if not any(np.abs(step - np.rint(step)).max() < _SAME for step in steps):
            kept.append(offset)
    return np.array(kept)


def separation(fractions: Float[np.ndarray, "m 2"], basis_um: Float[np.ndarray, "2 2"]) -> float:
    """Return the smallest distance between any two places of the refined lattice, in µm."""
    cells = np.array(list(product((-1, 0, 1), repeat=2)))
    between = (fractions[:, None, None] - fractions[None, :, None] + cells).reshape(-1, 2) @ basis_um
    lengths = np.linalg.norm(between, axis=1)
    return float(lengths[lengths > 1e-6].min())


def best_superlattice(basis_um: Float[np.ndarray, "2 2"], n_fold: int) -> Float[np.ndarray, "m 2"]:
    """Return the non-zero offsets of the superlattice of index N whose places are furthest apart.

    Every superlattice of index N has one basis of the form (1/p, q/N), (0, 1/r) with p · r = N and 0 ≤ q < p; all
    are tried.
    """
    best, largest = np.empty((0, 2)), 0.0
    for p in (divisor for divisor in range(1, n_fold + 1) if n_fold % divisor == 0):
        for q in range(p):
            step = np.array([[1 / p, q / n_fold], [0, p / n_fold]])
            points = [np.array(ij) @ step for ij in product(range(p), range(n_fold // p))]
            found = np.array([point - np.rint(point) for point in points])
            apart = separation(found, basis_um)
            if apart > largest + 1e-9:
                best, largest = found[1:], apart
    return best


def _listed(table: dict[int, tuple[tuple[float, float], ...]], n_fold: int) -> Float[np.ndarray, "m 2"]:
    return np.array(table.get(n_fold, ()), dtype=np.float64).reshape(-1, 2) / n_fold


def _fractions(polar: tuple[tuple[float, float], ...], basis_um: Array) -> Array:
    """Turn (r / R, degrees) into fractions of a and b; R is the length of a, 0° its direction, b on the + side."""
    along = basis_um[0] / np.linalg.norm(basis_um[0])
    across = np.array([-along[1], along[0]])
    across = across if across @ basis_um[1] > 0 else -across
    radius, angle = np.array(polar).T[0] * np.linalg.norm(basis_um[0]), np.radians(np.array(polar).T[1])
    xy_um = (radius * np.cos(angle))[:, None] * along + (radius * np.sin(angle))[:, None] * across
    return np.asarray(xy_um @ np.linalg.inv(basis_um))
