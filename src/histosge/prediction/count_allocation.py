"""Allocate the counts of each spot to the locations inside it: sub-spot counts that add up to the measurement."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy import sparse

from histosge._runtime.seeds import refuse_seed
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.section.expression import TARGET_SUM
from histosge.section.section import Section

from .factored import FactoredPrediction
from .mean_depth import refuse_depth_adjusted
from .prediction import Prediction

__all__ = ["Kind", "blocks", "conserve"]

Kind: TypeAlias = Literal["real", "rounded", "drawn"]
# locations × genes computed at a time
_BLOCK = 1 << 20
# standard deviations of log expression are taken as no larger: a factor of 7 to either side
_WIDEST_SD = 2.0


def conserve(
    prediction: Prediction | FactoredPrediction,
    section: Section,
    *,
    kind: str = "real",
    seed: int = 0,
    partial: bool = False,
) -> sparse.csr_matrix:
    """Allocate each spot's counts to its locations, in proportion to the expected expression there.

    The locations of a spot are those that name it as their parent: an upsampled lattice, a grid, cells. Their values
    are never negative and add up to the spot's counts, gene by gene. Where a gene was measured at a spot and is
    predicted at none of its locations, they receive equal parts.

    Expected counts are those of the posterior, whose mean is above the count at the mean of the logarithm, and more so
    where less is known. A prediction kept as factors has the standard deviation of the expression; the one of a
    :class:`~histosge.prediction.prediction.Prediction` is often that of a measurement, and is left aside. The
    locations of a spot are taken to have the same depth, which is not predicted.

    Parameters
    ----------
    prediction
        Expression in log1p(CP10k), which is converted to rates.
    section
        The measured section.
    kind
        ``"real"``: fractions of counts; sums agree to the last digits of double precision. ``"rounded"``: whole counts
        by largest remainder; of equal remainders the one with the earlier id is first. ``"drawn"``: random whole counts
        (multinomial): every count is assigned to one location with probability in proportion to the rates, as a finer
        measurement might have counted it.
    seed
        Of the draw. The draw of a gene depends neither on the other genes nor on the order of the locations.
    partial
        Leave out spots without locations; otherwise they are an error.

    Returns
    -------
    A CSR matrix, locations × genes: float64, or int64 for whole counts.

    Raises
    ------
    UsageError
        For an unknown kind, a seed out of range, and a prediction with ``depth_adjusted``.
    DataError
        For locations whose parent is no spot, spots with counts but without locations, genes that were not measured,
        predictions that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from histosge import Prediction, upsampled
    >>> from histosge.datasets import synthetic
    >>> section = synthetic(columns=8, rows=8, genes=12).section
    >>> locations = upsampled(section, 4)
    >>> flat = Prediction(locations, section.genes, np.ones((len(locations), 12), dtype=np.float32))
    >>> counts = conserve(flat, section, kind="rounded")
    >>> int(counts.sum()) == int(section.counts.sum())
    True
    """
    refuse_seed(seed)
    refuse_depth_adjusted(prediction.provenance, "Conserving counts")
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
    """Yield the result of :func:`conserve` as blocks of some genes each, in their order and in bounded memory."""
    if kind not in get_args(Kind):
        raise UsageError(f"Expected counts real, rounded or drawn, got '{kind}'.")
    refuse_depth_adjusted(prediction.provenance, "Conserving counts")
    counts = sparse.csc_matrix(section.counts[:, section.columns(prediction.genes)])
    partition = _Partition.of(prediction, section)
    if not partial:
        partition.refuse_lost_counts(section, counts)
    step = max(1, _BLOCK // max(len(prediction), 1))
    for start in range(0, len(prediction.genes), step):
        columns = np.arange(start, min(start + step, len(prediction.genes)))
        shares = partition.shares(counts[:, columns], _rates(prediction, columns))
        if kind == "real":
            values = shares.total * shares.weight
        elif kind == "rounded":
            values = _largest_remainders(shares)
        else:
            values = _drawn(shares, prediction.genes[columns], seed)
        shape = (len(prediction), len(columns))
        block = sparse.csc_matrix((values, (shares.location, shares.gene)), shape=shape)
        block.eliminate_zeros()
        block.sort_indices()
        yield block


@dataclass(frozen=True, slots=True, eq=False)
class _Shares:
    """One row for each location of each measured value; rows of one value follow each other."""

    location: Array
    gene: Array
    # number of the measured value, its count, and the part of it that the location receives
    run: Array
    total: Array
    weight: Array
    # first row of each measured value
    first: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Partition:
    """The locations of each spot, spots and locations in the order of their ids."""

    # rows of locations, spot after spot; the first and the number of each spot
    locations: Array
    start: Array
    number: Array
    # position of each spot in the order of ids
    rank: Array

    @classmethod
    def of(cls, prediction: Prediction | FactoredPrediction, section: Section) -> _Partition:
        parent = prediction.locations.parent
        if len(parent) and (parent.min() < 0 or parent.max() >= len(section)):
            wrong = parent.max() if parent.max() >= len(section) else parent.min()
            raise DataError(
                f"Expected parents among the {len(section)} spots of '{section.name}', got row {wrong}. Give the "
                "section that the locations were made from."
            )
        rank = np.empty(len(section), dtype=np.intp)
        rank[np.argsort(section.spots.ids)] = np.arange(len(section))
        locations = np.lexsort((prediction.locations.points.ids, rank[parent]))
        number = np.bincount(parent, minlength=len(section))
        in_order = np.argsort(rank)
        start = np.empty(len(section), dtype=np.intp)
        start[in_order] = np.cumsum(number[in_order]) - number[in_order]
        return cls(locations, start, number, rank)

    def refuse_lost_counts(self, section: Section, counts: sparse.csc_matrix) -> None:
        """Refuse spots with counts that have no location."""
        lost = (self.number == 0) & (np.asarray(counts.sum(axis=1)).ravel() > 0)
        if lost.any():
            raise DataError(
                f"Expected a location for each spot's counts, got none for {int(lost.sum())} of {len(section)} spots, "
                f"'{section.spots.ids[lost][0]}' among them. Predict at locations around all spots, or leave these out "
                "with `partial`."
            )

    def shares(self, counts: sparse.csc_matrix, rates: Array) -> _Shares:
        """Return the locations of each measured value, and the part that each receives."""
        entry = sparse.coo_matrix(counts)
        kept = (self.number[entry.row] > 0) & (entry.data > 0)
        spot, gene, count = entry.row[kept], entry.col[kept], entry.data[kept]
        order = np.lexsort((self.rank[spot], gene))
        spot, gene, count = spot[order], gene[order].astype(np.intp), count[order].astype(np.float64)
        number = self.number[spot]
        run = np.repeat(np.arange(len(spot)), number)
        first = np.cumsum(number) - number
        location = self.locations[np.repeat(self.start[spot] - first, number) + np.arange(len(run))]
        gene = gene[run]
        rate = rates[location, gene]
        sums = np.add.reduceat(rate, first) if len(first) else rate
        equal = 1.0 / number[run]
        weight = np.divide(rate, sums[run], out=equal, where=sums[run] > 0)
        return _Shares(location, gene, run, total=count[run], weight=weight, first=first)


def _rates(prediction: Prediction | FactoredPrediction, columns: Array) -> Array:
    """Return the expected CP10k of some genes at all locations."""
    sd = None
    if isinstance(prediction, Prediction):
        mean = prediction.mean[:, columns]
    else:
        mean, sd = prediction.means(columns), prediction.sds(columns)
    if not np.isfinite(mean).all() or not (sd is None or np.isfinite(sd).all()):
        raise DataError("Expected finite predictions, got NaN or infinity. Predict again.")
    # a gene cannot have more than all counts of a location
    mean = np.clip(mean.astype(np.float64), 0.0, np.log1p(TARGET_SUM))
    rates = np.expm1(mean) if sd is None else _expected(mean, sd.astype(np.float64))
    return np.asarray(np.minimum(rates, TARGET_SUM))


def _expected(mean: Array, sd: Array) -> Array:
    """Return the mean of exp(x) − 1 where x is normal and cut at 0: that of a log-normal variable, less the part cut.

    exp(μ + σ²/2) Φ(μ/σ + σ) − Φ(μ/σ); exp(μ) − 1 without standard deviation.
    """
    from scipy.special import ndtr

    # wider, the expected value would be carried by counts that no spot has
    sd = np.minimum(sd, _WIDEST_SD)
    score = np.divide(mean, sd, out=np.full(mean.shape, np.inf), where=sd > 0)
    return np.asarray(np.exp(mean + sd**2 / 2) * ndtr(score + sd) - ndtr(score))


def _largest_remainders(shares: _Shares) -> Array:
    """Return whole counts: each part rounded down, and the counts left over to the largest remainders."""
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
    """Return multinomial counts by inversion: every count is a random point on a line of intervals.

    The locations of a measured value are consecutive intervals as long as their weights, and a count belongs to the
    interval that its point falls into.
    """
    if not len(shares.first):
        return np.zeros(0, dtype=np.int64)
    counts = shares.total[shares.first].astype(np.int64)
    gene = shares.gene[shares.first]
    per_gene = np.bincount(gene, weights=counts, minlength=len(genes)).astype(np.int64)
    # one generator per gene, so that its draw does not depend on the other genes
    keys = [zlib.crc32(str(name).encode()) for name in genes]
    uniform = [
        np.random.default_rng([seed, key]).random(number) for key, number in zip(keys, per_gene, strict=True)
    ]
    run = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(shares.weight)
    before = (ends[shares.first] - shares.weight[shares.first])[run]
    last = np.append(shares.first[1:], len(ends))[run] - 1
    length = ends[last] - before
    point = before + np.concatenate(uniform) * length
    # a location of weight 0 has an interval of length 0; rounding must not assign a count to it at the end
    positive = np.where(shares.weight > 0, np.arange(len(ends)), -1)
    last_positive = np.maximum.reduceat(positive, shares.first)[run]
    hit = np.clip(np.searchsorted(ends, point, side="right"), shares.first[run], last_positive)
    return np.asarray(np.bincount(hit, minlength=len(ends)))
