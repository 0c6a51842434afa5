"""How many domains: as many as halves of the genes agree on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array

__all__ = ["Criterion", "Half", "criterion_of"]


@dataclass(frozen=True, slots=True)
class Half:
    """Labels by two disjoint halves of the genes."""

    first: Array
    second: Array


@dataclass(frozen=True, slots=True)
class Criterion:
    """What halves of the genes agree on, by the number of domains.

    Parameters
    ----------
    numbers
        Numbers of domains that were tried, from 1.
    balance
        Mean over pairs of halves, in bits: mutual information of their domains above chance, less what each says that
        the other does not. 0 for one domain.
    standard_error
        Of the mean.
    rand
        Mean adjusted Rand index of the halves.
    chosen
        The smallest number whose balance is within one standard error of the largest.
    shape
        Of the domains; see :class:`histosge.domains.spatial_mixture.SpatialMixture`.
    """

    numbers: tuple[int, ...]
    balance: tuple[float, ...]
    standard_error: tuple[float, ...]
    rand: tuple[float, ...]
    chosen: int
    shape: str = ""


def criterion_of(pairs: Mapping[int, Sequence[Half]], shape: str = "") -> Criterion:
    """Return the criterion of pairs of halves by number of domains.

    Each half sees the tissue through other genes, with measurement errors of its own. Information that both halves give
    of where a location belongs is about the tissue; information that one gives alone may be error. Further domains are
    worth their number while they add more of the first than of the second. Stability alone (Lange et al. 2004) is
    largest for two domains, and shared information alone never falls. Of numbers that the standard error does not tell
    from the best the smallest is taken (Breiman et al. 1984, § 3.4.3); one domain where no division has a balance
    above 0.

    Parameters
    ----------
    pairs
        By number of domains, 2 or more.
    shape
        Kept with the result.
    """
    from sklearn.metrics import adjusted_rand_score

    numbers, mean, error, rand = [1], [0.0], [0.0], [1.0]
    for number, halves in sorted(pairs.items()):
        balance = np.array([_balance(half.first, half.second) for half in halves])
        numbers.append(number)
        mean.append(float(balance.mean()))
        error.append(float(balance.std(ddof=1) / len(balance) ** 0.5) if len(balance) > 1 else 0.0)
        rand.append(float(np.mean([adjusted_rand_score(half.first, half.second) for half in halves])))
    best = int(np.argmax(mean))
    enough = mean[best] - error[best]
    chosen = numbers[next(i for i in range(len(numbers)) if mean[i] >= enough)] if enough > 0 else 1
    return Criterion(tuple(numbers), tuple(mean), tuple(error), tuple(rand), chosen, shape)


def _balance(first: Array, second: Array) -> float:
    """Return the information that two divisions share (above chance: Vinh et al. 2010), less what they do not, in bits.

    Examples
    --------
    >>> import numpy as np
    >>> round(_balance(np.repeat([0, 1], 500), np.repeat([1, 0], 500)), 2)
    1.0
    """
    from sklearn.metrics import mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

    table = contingency_matrix(first, second, sparse=True).astype(np.int64)
    shared = mutual_info_score(None, None, contingency=table)
    chance = float(expected_mutual_information(table, len(first)))
    # variation of information (Meilă 2007): H(A | B) + H(B | A), with H(A | B) = H(A) − I(A; B)
    unshared = _entropy(first) + _entropy(second) - 2 * shared
    return float((shared - chance - unshared) / np.log(2))


def _entropy(labels: Array) -> float:
    share = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(-(share * np.log(share)).sum())
