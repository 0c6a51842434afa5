"""Splits of a section's spots into training and test spots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.summary import as_text
from histosge._runtime.types import Array, Float, Int, frozen
from histosge.errors import UsageError

from .section import Section

__all__ = ["Split", "blocks", "kind_of", "parse", "published", "random", "sublattice"]

# numbers that a kind of split takes, and what they are where a user gives none
_DEFAULTS: dict[str, tuple[float, ...]] = {
    "random": (0.5,),
    "published": (),
    "blocks": (6.0, 1.0),
    "sublattice": (3.0,),
}

# the seed of HisToSGE's and STAGE's released code
_PUBLISHED_SEED = 1234


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Training and test spots; spots in neither are a guard band.

    Parameters
    ----------
    name
        How it was made, with its parameters.
    training, test
        Disjoint rows of spots, ascending.

    Raises
    ------
    UsageError
        When they overlap or one is empty.

    Examples
    --------
    >>> split = random(10, fraction=0.5, seed=0)
    >>> split.name, len(split.training), len(split.test)
    ('random(0.5, seed=0)', 5, 5)
    """

    name: str
    training: Int[np.ndarray, " r"]
    test: Int[np.ndarray, " t"]

    def __post_init__(self) -> None:
        if not len(self.training) or not len(self.test):
            raise UsageError(f"Split '{self.name}' has no training spot or no test spot. Choose another one.")
        if len(np.intersect1d(self.training, self.test)):
            raise UsageError(
                f"Split '{self.name}' has spots that are both training and test spots; they must differ."
            )
        object.__setattr__(self, "training", frozen(np.sort(self.training)))
        object.__setattr__(self, "test", frozen(np.sort(self.test)))

    def __repr__(self) -> str:
        sizes = {"training": f"{len(self.training)} training spots", "test": f"{len(self.test)} test spots"}
        return as_text("Split", {"name": self.name, **sizes})


def random(n: int, *, fraction: float = 0.5, seed: int = 0) -> Split:
    """Return a split with a random share of ``n`` spots for training: test spots have training neighbours.

    Parameters
    ----------
    n
        Number of spots.
    fraction
        Share of training spots; the paper has 0.5.
    seed
        Of the random choice.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"`fraction` must be between 0 and 1, got {fraction}. The paper has 0.5.")
    order = np.random.default_rng(seed).permutation(n)
    training = round(fraction * n)
    return Split(f"random({fraction:g}, seed={seed})", order[:training], order[training:])


def published(n: int) -> Split:
    """Return the split of the released code of HisToSGE: half of the spots (legacy NumPy generator, seed 1234)."""
    training = np.random.RandomState(_PUBLISHED_SEED).choice(n, round(0.5 * n), replace=False)
    return Split("published", training, np.setdiff1d(np.arange(n), training))


def blocks(
    xy_um: Float[np.ndarray, "n 2"],
    *,
    width_um: float,
    guard_um: float = 0.0,
    fraction: float = 0.25,
    seed: int = 0,
) -> Split:
    """Return a split whose test spots are whole square blocks: extrapolation inside a section.

    Parameters
    ----------
    xy_um
        Positions of the spots.
    width_um
        Width of a block; several pitches.
    guard_um
        Width of the guard band: spots this near to a test spot are neither training nor test spots.
    fraction
        Share of the blocks that are test blocks.
    seed
        Of the choice of blocks and of where they start.
    """
    from scipy.spatial import cKDTree

    if not (width_um > 0 and guard_um >= 0 and 0 < fraction < 1):
        raise UsageError("Expected a positive width, a guard of 0 or more and a fraction between 0 and 1.")
    rng = np.random.default_rng(seed)
    # a random origin: borders of blocks must not follow the lattice
    square = np.floor((xy_um - xy_um.min(0) + rng.uniform(0, width_um, 2)) / width_um).astype(int)
    _, block = np.unique(square, axis=0, return_inverse=True)
    block = np.asarray(block).ravel()
    number = block.max() + 1
    test = np.isin(block, rng.permutation(number)[: max(1, round(fraction * number))])
    guard = np.zeros(len(xy_um), dtype=bool)
    if guard_um and test.any() and not test.all():
        guard = ~test & (cKDTree(xy_um[test]).query(xy_um)[0] <= guard_um)
    name = f"blocks({width_um:g} µm, guard {guard_um:g} µm, seed={seed})"
    return Split(name, np.flatnonzero(~test & ~guard), np.flatnonzero(test))


def sublattice(lattice_ab: Float[np.ndarray, "n 2"], index: float) -> Split:
    """Return a split whose training spots are an even sublattice: upsampling with known truth.

    Parameters
    ----------
    lattice_ab
        Integer positions of the spots in the lattice's own basis a, b.
    index
        3, 4 or 7: one of so many spots is a training spot. These are self-similar sublattices of the hexagonal lattice.
    """
    a, b = np.rint(lattice_ab).astype(int).T
    training: dict[float, Array] = {
        3: (a - b) % 3 == 0,
        4: (a % 2 == 0) & (b % 2 == 0),
        7: (a + 5 * b) % 7 == 0,
    }
    if index not in training:
        raise UsageError(f"Expected a sublattice of index 3, 4 or 7, got {index:g}.")
    return Split(f"sublattice({index:g})", np.flatnonzero(training[index]), np.flatnonzero(~training[index]))


def _by_name(split: Split, section: Section) -> Split:
    """Return a split that was drawn for spots in the order of their names, as rows of a section."""
    row = np.argsort(section.spots.ids, kind="stable")
    return Split(split.name, row[split.training], row[split.test])


def kind_of(word: str) -> tuple[str, tuple[float, ...]]:
    """Return the kind of split that a user names, and its numbers: equal for words that mean the same split.

    Raises
    ------
    UsageError
        For a word that names no split within a section.

    Examples
    --------
    >>> kind_of("random:0.50"), kind_of("random")
    (('random', (0.5,)), ('random', (0.5,)))
    """
    kind, *numbers = word.split(":")
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = [float("nan")]
    defaults = _DEFAULTS.get(kind)
    if defaults is None or len(values) > len(defaults) or any(value != value for value in values):
        raise UsageError(
            f"Expected `split` random:0.5, published, blocks:6, sublattice:3, sections or patients; got '{word}'."
        )
    return kind, (*values, *defaults[len(values) :])


def parse(word: str, section: Section, seed: int = 0) -> Split:
    """Return the split of a section that a user names.

    Parameters
    ----------
    word
        ``random:0.5`` (share of training spots), ``published``, ``blocks:6`` or ``blocks:6:2`` (width and guard band in
        pitches; the guard band is 1 pitch by default), ``sublattice:3``.
    section
        The section to split.
    seed
        Of random choices. Spots are drawn in the order of their names: another order of the rows gives the same split.

    Raises
    ------
    UsageError
        For any other word, and for a sublattice of spots that have no lattice.
    """
    kind, values = kind_of(word)
    if kind == "published":
        return _by_name(published(len(section)), section)
    if kind == "random":
        return _by_name(random(len(section), fraction=values[0], seed=seed), section)
    if kind == "blocks":
        width, guard = values
        pitch = section.pitch_um
        return blocks(section.spots.xy, width_um=width * pitch, guard_um=guard * pitch * 1.01, seed=seed)
    if section.lattice is None:
        raise UsageError(f"The spots of '{section.name}' lie on no lattice, which the split '{word}' needs.")
    lattice_ab = section.lattice_xy @ np.linalg.inv(section.lattice.basis)
    return sublattice(lattice_ab - np.rint(lattice_ab[0]), values[0])
