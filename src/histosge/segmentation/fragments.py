"""Fragments of nuclei, joined to nuclei: where one valley of stain and one waist do not divide two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int

__all__ = ["joined"]

# of stain at the border × width there × length of the border, each as a share of what one nucleus has inside
_LEAST_UNITY = 0.52
# µm²: smaller fragments are no nuclei of their own, and are joined more readily
_TINY_UM2, _LEAST_UNITY_TINY = 12.0, 0.3
# no nucleus is larger or longer: µm², µm
_LARGEST_UM2, _LONGEST_UM = 300.0, 28.0
# area over that of the ellipse with the same second moments: two disks that touch have 0.90, a ring far less
_LEAST_ELLIPTIC = 0.8
# a border of steps between pixels is longer than the line it follows by 4/π on average
_STEPS = np.pi / 4
# borders longer than 1.2 diameters of the smaller fragment say no more
_LONG_BORDER = 1.2
_ROUNDS = 6


@dataclass(slots=True, eq=False)
class _Fragments:
    """What is known of each fragment, by label: it is added up when fragments are joined."""

    moments: Float[np.ndarray, "6 n"]
    stain: Float[np.ndarray, " n"]
    width: Float[np.ndarray, " n"]


def joined(
    labels: Int[np.ndarray, "h w"],
    stain: Float[np.ndarray, "h w"],
    depth_um: Float[np.ndarray, "h w"],
    mpp: float,
) -> Int[np.ndarray, "h w"]:
    """Return labels in which the fragments of one nucleus have one label.

    Two neighbours are one nucleus where the stain on their border, over the larger of their peaks; the distance to the
    outline there, over the smaller of their largest; and the length of the border, over the diameter of the smaller,
    have a large product, and the union is not larger, longer or less elliptic than nuclei are. The best pairs are
    joined first, then all is worked out anew.

    Parameters
    ----------
    labels
        Fragments, from 1.
    stain
        Haematoxylin above the surroundings, smoothed over 1 µm.
    depth_um
        Distance to the outline of all that is stained.
    mpp
        µm per pixel.
    """
    number = int(labels.max())
    first, second, border = _borders(labels, stain, depth_um)
    root = np.arange(number + 1)
    if not len(first):
        return labels
    fragments = _described(labels, stain, depth_um, mpp)
    for _ in range(_ROUNDS):
        apart = root[first] != root[second]
        first, second, border = first[apart], second[apart], border[:, apart]
        pairs, values, steps = _pairs(root[first], root[second], border)
        if not len(pairs):
            break
        unity = _unity(fragments, pairs, values, border_um=steps * mpp * _STEPS)
        chosen = _disjoint(pairs[unity > 0], unity[unity > 0])
        if not len(chosen):
            break
        root = _joining(fragments, chosen)[root]
    return np.asarray(root[labels])


def _borders(labels: Array, stain: Array, depth_um: Array) -> tuple[Array, Array, Array]:
    """Return the two labels at each step of a border, and the smaller stain and depth of its two sides."""
    first, second, values = [], [], []
    for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        a, b = labels[here], labels[there]
        at = (a != b) & (a > 0) & (b > 0)
        first.append(a[at])
        second.append(b[at])
        values.append(np.stack([np.minimum(part[here], part[there])[at] for part in (stain, depth_um)]))
    return np.concatenate(first), np.concatenate(second), np.concatenate(values, axis=1)


def _described(labels: Array, stain: Array, depth_um: Array, mpp: float) -> _Fragments:
    """Return moments (µm: 1, x, y, xx, yy, xy), peak of the stain and largest depth of each label."""
    number = int(labels.max()) + 1
    row, column = np.nonzero(labels)
    at = labels[row, column]
    y, x = row * mpp, column * mpp
    parts = (np.full(len(x), 1.0), x, y, x * x, y * y, x * y)
    moments = np.stack([np.bincount(at, part, number) for part in parts]) * mpp**2
    peaks = np.zeros((2, number), dtype=np.float32)
    for peak, values in zip(peaks, (stain, depth_um), strict=True):
        np.maximum.at(peak, at, values[row, column])
    return _Fragments(moments, peaks[0], peaks[1])


def _pairs(first: Array, second: Array, border: Array) -> tuple[Array, Array, Array]:
    """Return the pairs of neighbours, the largest stain and depth on their border, and its steps."""
    both = np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)
    pairs, inverse, steps = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    values = np.zeros((2, len(pairs)), dtype=np.float32)
    for value, part in zip(values, border, strict=True):
        np.maximum.at(value, inverse.ravel(), part)
    return pairs, values, steps


def _unity(fragments: _Fragments, pairs: Array, values: Array, *, border_um: Array) -> Array:
    """Return how much each pair is one nucleus, 0 where it cannot be."""
    a, b = pairs.T
    moments = fragments.moments[:, a] + fragments.moments[:, b]
    area = moments[0]
    long_um, short_um = _axes(moments)
    smaller = np.minimum(fragments.moments[0, a], fragments.moments[0, b])
    border = np.minimum(border_um / np.sqrt(4 * smaller / np.pi), _LONG_BORDER) / _LONG_BORDER
    stain = values[0] / np.maximum(np.maximum(fragments.stain[a], fragments.stain[b]), 1e-6)
    width = values[1] / np.maximum(np.minimum(fragments.width[a], fragments.width[b]), 1e-6)
    unity = stain * width * border
    enough = unity > np.where(smaller < _TINY_UM2, _LEAST_UNITY_TINY, _LEAST_UNITY)
    elliptic = area > _LEAST_ELLIPTIC * np.pi / 4 * long_um * short_um
    return np.asarray(
        np.where(enough & elliptic & (area < _LARGEST_UM2) & (long_um < _LONGEST_UM), unity, 0.0)
    )


def _axes(moments: Array) -> tuple[Array, Array]:
    """Return length and width of the ellipses with these moments."""
    x, y = moments[1] / moments[0], moments[2] / moments[0]
    xx, yy, xy = (
        moments[3] / moments[0] - x * x,
        moments[4] / moments[0] - y * y,
        moments[5] / moments[0] - x * y,
    )
    half, turn = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return 4 * np.sqrt(half + turn), 4 * np.sqrt(np.maximum(half - turn, 0))


def _disjoint(pairs: Array, unity: Array) -> Array:
    """Return pairs, the best first, of which none shares a fragment with another."""
    taken: set[int] = set()
    kept = []
    # rounding makes ties independent of how sums were added up
    for index in np.lexsort((pairs[:, 1], pairs[:, 0], -unity.round(6))):
        a, b = pairs[index].tolist()
        if a not in taken and b not in taken:
            taken |= {a, b}
            kept.append((a, b))
    return np.array(kept, dtype=int).reshape(-1, 2)


def _joining(fragments: _Fragments, pairs: Array) -> Array:
    """Add the second of each pair to the first, and return the new label of each label."""
    a, b = pairs.T
    fragments.moments[:, a] += fragments.moments[:, b]
    fragments.stain[a] = np.maximum(fragments.stain[a], fragments.stain[b])
    fragments.width[a] = np.maximum(fragments.width[a], fragments.width[b])
    root = np.arange(len(fragments.stain))
    root[b] = a
    return root
