"""Conformal selection: which predictions lie above a threshold, with a bounded share of false ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Bool, Float

__all__ = ["Context", "conformal_p", "has_contrast"]

# calibration tiles of a stratum of the score, and of a class of remoteness, of which there are at most so many
_LEAST_IN_STRATUM, _LEAST_IN_CLASS, _MOST_CLASSES = 25, 50, 4
# by chance a score seems to tell tiles above from tiles below as often as this
_CHANCE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What calibration tiles and tiles of interest are compared by.

    Parameters
    ----------
    score
        How far the predicted mean lies above the threshold, in standard deviations of a measurement.
    remoteness
        Mean distance to the nearest fitted spots: large far from spots, and where spots are few.
    """

    score: Float[np.ndarray, " n"]
    remoteness: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.score)


def conformal_p(
    tiles: Context, calibration: Context, below: Bool[np.ndarray, " m"]
) -> Float[np.ndarray, " n"]:
    """Return a p-value of each tile's measurement not being above the threshold.

    It is the weighted share of calibration tiles that were measured below the threshold and yet score as high
    (conformal selection; Jin & Candès 2023). Were the tiles like the calibration tiles, the share of false ones among
    those that Benjamini and Hochberg's procedure selects from these p-values would be as asked for. They differ in
    context: near spots predictions spread more. Weights therefore make the calibration tiles as frequent in each
    stratum of the score as the tiles are (Tibshirani et al. 2019), and tiles are compared with calibration tiles that
    are about as remote alone: in up to four classes, of 50 calibration tiles or more.

    Parameters
    ----------
    tiles
        Tiles of interest.
    calibration
        Tiles that were predicted without their spots.
    below
        Which of these were not measured above the threshold.

    Examples
    --------
    >>> calibration = Context(np.array([0.0, 1.0, 2.0, 3.0]), np.ones(4))
    >>> tiles = Context(np.array([0.5, 2.5]), np.ones(2))
    >>> conformal_p(tiles, calibration, np.array([True, True, False, False])).tolist()
    [0.4, 0.2]
    """
    number = min(max(1, len(calibration) // _LEAST_IN_CLASS), _MOST_CLASSES)
    cuts = np.quantile(calibration.remoteness, np.arange(1, number) / number)
    classes, others = (np.searchsorted(cuts, part.remoteness) for part in (tiles, calibration))
    p = np.ones(len(tiles))
    for remote in range(number):
        own, held = classes == remote, others == remote
        if own.any() and held.any():
            p[own] = _weighted_share(tiles.score[own], calibration.score[held], below[held])
    # what is more remote than all calibration tiles was not tried
    return np.where(tiles.remoteness > calibration.remoteness.max(), 1.0, p)


def has_contrast(score: Float[np.ndarray, " m"], below: Bool[np.ndarray, " m"]) -> bool:
    """Return whether calibration tiles above the threshold score higher than those below, beyond chance.

    One-sided test of Mann & Whitney (1947) at 5 %. Where all tiles are on one side there is no contrast.
    """
    from scipy.stats import mannwhitneyu

    if below.all() or not below.any():
        return False
    return bool(mannwhitneyu(score[~below], score[below], alternative="greater").pvalue <= _CHANCE)


def _weighted_share(
    scores: Float[np.ndarray, " n"], held: Float[np.ndarray, " m"], below: Bool[np.ndarray, " m"]
) -> Float[np.ndarray, " n"]:
    """Return the p-values of tiles of one class of remoteness, from their calibration tiles."""
    number = max(1, len(held) // _LEAST_IN_STRATUM)
    cuts = np.unique(np.quantile(held, np.arange(1, number) / number)) if number > 1 else np.empty(0)
    own, others = np.searchsorted(cuts, scores), np.searchsorted(cuts, held)
    asked, there = (np.bincount(part, minlength=len(cuts) + 1) for part in (own, others))
    # a stratum between equal scores may hold no calibration tile, and says nothing
    weight = np.full(len(cuts) + 1, np.inf)
    np.divide(asked / len(scores), there / len(held), out=weight, where=there > 0)
    order = np.argsort(held, kind="stable")
    false = np.where(below, weight[others], 0.0)[order]
    # falsely high ones from each score upwards, and 0 beyond the highest
    beyond = np.append(np.cumsum(false[::-1])[::-1], 0.0)
    first = np.searchsorted(held[order], scores, side="left")
    extra = weight[own]
    known = np.isfinite(extra)
    p = np.ones(len(scores))
    p[known] = (beyond[first[known]] + extra[known]) / (len(held) + extra[known])
    # with weights a share may exceed 1
    return np.minimum(p, 1.0)
