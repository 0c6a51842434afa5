"""The consensus of several divisions of the same locations, and how sure it is of each location."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int

__all__ = ["Consensus", "consensus", "matched"]

_ROUNDS = 5
# of a neighbour, which are a few: less than one division in a thousand counts
_LESS_THAN_ANY_VOTE = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """Domains on which divisions agree.

    Parameters
    ----------
    labels
        Domain of each location, 0 the largest.
    confidence
        Mean probability, over the divisions, that a location is in its domain: 1 where all are certain of it.
    """

    labels: Int[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"]


def consensus(
    probabilities: Sequence[Float[np.ndarray, "n _"]], edges: Int[np.ndarray, "2 e"] | None = None
) -> Consensus:
    """Return the consensus: probabilities are matched to their mean and averaged, until nothing changes.

    Soft voting (Dudoit & Fridlyand 2003, § 2.2, with probabilities in place of votes).

    Parameters
    ----------
    probabilities
        Of each division: rows that add up to 1; a division without probabilities has ones and zeros. Numbers of
        domains may differ.
    edges
        Of neighbouring locations, in both directions. A location whose domain none of its neighbours has is given
        the most probable of theirs: a single location is no domain. ``None``: all stay.

    Examples
    --------
    >>> import numpy as np
    >>> result = consensus([np.identity(2)[[0, 0, 1]], np.identity(2)[[1, 1, 0]], np.identity(2)[[0, 1, 1]]])
    >>> result.labels.tolist(), result.confidence.round(2).tolist()
    ([0, 0, 1], [1.0, 0.67, 1.0])
    """
    from .labels import numbered_by_size

    width = max(part.shape[1] for part in probabilities)
    parts = [np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in probabilities]
    mean = _most_like_the_others(parts)
    for _ in range(_ROUNDS):
        parts = [part[:, matched(part, mean)] for part in parts]
        before, mean = mean, np.mean(parts, axis=0)
        if np.array_equal(before.argmax(axis=1), mean.argmax(axis=1)):
            break
    labels = mean.argmax(axis=1)
    if edges is not None:
        labels = _joined_to_neighbours(labels, mean, edges)
    return Consensus(numbered_by_size(labels), mean[np.arange(len(mean)), labels])


def matched(part: Float[np.ndarray, "n k"], reference: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " k"]:
    """Return the column of ``part`` for each column of ``reference``, so that most is shared (Hungarian algorithm)."""
    from scipy.optimize import linear_sum_assignment

    # the assignment minimises cost, so what is shared is negated
    return np.asarray(linear_sum_assignment(-(reference.T @ part))[1])


def _joined_to_neighbours(labels: Array, probability: Array, edges: Array) -> Array:
    """Return labels in which every location has that of a neighbour, where it has neighbours."""
    n, width = probability.shape
    source, target = edges[:, edges[0] != edges[1]]
    numbers = np.zeros((n, width))
    np.add.at(numbers, (target, labels[source]), 1.0)
    alone = (numbers[np.arange(n), labels] == 0) & (numbers.sum(axis=1) > 0)
    # of domains that are as probable, often all impossible, the one that most neighbours have
    order = np.where(numbers > 0, probability + _LESS_THAN_ANY_VOTE * numbers, -np.inf)
    return np.asarray(np.where(alone, order.argmax(axis=1), labels))


def _most_like_the_others(parts: Sequence[Array]) -> Array:
    """Return the division that shares most with all others, as they are matched to it."""
    shared = [sum(float((part[:, matched(part, own)] * own).sum()) for part in parts) for own in parts]
    return parts[int(np.argmax(shared))]
