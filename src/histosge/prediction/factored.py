"""A prediction kept as factors: factor scores of locations times loadings of genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from histosge._runtime.names import near_misses
from histosge._runtime.summary import as_html, as_text, plural
from histosge._runtime.types import Array, Bool, Float, frozen
from histosge.errors import DataError, UsageError
from histosge.section.locations import Locations

from .accuracy import UNKNOWN, GeneAccuracy
from .accuracy_words import reliable_as
from .attribution import Attribution
from .prediction import Prediction, prediction_summary

__all__ = ["Basis", "FactoredPrediction"]

# bytes of a block of locations × genes that is multiplied out at a time
_BLOCK_BYTES = 1 << 24
# genes are multiplied out in multiples of this, filled up with zeros: kernels of matrix products then treat every gene
# alike, and its bits do not depend on which others are written
_GENES_AT_ONCE = 64
# columns with a number per gene; and those of its accuracy, which are NaN where unknown
_COLUMNS = ("offset", "loadings", "noise_sd", "calibration_factor", "r_loo")
_CELLS = ("reliability_cell", "reliability_own", "reliability_50um")
_ACCURACY = ("r_loo_given_depth", "r_loo_low", "r_loo_high", *_CELLS)
_FURTHER = ("grade", "fitted")


def _unknown() -> Array:
    """Return the default of columns that are filled in where they are unknown."""
    return np.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """The genes in terms of factors: ``max(0, offset + loadings · scores)``, in log1p(CP10k).

    Parameters
    ----------
    genes
        Names, one per row.
    offset
        Value of each gene where all factor scores are 0.
    loadings
        Weight of each factor in each gene.
    noise_sd
        Standard deviation of one measurement around its expectation; its square is the nugget.
    calibration_factor
        Conformal factor on all standard deviations; 1 where uncalibrated.
    r_loo
        Leave-one-out correlation of each gene with its measurement; NaN where unknown.
    attribution
        Variance attribution of the factors; ``None`` where unknown.
    fitted
        Whether the model was fitted to the gene; others are regressed on the factor scores. By default all are fitted.
    r_loo_given_depth, r_loo_low, r_loo_high, grade
        The same correlation given the depth of the spots, bounds of a 90 % interval around ``r_loo``, and the grade in
        a word, see :class:`~histosge.prediction.accuracy.GeneAccuracy`. By default NaN and ``"unknown"``.

    reliability_cell, reliability_own, reliability_50um
        Of a prediction at cells: share of the variance of mean expression that it explains, over disks as wide as a
        cell, of the same around the mean of their neighbourhood of 50 µm, and over disks of 50 µm; by default NaN.

    Raises
    ------
    DataError
        For gene names that repeat, and parts of different lengths.
    """

    genes: Array
    offset: Float[np.ndarray, " g"]
    loadings: Float[np.ndarray, "g k"]
    noise_sd: Float[np.ndarray, " g"]
    calibration_factor: Float[np.ndarray, " g"]
    r_loo: Float[np.ndarray, " g"]
    attribution: Attribution | None = field(default=None, kw_only=True)
    r_loo_given_depth: Float[np.ndarray, " g"] = field(default_factory=_unknown, kw_only=True)
    r_loo_low: Float[np.ndarray, " g"] = field(default_factory=_unknown, kw_only=True)
    r_loo_high: Float[np.ndarray, " g"] = field(default_factory=_unknown, kw_only=True)
    reliability_cell: Float[np.ndarray, " g"] = field(default_factory=_unknown, kw_only=True)
    reliability_own: Float[np.ndarray, " g"] = field(default_factory=_unknown, kw_only=True)
    reliability_50um: Float[np.ndarray, " g"] = field(default_factory=_unknown, kw_only=True)
    grade: Array = field(default_factory=_unknown, kw_only=True)
    fitted: Bool[np.ndarray, " g"] = field(default_factory=_unknown, kw_only=True)
    # rows in the order of their names, for a binary search
    _order: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        genes = np.asarray(self.genes, dtype=str)
        object.__setattr__(self, "genes", frozen(genes))
        for name in _ACCURACY:
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(genes), np.nan))
        grade = np.asarray(self.grade, dtype=str) if len(self.grade) else np.full(len(genes), UNKNOWN)
        object.__setattr__(self, "grade", grade)
        fitted = np.asarray(self.fitted, dtype=bool) if len(self.fitted) else np.ones(len(genes), dtype=bool)
        object.__setattr__(self, "fitted", fitted)
        for name in (*_COLUMNS, *_ACCURACY, *_FURTHER):
            part = getattr(self, name)
            if len(part) != len(genes):
                raise DataError(f"Expected {name} of {len(genes)} genes, got {len(part)}.")
            object.__setattr__(self, name, frozen(part))
        factors = self.loadings.shape[1]
        if self.attribution is not None and len(self.attribution.forms[0]) != factors:
            raise DataError(
                f"Expected an attribution of {factors} factors, got {len(self.attribution.forms[0])}."
            )
        order = np.argsort(genes)
        repeated = genes[order][1:] == genes[order][:-1]
        if repeated.any():
            raise DataError(f"Expected unique gene names, got '{genes[order][1:][repeated][0]}' twice.")
        object.__setattr__(self, "_order", frozen(order))

    def __repr__(self) -> str:
        genes, factors = self.loadings.shape
        return as_text("Basis", {"genes": plural(genes, "gene"), "factors": plural(factors, "factor")})

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def shares(self) -> Float[np.ndarray, "g 3"] | None:
        """Shares of position, histology and auxiliary sections in each gene's variance; ``None`` where unknown."""
        return None if self.attribution is None else self.attribution.shares(self.loadings)

    @property
    def reliable_as(self) -> Array:
        """What each gene of a prediction at cells is reliable as; ``"unknown"`` at other locations."""
        return reliable_as(self.reliability_cell, self.reliability_own, self.reliability_50um, self.grade)

    def columns(self, genes: Sequence[str]) -> Array:
        """Return the rows of genes.

        Raises
        ------
        UsageError
            For an unknown gene; the message offers similar names.
        """
        names = np.asarray(genes, dtype=str)
        if not len(self) and len(names):
            raise UsageError(f"'{names[0]}' is not among the genes predicted, of which there are none.")
        position = np.searchsorted(self.genes, names, sorter=self._order)
        rows = self._order[np.minimum(position, len(self) - 1)]
        known = self.genes[rows] == names
        if not known.all():
            absent = str(names[~known][0])
            raise UsageError(
                f"'{absent}' is not among the {len(self)} genes predicted.{near_misses(absent, self.genes)}"
            )
        return np.asarray(rows, dtype=np.intp)

    def take(self, index: Any) -> Basis:
        """Return the genes at ``index``."""
        columns = (getattr(self, name)[index] for name in ("genes", *_COLUMNS))
        accuracy = {name: getattr(self, name)[index] for name in (*_ACCURACY, *_FURTHER)}
        return Basis(*columns, attribution=self.attribution, **accuracy)

    def with_accuracy(self, accuracy: GeneAccuracy) -> Basis:
        """Return the basis with the accuracy of its genes."""
        return replace(
            self,
            r_loo=accuracy.r,
            r_loo_given_depth=accuracy.r_given_depth,
            r_loo_low=accuracy.low,
            r_loo_high=accuracy.high,
            grade=accuracy.grade,
        )

    def without_accuracy(self) -> Basis:
        """Return the basis with unknown accuracy."""
        unknown = np.full(len(self), np.nan)
        columns = (self.genes, self.offset, self.loadings, self.noise_sd, self.calibration_factor, unknown)
        return Basis(*columns, attribution=self.attribution, fitted=self.fitted)

    def joined(self, other: Basis) -> Basis:
        """Return the basis with further genes of the same factors."""
        names = ("genes", *_COLUMNS)
        columns = (np.concatenate([getattr(self, name), getattr(other, name)]) for name in names)
        accuracy = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])
            for name in (*_ACCURACY, *_FURTHER)
        }
        return Basis(*columns, attribution=self.attribution, **accuracy)


@dataclass(frozen=True, slots=True, eq=False)
class FactoredPrediction:
    """Expression of any number of genes at any number of locations, in the memory of the factors alone.

    Parameters
    ----------
    locations
        Locations of the rows.
    basis
        The genes in terms of factors.
    scores
        Mean factor scores, n × k.
    score_sd
        Standard deviations of the factor scores, n × k; the factors are independent. ``None`` where unknown.
    provenance
        What made the prediction: plain values, written into every file.
    total_counts
        Expected total count of a spot at each location; ``None`` where unknown.

    Raises
    ------
    DataError
        When shapes disagree.
    """

    locations: Locations
    basis: Basis
    scores: Float[np.ndarray, "n k"]
    score_sd: Float[np.ndarray, "n k"] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    total_counts: Float[np.ndarray, " n"] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.locations), self.basis.loadings.shape[1])
        for name in ("scores", "score_sd"):
            part = getattr(self, name)
            if part is not None and part.shape != shape:
                raise DataError(f"Expected {name} of shape {shape}, got {part.shape}.")

    def __repr__(self) -> str:
        return as_text("FactoredPrediction", self._summary)

    def _repr_html_(self) -> str:
        return as_html("FactoredPrediction", self._summary)

    @property
    def _summary(self) -> dict[str, str]:
        sd = "no standard deviations" if self.score_sd is None else "with standard deviations"
        factors = plural(self.scores.shape[1], "factor")
        return prediction_summary(self.locations, self.genes, factors=factors, sd=sd)

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def genes(self) -> Array:
        """Names of all genes."""
        return self.basis.genes

    def gene(self, name: str) -> Float[np.ndarray, " n"]:
        """Return one gene at all locations.

        Raises
        ------
        UsageError
            For an unknown gene; the message offers similar names.
        """
        return self._mean(self.basis.columns([name]), slice(None))[:, 0]

    def gene_sd(self, name: str, *, observation: bool = False) -> Float[np.ndarray, " n"] | None:
        """Return the standard deviation of one gene at all locations, or ``None`` where it is unknown.

        Parameters
        ----------
        name
            The gene.
        observation
            Of a new measurement, with its noise, instead of the expression itself.
        """
        sd = self._sd(self.basis.columns([name]), slice(None), observation=observation)
        return None if sd is None else sd[:, 0]

    def only(self, genes: Sequence[str]) -> FactoredPrediction:
        """Return the prediction of these genes, in this order.

        Raises
        ------
        UsageError
            For an unknown gene; the message offers similar names.
        """
        return replace(self, basis=self.basis.take(self.basis.columns(genes)))

    def means(self, index: Array) -> Float[np.ndarray, "n g"]:
        """Return the means of the genes at ``index``, at all locations."""
        return self._mean(index, slice(None))

    def sds(self, index: Array) -> Float[np.ndarray, "n g"] | None:
        """Return the standard deviations of the expression of the genes at ``index``; ``None`` where unknown."""
        return self._sd(index, slice(None), observation=False)

    def take(self, index: Any) -> FactoredPrediction:
        """Return the prediction at the locations ``index``."""
        sd = None if self.score_sd is None else self.score_sd[index]
        totals = None if self.total_counts is None else self.total_counts[index]
        locations, scores = self.locations.take(index), self.scores[index]
        return replace(self, locations=locations, scores=scores, score_sd=sd, total_counts=totals)

    def blocks(
        self, genes: Sequence[str] | None = None, *, observation: bool = False
    ) -> Iterator[tuple[Array, Array, Array | None]]:
        """Yield rows, means and standard deviations of some genes, by default all, in bounded memory."""
        columns = np.arange(len(self.basis)) if genes is None else self.basis.columns(genes)
        # 4 bytes for each number of a block in single precision; all genes count, so that rows are cut alike for any
        step = max(1, _BLOCK_BYTES // (4 * max(len(self.basis), 1)))
        for start in range(0, len(self), step):
            rows = np.arange(start, min(start + step, len(self)))
            yield rows, self._mean(columns, rows), self._sd(columns, rows, observation=observation)

    def whole(self, genes: Sequence[str] | None = None, *, observation: bool = False) -> Prediction:
        """Return some genes, by default all, as a matrix in memory."""
        parts = list(self.blocks(genes, observation=observation))
        names = self.genes if genes is None else np.asarray(genes, dtype=str)
        mean = np.concatenate([part[1] for part in parts])
        sds = [part[2] for part in parts if part[2] is not None]
        sd = np.concatenate(sds) if sds else None
        return Prediction(self.locations, names, mean, sd, provenance=self.provenance)

    def draws(
        self, number: int, genes: Sequence[str], *, seed: int = 0, observation: bool = False
    ) -> Iterator[Float[np.ndarray, "n g"]]:
        """Yield draws from the posterior of the expression.

        Each draw moves every factor score at every location by its standard deviation, *independently of the other
        locations*. Genes of one location vary together; errors of neighbouring locations do not. Quantities of one
        location are right (intervals, the probability that one gene exceeds another); averages over regions seem more
        certain than they are.

        Parameters
        ----------
        number
            Number of draws.
        genes
            Gene names; the same seed draws the same factor scores for any genes.
        seed
            Of the draws. Each has a generator of its own, so that the first ten are the first ten of a hundred.
        observation
            Add the noise of a measurement.

        Raises
        ------
        UsageError
            For unknown genes, or where the standard deviations of the factor scores are unknown.
        """
        if self.score_sd is None:
            raise UsageError("Cannot draw: the standard deviations of the factor scores are unknown.")
        columns, basis = self.basis.columns(genes), self.basis
        for draw in range(number):
            rng = np.random.default_rng([seed, draw])
            deviation = rng.standard_normal(self.scores.shape, dtype=np.float32) * self.score_sd
            moved = deviation @ basis.loadings[columns].T
            if observation:
                noise = rng.standard_normal(moved.shape, dtype=np.float32)
                moved = moved + noise * basis.noise_sd[columns]
            mean = basis.offset[columns] + self.scores @ basis.loadings[columns].T
            drawn = mean + moved * self._factor(columns, observation)
            yield np.asarray(np.maximum(drawn, 0.0), dtype=np.float32)

    def _mean(self, columns: Array, rows: Any) -> Array:
        basis = self.basis
        # log1p of counts is never negative; a sum of factors can be
        mean = basis.offset[columns] + _product(self.scores[rows], basis.loadings[columns])
        return np.asarray(np.maximum(mean, 0.0), dtype=np.float32)

    def _sd(self, columns: Array, rows: Any, *, observation: bool) -> Array | None:
        if self.score_sd is None:
            return None
        basis = self.basis
        # the factors are independent, so that their variances add; single precision keeps six digits of the sum
        squares = np.square(self.score_sd[rows], dtype=np.float32)
        variance = _product(squares, np.square(basis.loadings[columns], dtype=np.float32))
        if observation:
            variance = variance + np.square(basis.noise_sd[columns], dtype=np.float32)
        return np.asarray(np.sqrt(variance) * self._factor(columns, observation), dtype=np.float32)

    def _factor(self, columns: Array, observation: bool) -> Array:
        """Return the factor on standard deviations.

        It is calibrated for measurements. Where it is below 1, measurements vary less than their noise says, and that
        makes the expression itself no better known.
        """
        factor = np.asarray(self.basis.calibration_factor[columns])
        return factor if observation else np.maximum(factor, 1.0)


def _product(scores: Array, loadings: Array) -> Array:
    """Return the sums over factors, locations × genes, with bits that do not depend on which genes are there."""
    genes = len(loadings)
    missing = -genes % _GENES_AT_ONCE
    filled = np.concatenate([loadings, np.zeros((missing, loadings.shape[1]), dtype=loadings.dtype)])
    return np.asarray((scores @ filled.T)[:, :genes])
