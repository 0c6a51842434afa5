"""Allocate the counts of each spot to the locations inside it: sub-spot counts that add up to the measurement."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy import sparse

from histosge._runtime.seeds import refuse_seed
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.section.expression import TARGET_SUM
from histosge.section.locations import Locations
from histosge.section.section import Section

from .factored import FactoredPrediction
from .mean_depth import refuse_depth_adjusted
from .prediction import Prediction
from .spot_overlap import overlap

__all__ = ["BACKGROUND", "Kind", "blocks", "conserve", "conserve_cells", "joined"]

Kind: TypeAlias = Literal["real", "rounded", "drawn"]
#: molecules per area between cells, relative to those inside; a convention, see :func:`conserve_cells`
BACKGROUND = 0.5
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

    The locations of a spot are those that name it as their parent: an upsampled lattice, a grid, centroids of cells.
    For cells with outlines see :func:`histosge.conserve_cells`. Their values are never negative and add up to the
    spot's counts, gene by gene. Where a gene was measured at a spot and is predicted at none of its locations, they
    receive equal parts.

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
        For an unknown kind, a seed out of range, a prediction with ``depth_adjusted``, and cells with outlines, which
        share a spot with what lies between them.
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
    cells = prediction.locations.cells
    if cells is not None and cells.outlines is not None:
        raise UsageError(
            "Cells with outlines share a spot's counts with what lies between them. Use `histosge.conserve_cells`."
        )
    return joined(blocks(prediction, section, kind=kind, seed=seed, partial=partial), len(prediction))


def conserve_cells(
    prediction: Prediction | FactoredPrediction,
    section: Section,
    *,
    background: float = BACKGROUND,
    kind: str = "real",
    seed: int = 0,
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Allocate each spot's counts to the cells in it, and to what lies between them.

    A spot's disk is divided by area. Cell c, of which the area a lies in the disk, has the weight a λ for a gene whose
    expected expression is λ in it; what no outline covers, the area b, has the weight ``background`` × b times the mean
    λ of the spot's cells. A cell across two spots receives part of the counts of each; one outside of all spots
    receives none; a spot without cells is background altogether (Eq. 24 of docs/method.md).

    Parameters
    ----------
    prediction
        At cells with outlines, in log1p(CP10k).
    section
        The measured section.
    background
        Molecules per area between cells, relative to those inside. By default 0.5: nothing in spots and outlines
        determines it, so that 0 and 1 bound what can be said.
    kind, seed
        As for :func:`conserve`.

    Returns
    -------
    Counts of the cells, cells × genes, and of the background of each spot, spots × genes. Over the cells of a spot and
    its background they add up to its counts, gene by gene.

    Raises
    ------
    UsageError
        As for :func:`conserve`; for cells known by centroid alone, spots without extent, a negative ``background``.
    DataError
        As for :func:`conserve`.

    Examples
    --------
    >>> import numpy as np, shapely
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> outlines = shapely.buffer(shapely.points(section.spots.xy + 10), 6.0)
    >>> cells = hs.at_cells(section, hs.Cells(section.spots.ids, section.spots.xy + 10, outlines))
    >>> flat = hs.Prediction(cells, section.genes, np.ones((len(cells), 12), dtype=np.float32))
    >>> inside, between = hs.conserve_cells(flat, section, kind="rounded")
    >>> bool(inside.sum() + between.sum() == section.counts.sum())
    True
    """
    parts = blocks(prediction, section, kind=kind, seed=seed, background=background)
    together = joined(parts, len(prediction) + len(section))
    return together[: len(prediction)], together[len(prediction) :]


def joined(parts: Iterable[sparse.csc_matrix], rows: int) -> sparse.csr_matrix:
    """Return blocks of genes as one matrix."""
    held = list(parts)
    return sparse.csr_matrix(sparse.hstack(held, format="csr") if held else (rows, 0))


def blocks(
    prediction: Prediction | FactoredPrediction,
    section: Section,
    *,
    kind: str = "real",
    seed: int = 0,
    partial: bool = False,
    background: float | None = None,
) -> Iterator[sparse.csc_matrix]:
    """Yield the result of :func:`conserve` as blocks of some genes each, in their order and in bounded memory.

    With ``background``, that of :func:`conserve_cells`: the rows of the spots' background after those of the cells.
    """
    if kind not in get_args(Kind):
        raise UsageError(f"Expected counts real, rounded or drawn, got '{kind}'.")
    refuse_seed(seed)
    refuse_depth_adjusted(prediction.provenance, "Conserving counts")
    # whole numbers: half of the memory of the section's own
    counts = sparse.csc_matrix(section.counts[:, section.columns(prediction.genes)], dtype=np.int32)
    if background is None:
        partition = _Partition.of(prediction.locations, section)
    else:
        partition = _Partition.of_cells(prediction.locations, section, background)
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
        shape = (partition.rows, len(columns))
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
    """The locations of each spot, spots and locations in the order of their ids; a spot's background comes last."""

    # rows of locations, spot after spot, and the area of each in the spot; the first and the number of each spot
    locations: Array
    area: Array
    start: Array
    number: Array
    # position of each spot in the order of ids
    rank: Array
    # number of rows of the result: locations, and after them the background of each spot where there is one
    rows: int
    # part of each spot's counts that its background receives
    background: Array | None = None

    @classmethod
    def of(cls, locations: Locations, section: Section) -> _Partition:
        """Return the locations of each spot by their parent."""
        parent = np.asarray(locations.parent)
        if len(parent) and (parent.min() < 0 or parent.max() >= len(section)):
            wrong = parent.max() if parent.max() >= len(section) else parent.min()
            raise DataError(
                f"Expected parents among the {len(section)} spots of '{section.name}', got row {wrong}. Give the "
                "section that the locations were made from."
            )
        names = locations.points.ids
        unit = np.arange(len(parent))
        return cls._in_order(
            unit, parent, np.ones(len(parent)), names=names, section=section, rows=len(parent)
        )

    @classmethod
    def of_cells(cls, locations: Locations, section: Section, background: float) -> _Partition:
        """Return the cells of each spot by the area that they share with it."""
        if not 0 <= background < np.inf:
            raise UsageError(f"Expected `background` of 0 or more, got {background:g}.")
        if locations.cells is None:
            raise UsageError(
                "Expected a prediction at cells, got one at other locations. Use `histosge.conserve`."
            )
        shared, n, s = overlap(locations.cells, section.spots), len(locations), len(section)
        covered = np.bincount(shared.spot, weights=shared.area_um2, minlength=s)
        free = background * shared.free_um2
        # without cells all is background, whatever its density
        share = np.divide(free, free + covered, out=np.ones(s), where=covered > 0)
        unit = np.concatenate([shared.cell, n + np.arange(s)])
        spot = np.concatenate([shared.spot, np.arange(s)])
        area = np.concatenate([shared.area_um2, np.zeros(s)])
        # the background has no name: it follows the cells of its spot
        names = locations.points.ids
        partition = cls._in_order(unit, spot, area, names=names, section=section, rows=n + s)
        return replace(partition, background=share)

    @classmethod
    def _in_order(
        cls, unit: Array, spot: Array, area: Array, *, names: Array, section: Section, rows: int
    ) -> _Partition:
        rank = np.empty(len(section), dtype=np.intp)
        rank[np.argsort(section.spots.ids)] = np.arange(len(section))
        by_name = np.full(rows, len(names))
        by_name[np.argsort(names, kind="stable")] = np.arange(len(names))
        order = np.lexsort((by_name[unit], rank[spot]))
        number = np.bincount(spot, minlength=len(section))
        in_order = np.argsort(rank)
        start = np.empty(len(section), dtype=np.intp)
        start[in_order] = np.cumsum(number[in_order]) - number[in_order]
        return cls(unit[order], area[order], start, number, rank, rows)

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
        part = np.repeat(self.start[spot] - first, number) + np.arange(len(run))
        location, area, gene = self.locations[part], self.area[part], gene[run]
        # the background, of area 0 here, has no rate of its own
        weight = area * rates[np.minimum(location, len(rates) - 1), gene]
        sums, areas = (np.add.reduceat(part, first) if len(first) else part for part in (weight, area))
        expected = (sums > 0)[run]
        np.divide(weight, sums[run], out=weight, where=expected)
        # where nothing is expected anywhere, by area
        nowhere = np.flatnonzero(~expected)
        weight[nowhere] = area[nowhere] / np.where(areas > 0, areas, np.inf)[run[nowhere]]
        if self.background is not None:
            share = self.background[spot][run]
            weight = np.where(location >= len(rates), share, weight * (1 - share))
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
