"""Offsets that upsample a lattice of spots.

Offsets are fractions (f1, f2) of the primitive vectors a, b. Upsampling by a factor N is the union of the lattice and
its translates by N − 1 offsets; it has N sub-spots a spot exactly if no two offsets differ by a lattice vector.
"""

from __future__ import annotations

from itertools import product
from typing import Literal, TypeAlias, get_args

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError

from .lattice import Lattice

__all__ = [
    "FACTORS",
    "Table",
    "check_offsets",
    "distinct_offsets",
    "maximin_offsets",
    "offsets",
    "separation_um",
]

Table: TypeAlias = Literal["maximin", "paper_literal", "published_4fold", "published_8fold", "stage_4fold"]

# offsets × N, in (a, b): the maximin design (Johnson, Moore & Ylvisaker 1990) among superlattices of index N, that is
# sub-spots as far apart as possible. Each offset is the shortest of those equal up to a lattice vector; square N = 8
# has (6, 2), (2, 6), (6, 6) in place of (−2, 2), (2, −2), (−2, −2). N = 3, 4, 7 (hexagonal) and 2, 4, 5, 8 (square)
# give lattices of the same shape again
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

# published offsets, as (r / R, degrees from a towards b); several are equal up to a lattice vector: `distinct_offsets`
_POLAR: dict[str, tuple[tuple[float, float], ...]] = {
    # the list printed in the HisToSGE paper for N = 8
    "paper_literal": ((0.5, 0), (8**-0.5, 45), (8**-0.5, 225), (0.5, 180), (0.5, 90)),
    # the offsets of its released code, as used and as given in its comments
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
    # the offsets that STAGE intends on Visium
    "stage_4fold": ((3**-0.5, 90), (3**-0.5, 30), (3**-0.5, -30)),
}
FACTORS = range(1, 9)
# in fractions of a lattice vector: real lattices differ by some per mille from the ideal one of the polar lists
_TOLERANCE = 0.02


def offsets(lattice: Lattice, factor: int, table: str = "maximin") -> Float[np.ndarray, "m 2"]:
    """Return the offsets of an upsampled lattice, zero first, as fractions of its vectors a and b.

    Parameters
    ----------
    lattice
        The lattice of the spots.
    factor
        Upsampling factor, 1 to 8. Tables other than ``maximin`` have their own number and are taken whole.
    table
        ``"maximin"``: sub-spots as far apart as possible. ``"paper_literal"`` and the others: published lists without
        offsets that are equal up to a lattice vector, so that there may be fewer than their name says.

    Raises
    ------
    UsageError
        For another factor or table.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> lattice = synthetic(columns=8, rows=8, genes=12).section.lattice
    >>> offsets(lattice, 4).tolist()
    [[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [-0.5, 0.5]]
    """
    check_offsets(factor, table)
    if table == "maximin":
        known = {"hexagonal": _HEXAGONAL, "square": _SQUARE}.get(lattice.kind)
        rest = maximin_offsets(lattice.basis_um, factor) if known is None else _listed(known, factor)
    else:
        rest = _fractions(_POLAR[table], lattice.basis_um)
    return distinct_offsets(np.vstack([np.zeros((1, 2)), rest]))


def check_offsets(factor: int, table: str) -> None:
    """Refuse an upsampling factor or a table that :func:`offsets` does not have.

    Raises
    ------
    UsageError
        For a factor outside 1 to 8, or an unknown table.
    """
    if factor not in FACTORS:
        raise UsageError(
            f"Expected `upsample` from 1 to 8, got {factor}. For denser locations, use `spacing_um`."
        )
    if table not in get_args(Table):
        raise UsageError(f"Expected `table` among {', '.join(get_args(Table))}; got '{table}'.")


def distinct_offsets(fractions: Float[np.ndarray, "m 2"]) -> Float[np.ndarray, "c 2"]:
    """Return the offsets without those that differ from an earlier one by a lattice vector."""
    distinct: list[Array] = []
    for offset in fractions:
        differences = [offset - other for other in distinct]
        if not any(np.abs(step - np.rint(step)).max() < _TOLERANCE for step in differences):
            distinct.append(offset)
    return np.array(distinct)


def separation_um(fractions: Float[np.ndarray, "m 2"], basis_um: Float[np.ndarray, "2 2"]) -> float:
    """Return the smallest distance between any two locations of the upsampled lattice, in µm."""
    # the nearest translate of an offset lies in the same or in an adjacent cell
    cells = np.array(list(product((-1, 0, 1), repeat=2)))
    between = (fractions[:, None, None] - fractions[None, :, None] + cells).reshape(-1, 2) @ basis_um
    lengths = np.linalg.norm(between, axis=1)
    return float(lengths[lengths > 1e-6].min())


def maximin_offsets(basis_um: Float[np.ndarray, "2 2"], factor: int) -> Float[np.ndarray, "m 2"]:
    """Return the non-zero offsets of the superlattice of index N with the largest smallest distance.

    Every superlattice of index N has one basis of the form (1/p, q/N), (0, 1/r) with p · r = N and 0 ≤ q < p
    (Hermite normal form); all are tried.
    """
    best, largest = np.empty((0, 2)), 0.0
    for p in (divisor for divisor in range(1, factor + 1) if factor % divisor == 0):
        for q in range(p):
            step = np.array([[1 / p, q / factor], [0, p / factor]])
            points = [np.array(ij) @ step for ij in product(range(p), range(factor // p))]
            # the shortest of the offsets that are equal up to a lattice vector
            fractions = np.array([point - np.rint(point) for point in points])
            distance = separation_um(fractions, basis_um)
            # strictly larger: of equally good lattices the first is taken, on every platform
            if distance > largest + 1e-9:
                best, largest = fractions[1:], distance
    return best


def _listed(table: dict[int, tuple[tuple[float, float], ...]], factor: int) -> Float[np.ndarray, "m 2"]:
    return np.array(table.get(factor, ()), dtype=np.float64).reshape(-1, 2) / factor


def _fractions(polar: tuple[tuple[float, float], ...], basis_um: Array) -> Array:
    """Turn (r / R, degrees) into fractions of a and b; R is the length of a, 0° its direction, b on the + side."""
    along = basis_um[0] / np.linalg.norm(basis_um[0])
    across = np.array([-along[1], along[0]])
    # angles count towards b, also on a mirrored lattice
    across = across if across @ basis_um[1] > 0 else -across
    radius, angle = np.array(polar).T[0] * np.linalg.norm(basis_um[0]), np.radians(np.array(polar).T[1])
    xy_um = (radius * np.cos(angle))[:, None] * along + (radius * np.sin(angle))[:, None] * across
    return np.asarray(xy_um @ np.linalg.inv(basis_um))
