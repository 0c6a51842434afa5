"""Which spots are retained and which are removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int, frozen
from histosge.errors import UsageError

from .section import Section

__all__ = ["Split", "blocks", "parse", "published", "random", "sublattice"]

# how many numbers each word takes at most
_NUMBERS = {"random": 1, "published": 0, "blocks": 2, "sublattice": 1}

# the seed of HisToSGE's and STAGE's released code
_PUBLISHED_SEED = 1234


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows to fit and rows to score; rows in neither are a guard band.

    Parameters
    ----------
    name
        Says how it was made.
    training, test
        Disjoint rows, ascending.

    Raises
    ------
    UsageError
        When they overlap or one is empty.
    """

    name: str
    training: Int[np.ndarray, " r"]
    test: Int[np.ndarray, " t"]

    def __post_init__(self) -> None:
        if not len(self.training) or not len(self.test):
            raise UsageError(
                f"Split '{self.name}' leaves no spot to fit or none to score. Choose another one."
            )
        if len(np.intersect1d(self.training, self.test)):
            raise UsageError(f"Split '{self.name}' both retains and removes some spots; they must differ.")
        object.__setattr__(self, "training", frozen(np.sort(self.training)))
        object.__setattr__(self, "test", frozen(np.sort(self.test)))


def random(n: int, *, fraction: float = 0.5, seed: int = 0) -> Split:
    """Retain a random share of ``n`` spots: every removed one has retained neighbours."""
    if not 0 < fraction < 1:
        raise UsageError(f"`fraction` must be between 0 and 1, got {fraction}. The paper has 0.5.")
    order = np.random.default_rng(seed).permutation(n)
    kept = round(fraction * n)
    return Split(f"random({fraction:g}, seed={seed})", order[:kept], order[kept:])


def published(n: int) -> Split:
    """Retain the half that the released code of HisToSGE retains (legacy NumPy generator, seed 1234)."""
    kept = np.random.RandomState(_PUBLISHED_SEED).choice(n, round(0.5 * n), replace=False)
    return Split("published", kept, np.setdiff1d(np.arange(n), kept))


def blocks(
    xy_um: Float[np.ndarray, "n 2"],
    *,
    width_um: float,
    guard_um: float = 0.0,
    fraction: float = 0.25,
    seed: int = 0,
) -> Split:
    """Remove whole square blocks: extrapolation inside a section.

    Parameters
    ----------
    xy_um
        Spots.
    width_um
        Of a block; several pitches.
    guard_um
        Spots this near to a removed one are neither retained nor scored.
    fraction
        Share of the blocks to remove.
    seed
        Chooses them, and where the blocks start.
    """
    from scipy.spatial import cKDTree

    if not (width_um > 0 and guard_um >= 0 and 0 < fraction < 1):
        raise UsageError("Expected a positive width, a guard of 0 or more and a fraction between 0 and 1.")
    rng = np.random.default_rng(seed)
    cell = np.floor((xy_um - xy_um.min(0) + rng.uniform(0, width_um, 2)) / width_um).astype(int)
    _, block = np.unique(cell, axis=0, return_inverse=True)
    block = np.asarray(block).ravel()
    number = block.max() + 1
    out = np.isin(block, rng.permutation(number)[: max(1, round(fraction * number))])
    near = np.zeros(len(xy_um), dtype=bool)
    if guard_um and out.any() and not out.all():
        near = ~out & (cKDTree(xy_um[out]).query(xy_um)[0] <= guard_um)
    name = f"blocks({width_um:g} µm, guard {guard_um:g} µm, seed={seed})"
    return Split(name, np.flatnonzero(~out & ~near), np.flatnonzero(out))


def sublattice(lattice_ab: Float[np.ndarray, "n 2"], index: float) -> Split:
    """Retain every ``index``-th site of the lattice, evenly: super-resolution with a truth.

    Parameters
    ----------
    lattice_ab
        Integer positions of the spots in the lattice's own basis a, b.
    index
        3, 4 or 7: those of self-similar sublattices of the hexagonal lattice.
    """
    a, b = np.rint(lattice_ab).astype(int).T
    kept: dict[float, Array] = {
        3: (a - b) % 3 == 0,
        4: (a % 2 == 0) & (b % 2 == 0),
        7: (a + 5 * b) % 7 == 0,
    }
    if index not in kept:
        raise UsageError(f"Expected a sublattice of index 3, 4 or 7, got {index:g}.")
    return Split(f"sublattice({index:g})", np.flatnonzero(kept[index]), np.flatnonzero(~kept[index]))


def parse(word: str, section: Section, seed: int = 0) -> Split:
    """Return the split of a section that a user asks for in a word.

    Parameters
    ----------
    word
        ``random:0.5`` (share retained), ``published``, ``blocks:6`` or ``blocks:6:2`` (width and guard band in
        pitches; the guard is 1 unless said), ``sublattice:3``.
    section
        Whose spots.
    seed
        Of random choices.

    Raises
    ------
    UsageError
        For any other word, and for a sublattice of spots that have no lattice.
    """
    kind, *numbers = word.split(":")
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = [float("nan")]
    if len(values) > _NUMBERS.get(kind, -1) or any(value != value for value in values):
        raise UsageError(
            f"Expected a split: random:0.5, published, blocks:6, sublattice:3, sections or patients; got '{word}'."
        )
    if kind == "published":
        return published(len(section))
    if kind == "random":
        return random(len(section), fraction=values[0] if values else 0.5, seed=seed)
    if kind == "blocks":
        width, guard = (*values, 6.0, 1.0)[:2] if len(values) != 1 else (values[0], 1.0)
        pitch = section.pitch_um
        return blocks(section.spots.xy, width_um=width * pitch, guard_um=guard * pitch * 1.01, seed=seed)
    if section.lattice is None:
        raise UsageError(f"The spots of '{section.name}' lie on no lattice, which the split '{word}' needs.")
    sites = section.lattice_xy @ np.linalg.inv(section.lattice.basis)
    return sublattice(sites - np.rint(sites[0]), values[0] if values else 3)
