"""How alike expression is at two places: by where they are, and by what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import runs
from histosge.section.inputs import separated

from .block_covariance import averaged
from .image_features import Look
from .inducing_points import evenly

__all__ = ["Covariance", "Sites"]

# weights of the image's kernels: likeness and slope of what is seen at the place, of what is around it, and likeness
# of the guess, which knows what matters and counts twice; beside them that of what the image gets wrong
_IMAGE_WEIGHTS = {"own": 1.0, "own_slope": 1.0, "around": 1.0, "around_slope": 1.0, "guess": 2.0}
_WINDOW_WEIGHT = 1.0
_SQUARE_SAMPLE = 512
# single precision tells places so far apart to 0.01 µm
_NEAR_UM = 1e5
# pairs of places, and of looks, compared at once: they stay in the processor's cache
_PAIRS, _PAIRS_OF_LOOKS = 1 << 15, 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """Places a covariance compares.

    Parameters
    ----------
    xy_um
        Positions.
    section_index
        Index of the section of each.
    diameter_um
        What a value is the average over; 0 is a point.
    look
        What is seen there; ``None`` where nothing is.
    """

    xy_um: Float[np.ndarray, "n 2"]
    section_index: Int[np.ndarray, " n"]
    diameter_um: float
    look: Look | None

    def __len__(self) -> int:
        return len(self.xy_um)

    def take(self, rows: Array) -> Sites:
        """Return those at ``rows``."""
        look = None if self.look is None else self.look.take(rows)
        return Sites(self.xy_um[rows], self.section_index[rows], self.diameter_um, look)

    @property
    def separated_xy_um(self) -> Float[np.ndarray, "n 2"]:
        """Positions with the sections laid side by side, for neighbour searches."""
        return separated(self.xy_um, self.section_index)


@dataclass(frozen=True, slots=True, eq=False)
class Covariance:
    """A sum of position kernels and image kernels, of variance about 1 at a point.

    Parameters
    ----------
    ranges_um
        Of the Matérn-3/2 kernels of position, which share their part evenly.
    share
        Part of the image, 0 … 1.
    squares
        Of each of own, around, guess: the median squared distance of fitted spots, and their mean square; what
        distances and products are measured by.
    short_range_um
        Range of a further Matérn-3/2 kernel of position, a part of the image's: what a look says wrongly it says
        wrongly all over a window, so that a measured spot corrects the places right beside it. ``None``: there is none.
    """

    ranges_um: tuple[float, ...]
    share: float
    squares: Mapping[str, tuple[float, float]]
    short_range_um: float | None = None

    @classmethod
    def of(
        cls, sites: Sites, ranges_um: tuple[float, ...], share: float, short_range_um: float | None = None
    ) -> Covariance:
        """Measure the spread of looks."""
        look = sites.look
        names = () if look is None else ("own", "around", "guess")
        squares = {name: _squares(getattr(look, name)) for name in names}
        return cls(ranges_um, share if names else 0.0, squares, short_range_um)

    @property
    def _unit(self) -> float:
        """Variance of an image kernel of weight 1."""
        return self.share / (sum(_IMAGE_WEIGHTS.values()) + (_WINDOW_WEIGHT if self.short_range_um else 0.0))

    @property
    def _distance_parts(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Ranges and weights of the kernels of position."""
        weights = ((1 - self.share) / len(self.ranges_um),) * len(self.ranges_um)
        if not self.short_range_um or not self.share:
            return self.ranges_um, weights
        return (*self.ranges_um, self.short_range_um), (*weights, _WINDOW_WEIGHT * self._unit)

    def __call__(
        self, left: Sites, right: Sites, kind: type[np.floating[Any]] = np.float64
    ) -> Float[np.ndarray, "n m"]:
        """Return the covariance of all pairs, in a precision."""
        found = self.position(left, right, kind)
        if self.share > 0:
            found += self.image(left, right)
        return found

    def position(
        self, left: Sites, right: Sites, kind: type[np.floating[Any]] = np.float64
    ) -> Float[np.ndarray, "n m"]:
        """Return the part that distance explains."""
        found = np.empty((len(left), len(right)), dtype=kind)
        lengths, weights = self._distance_parts
        sizes = (left.diameter_um, right.diameter_um)
        for part in runs(len(left), max(1, _PAIRS // max(len(right), 1))):
            distance = _distances(left.xy_um[part], right.xy_um, kind)
            found[part] = averaged(distance, lengths, sizes, weights)
            # positions of different sections have nothing to do with each other
            found[part][left.section_index[part, None] != right.section_index[None, :]] = 0.0
        return found

    def image(self, left: Sites, right: Sites) -> Float[np.ndarray, "n m"]:
        """Return the part that what is seen explains, in single precision: looks are rough numbers."""
        found = np.zeros((len(left), len(right)), dtype=np.float32)
        if self.share <= 0.0 or left.look is None or right.look is None:
            return found
        unit = self._unit
        for name, (median, mean) in self.squares.items():
            one, two = (getattr(look, name).astype(np.float32) for look in (left.look, right.look))
            likeness, slope = _IMAGE_WEIGHTS[name], _IMAGE_WEIGHTS.get(f"{name}_slope", 0.0)
            _add(found, one, two, (median, likeness * unit), slope * unit / mean)
        return found

    def variance(self, sites: Sites) -> Float[np.ndarray, " n"]:
        """Return the variance of each place before anything was measured."""
        sizes = (sites.diameter_um, sites.diameter_um)
        lengths, weights = self._distance_parts
        found = np.full(len(sites), float(averaged(np.zeros(1), lengths, sizes, weights)[0]))
        if self.share > 0 and sites.look is not None:
            unit = self._unit
            for name, (_, mean) in self.squares.items():
                found += unit * _IMAGE_WEIGHTS[name]
                values = getattr(sites.look, name)
                found += unit * _IMAGE_WEIGHTS.get(f"{name}_slope", 0.0) / mean * (values**2).sum(axis=1)
        return found


def _add(found: Array, left: Array, right: Array, likeness: tuple[float, float], slope: float) -> None:
    """Add the kernels of one part of the looks.

    Parameters
    ----------
    found
        What is added to.
    left, right
        The part, at the places of the rows and of the columns.
    likeness
        The squared distance of one unit, and the weight.
    slope
        The weight.
    """
    if not likeness[1] > 0:
        return
    scale, most = np.float32(2 / likeness[0]), np.float32(np.log(likeness[1]))
    left, weight = scale * left, np.float32(slope / scale)
    far, near = most - (left**2).sum(axis=1) / (2 * scale), 0.5 * scale * (right**2).sum(axis=1)
    for part in runs(len(left), max(1, _PAIRS_OF_LOOKS // max(len(right), 1))):
        product = left[part] @ right.T
        alike = product + far[part, None]
        alike -= near
        np.exp(np.minimum(alike, most, out=alike), out=alike)
        if slope:
            product *= weight
            alike += product
        found[part] += alike


def _distances(left: Array, right: Array, kind: type[np.floating[Any]]) -> Array:
    """Return distances of all pairs, in a precision."""
    # reckoned from one of them, near ones keep their digits in single precision; those of several sections do not
    exact = kind if np.ptp(left[:, 0]) < _NEAR_UM else np.float64
    one, two = ((xy - left[0]).astype(exact).T.copy() for xy in (left, right))
    found, other = (np.subtract.outer(one[axis], two[axis]) for axis in (0, 1))
    found *= found
    other *= other
    found += other
    return np.asarray(np.sqrt(found, out=found), dtype=kind)


def _squared(left: Array, right: Array) -> Array:
    """Return squared distances of all pairs."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :]
    return np.asarray(np.maximum(squares - 2 * (left @ right.T), 0.0))


def _squares(values: Array) -> tuple[float, float]:
    """Return the median squared distance, on a few hundred spots, and the mean square."""
    some = values[evenly(len(values), _SQUARE_SAMPLE)]
    median = float(np.median(_squared(some, some)))
    mean = float((values**2).sum(axis=1).mean())
    return (median if median > 0 else 1.0), (mean if mean > 0 else 1.0)
