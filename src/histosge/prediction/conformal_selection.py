"""Conformal selection: which predictions lie above a threshold, with a bounded share of false ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Bool, Float

__all__ = ["Context", "conformal_p", "has_contrast"]

# calibration tiles of a stratum
_LEAST_IN_STRATUM = 25
# calibration tiles from which near and remote ones are distinguished
_MANY = 400
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
    stratum of the score as the tiles are (Tibshirani et al. 2019), and where there are many calibration tiles, remote
    tiles are compared with remote ones alone.

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
    cut = np.median(calibration.remoteness) if len(calibration) >= _MANY else np.inf
    p = np.ones(len(tiles))
    for remote in (False, True):
        own, others = ((part.remoteness > cut) == remote for part in (tiles, calibration))
        if own.any() and others.any():
            p[own] = _weighted_share(tiles.score[own], calibration.score[others], below[others])
    return p


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
