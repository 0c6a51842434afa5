"""The consensus of several divisions of the same locations, and how sure it is of each location."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int

from .labels import numbered_by_size
from .specks import LEAST_PATCH, without_specks

__all__ = ["Consensus", "consensus", "matched"]

_ROUNDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """Domains on which divisions agree.

    Parameters
    ----------
    labels
        Domain of each location, 0 the largest.
    probability
        Of each domain at each location, the mean over the divisions; domains without locations come last.
    """

    labels: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, "n k"]

    @property
    def confidence(self) -> Float[np.ndarray, " n"]:
        """Mean probability, over the divisions, that a location is in its domain: 1 where all are certain of it."""
        return np.asarray(self.probability[np.arange(len(self.labels)), self.labels])


def consensus(
    probabilities: Sequence[Float[np.ndarray, "n _"]],
    edges: Int[np.ndarray, "2 e"] | None = None,
    *,
    least: int = LEAST_PATCH,
) -> Consensus:
    """Return the consensus: probabilities are matched to their mean and averaged, until nothing changes.

    Soft voting (Dudoit & Fridlyand 2003, § 2.2, with probabilities in place of votes).

    Parameters
    ----------
    probabilities
        Of each division: rows that add up to 1; a division without probabilities has ones and zeros. Numbers of
        domains may differ.
    edges
        Of neighbouring locations, in both directions; specks are given the domains around them. ``None``: all stay.
    least
        Locations of the smallest patch to keep; see :func:`histosge.domains.specks.without_specks`.

    Examples
    --------
    >>> import numpy as np
    >>> result = consensus([np.identity(2)[[0, 0, 1]], np.identity(2)[[1, 1, 0]], np.identity(2)[[0, 1, 1]]])
    >>> result.labels.tolist(), result.confidence.round(2).tolist()
    ([0, 0, 1], [1.0, 0.67, 1.0])
    """
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
        labels = without_specks(labels, mean, edges, least=least)
    numbers = numbered_by_size(labels)
    # the column of each number, then those of domains that no location has
    used = labels[np.unique(numbers, return_index=True)[1]]
    return Consensus(numbers, mean[:, [*used, *np.setdiff1d(np.arange(width), used)]])


def matched(part: Float[np.ndarray, "n k"], reference: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " k"]:
    """Return the column of ``part`` for each column of ``reference``, so that most is shared (Hungarian algorithm)."""
    from scipy.optimize import linear_sum_assignment

    # the assignment minimises cost, so what is shared is negated
    return np.asarray(linear_sum_assignment(-(reference.T @ part))[1])


def _most_like_the_others(parts: Sequence[Array]) -> Array:
    """Return the division that shares most with all others, as they are matched to it."""
    shared = [sum(float((part[:, matched(part, own)] * own).sum()) for part in parts) for own in parts]
    return parts[int(np.argmax(shared))]
