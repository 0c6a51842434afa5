"""Sub-spot values that add up to what was measured: each spot's counts shared out among its places."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.section.expression import TARGET_SUM
from histosge.section.section import Section

from .factored import FactoredPrediction
from .prediction import Prediction

__all__ = ["Kind", "blocks", "conserve"]

Kind: TypeAlias = Literal["real", "rounded", "drawn"]
# of the places × genes worked on at a time
_BLOCK = 1 << 20


def conserve(
    prediction: Prediction | FactoredPrediction,
    section: Section,
    *,
    kind: str = "real",
    seed: int = 0,
    partial: bool = False,
) -> sparse.csr_matrix:
    """Share each spot's counts out among its places, in proportion to what is predicted there.

    A spot's places are those that name it as their parent, whatever made them: a refinement, a grid, cells. Their
    values are never negative, and add up to the spot's counts, gene by gene. Where nothing is predicted at any place
    of a spot, but something was measured, the places share alike.

    Parameters
    ----------
    prediction
        log1p(CP10k), which is turned back into rates.
    section
        What was measured.
    kind
        ``"real"``: fractions of counts; sums agree to the last digits of double precision. ``"rounded"``: whole counts
        by largest remainder; of equal remainders the earlier id's goes first. ``"drawn"``: whole counts at random
        (multinomial), each count going to one of the places by their rates: what a finer measurement might have shown.
    seed
        Of the draw. A gene's draw does not depend on which others there are, nor on the order of places.
    partial
        Leave out spots that no place belongs to; otherwise they are an error.

    Returns
    -------
    A CSR matrix, places × genes: float64, or int64 where counts are whole.

    Raises
    ------
    UsageError
        For an unknown kind.
    DataError
        For places whose parent is no spot, spots with counts but no place, genes that were not measured, predictions
        that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from histosge import Prediction, upsampled
    >>> from histosge.datasets import synthetic
    >>> section = synthetic(columns=8, rows=8, genes=12).section
    >>> places = upsampled(section, 4)
    >>> flat = Prediction(places, section.genes, np.ones((len(places), 12), dtype=np.float32))
    >>> shared = conserve(flat, section, kind="rounded")
    >>> int(shared.sum()) == int(section.counts.sum())
    True
    """
    parts = list(blocks(prediction, section, kind=kind, seed=seed, partial=partial))
    if not parts:
        return sparse.csr_matrix((len(prediction), 0))
    return sparse.csr_matrix(sparse.hstack(parts, format="csr"))


def blocks(
    prediction: Prediction | FactoredPrediction,
    section: Section,
    *,
    kind: str = "real",
    seed: int = 0,
    partial: bool = False,
) -> Iterator[sparse.csc_matrix]:
    """Yield what :func:`conserve` returns as pieces of some genes each, in their order and in bounded memory."""
    if kind not in get_args(Kind):
        raise UsageError(f"Expected counts real, rounded or drawn, got '{kind}'.")
    counts = sparse.csc_matrix(section.counts[:, section.columns(prediction.genes)])
    sharing = _Sharing.among(prediction, section)
    if not partial:
        sharing.require_a_place_for(section, counts)
    step = max(1, _BLOCK // max(len(prediction), 1))
    for start in range(0, len(prediction.genes), step):
        columns = np.arange(start, min(start + step, len(prediction.genes)))
        mean = _mean(prediction, columns)
        if not np.isfinite(mean).all():
            raise DataError("Expected finite predictions, got NaN or infinity. Predict again.")
        shares = sharing.shares(counts[:, columns], mean)
        if kind == "real":
            values = shares.total * shares.weight
        elif kind == "rounded":
            values = _largest_remainders(shares)
        else:
            values = _drawn(shares, prediction.genes[columns], seed)
        at = (shares.place, shares.gene)
        shape = (len(prediction), len(columns))
        block = sparse.csc_matrix((values, at), shape=shape)
        block.eliminate_zeros()
        block.sort_indices()
        yield block


@dataclass(frozen=True, slots=True, eq=False)
class _Shares:
    """One row for each place of each measured value, in runs of one value's places."""

    place: Array
    gene: Array
    # which measured value; its count; the part of it that is the place's own by its rate
    run: Array
    total: Array
    weight: Array
    # where each run starts
    first: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Sharing:
    """Which places each spot shares its counts among, both in the order of their ids."""

    # rows of places, spot after spot; where each spot's begin, and how many they are
    places: Array
    start: Array
    number: Array
    # position of each spot in the order of ids
    rank: Array

    @classmethod
    def among(cls, prediction: Prediction | FactoredPrediction, section: Section) -> _Sharing:
        parent = prediction.locations.parent
        if len(parent) and (parent.min() < 0 or parent.max() >= len(section)):
            raise DataError(
                f"Expected parents among the {len(section)} spots of '{section.name}', got row "
                f"{parent.max() if parent.max() >= len(section) else parent.min()}. Give the section that the places "
                "were made from."
            )
        rank = np.empty(len(section), dtype=np.intp)
        rank[np.argsort(section.spots.ids)] = np.arange(len(section))
        places = np.lexsort((prediction.locations.points.ids, rank[parent]))
        number = np.bincount(parent, minlength=len(section))
        in_order = np.argsort(rank)
        start = np.empty(len(section), dtype=np.intp)
        start[in_order] = np.cumsum(number[in_order]) - number[in_order]
        return cls(places, start, number, rank)

    def require_a_place_for(self, section: Section, counts: sparse.csc_matrix) -> None:
        """Refuse spots whose counts would go nowhere."""
        lost = (self.number == 0) & (np.asarray(counts.sum(axis=1)).ravel() > 0)
        if lost.any():
            raise DataError(
                f"Expected a place for each spot's counts, got none for {int(lost.sum())} of {len(section)} spots, "
                f"'{section.spots.ids[lost][0]}' among them. Predict at places around all spots, or leave these out "
                "(partial)."
            )

    def shares(self, counts: sparse.csc_matrix, mean: Array) -> _Shares:
        """Return the places of each measured value, and how they share it."""
        entry = sparse.coo_matrix(counts)
        kept = (self.number[entry.row] > 0) & (entry.data > 0)
        spot, gene, count = entry.row[kept], entry.col[kept], entry.data[kept]
        order = np.lexsort((self.rank[spot], gene))
        spot, gene, count = spot[order], gene[order].astype(np.intp), count[order].astype(np.float64)
        number = self.number[spot]
        run = np.repeat(np.arange(len(spot)), number)
        first = np.cumsum(number) - number
        place = self.places[np.repeat(self.start[spot] - first, number) + np.arange(len(run))]
        gene = gene[run]
        # more than all counts of a place no gene can have
        rate = np.expm1(np.clip(mean[place, gene].astype(np.float64), 0.0, np.log1p(TARGET_SUM)))
        sums = np.add.reduceat(rate, first) if len(first) else rate
        alike = 1.0 / number[run]
        weight = np.divide(rate, sums[run], out=alike, where=sums[run] > 0)
        return _Shares(place, gene, run, count[run], weight, first)


def _mean(prediction: Prediction | FactoredPrediction, columns: Array) -> Array:
    if isinstance(prediction, Prediction):
        return prediction.mean[:, columns]
    return prediction.means(columns)


def _largest_remainders(shares: _Shares) -> Array:
    """Return whole counts: each place's own, rounded down, and what is left over to the largest remainders."""
    exact = shares.total * shares.weight
    whole = np.floor(exact)
    if not len(shares.first):
        return np.asarray(whole, dtype=np.int64)
    left = shares.total[shares.first] - np.add.reduceat(whole, shares.first)
    # stable: of equal remainders the first in the order of ids
    order = np.lexsort((whole - exact, shares.run))
    position = np.empty(len(order), dtype=np.intp)
    position[order] = np.arange(len(order))
    return np.asarray(whole + (position - shares.first[shares.run] < left[shares.run]), dtype=np.int64)


def _drawn(shares: _Shares, genes: Array, seed: int) -> Array:
    """Return whole counts drawn: each count falls on a point of its run, where places are as long as their weight."""
    if not len(shares.first):
        return np.zeros(0, dtype=np.int64)
    counts = shares.total[shares.first].astype(np.int64)
    gene = shares.gene[shares.first]
    falls = np.bincount(gene, weights=counts, minlength=len(genes)).astype(np.int64)
    # a generator a gene: its draw is the same in whatever company
    names = [zlib.crc32(str(name).encode()) for name in genes]
    where = [
        np.random.default_rng([seed, name]).random(number) for name, number in zip(names, falls, strict=True)
    ]
    run = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(shares.weight)
    before = (ends[shares.first] - shares.weight[shares.first])[run]
    last = np.append(shares.first[1:], len(ends))[run] - 1
    length = ends[last] - before
    point = before + np.concatenate(where) * length
    # places of no weight have no length, and nothing falls on them; rounding must not change that at the end
    heavy = np.where(shares.weight > 0, np.arange(len(ends)), -1)
    last_heavy = np.maximum.reduceat(heavy, shares.first)[run]
    hit = np.clip(np.searchsorted(ends, point, side="right"), shares.first[run], last_heavy)
    return np.asarray(np.bincount(hit, minlength=len(ends)))
