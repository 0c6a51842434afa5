"""A prediction kept as factors: fields over places times loadings over genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from histosge._runtime.names import near_misses
from histosge._runtime.types import Array, Float, frozen
from histosge.errors import DataError, UsageError
from histosge.section.locations import Locations

from .attribution import Attribution
from .prediction import Prediction

__all__ = ["Basis", "FactoredPrediction"]

# of a block of places × genes made on the way out
_BLOCK_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """How each gene is made of factors: ``offset + loadings · scores``, cut at 0, in log1p(CP10k).

    Parameters
    ----------
    genes
        Names, one a row.
    offset
        Value of each gene where all fields are 0.
    loadings
        Weight of each factor in each gene.
    noise_sd
        Standard deviation of one measurement around what the factors say.
    calibration_factor
        Factor on all standard deviations that makes intervals cover what they promise; 1 where uncalibrated.
    r_loo
        Correlation of each gene with what was measured, at spots left out of the fit; NaN where unknown.
    attribution
        Where the fields come from; ``None`` where unknown.
    """

    genes: Array
    offset: Float[np.ndarray, " g"]
    loadings: Float[np.ndarray, "g k"]
    noise_sd: Float[np.ndarray, " g"]
    calibration_factor: Float[np.ndarray, " g"]
    r_loo: Float[np.ndarray, " g"]
    attribution: Attribution | None = field(default=None, kw_only=True)
    # rows in the order of their names, to find genes in no time
    _order: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        genes = np.asarray(self.genes, dtype=str)
        object.__setattr__(self, "genes", frozen(genes))
        for name in ("offset", "loadings", "noise_sd", "calibration_factor", "r_loo"):
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

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def shares(self) -> Float[np.ndarray, "g 3"] | None:
        """Share of each gene's pattern from position, histology and siblings; ``None`` where unknown."""
        return None if self.attribution is None else self.attribution.shares(self.loadings)

    def columns(self, genes: Sequence[str]) -> Array:
        """Return where genes are.

        Raises
        ------
        UsageError
            For a gene that is not there; near misses are offered.
        """
        wanted = np.asarray(genes, dtype=str)
        if not len(self) and len(wanted):
            raise UsageError(f"'{wanted[0]}' is not among the genes predicted, of which there are none.")
        place = np.searchsorted(self.genes, wanted, sorter=self._order)
        rows = self._order[np.minimum(place, len(self) - 1)]
        known = self.genes[rows] == wanted
        if not known.all():
            absent = str(wanted[~known][0])
            raise UsageError(
                f"'{absent}' is not among the {len(self)} genes predicted.{near_misses(absent, self.genes)}"
            )
        return np.asarray(rows, dtype=np.intp)

    def take(self, index: Any) -> Basis:
        """Return the genes at ``index``."""
        names = ("genes", "offset", "loadings", "noise_sd", "calibration_factor", "r_loo")
        return Basis(*(getattr(self, name)[index] for name in names), attribution=self.attribution)


@dataclass(frozen=True, slots=True, eq=False)
class FactoredPrediction:
    """Expression of any number of genes at any number of places, in the memory of the factors alone.

    Parameters
    ----------
    locations
        Where.
    basis
        How genes are made of factors.
    scores
        Mean of each factor at each place.
    score_sd
        Standard deviation of each factor at each place (factors are independent), or ``None``.
    provenance
        What made it: plain values only.
    """

    locations: Locations
    basis: Basis
    scores: Float[np.ndarray, "n k"]
    score_sd: Float[np.ndarray, "n k"] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.locations), self.basis.loadings.shape[1])
        for name in ("scores", "score_sd"):
            part = getattr(self, name)
            if part is not None and part.shape != shape:
                raise DataError(f"Expected {name} of shape {shape}, got {part.shape}.")

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def genes(self) -> Array:
        """Names of all genes."""
        return self.basis.genes

    def gene(self, name: str) -> Float[np.ndarray, " n"]:
        """Return one gene everywhere, computed now.

        Raises
        ------
        UsageError
            For an unknown gene; near misses are offered.
        """
        return self._mean(self.basis.columns([name]), slice(None))[:, 0]

    def gene_sd(self, name: str, *, observation: bool = False) -> Float[np.ndarray, " n"] | None:
        """Return the standard deviation of one gene everywhere, or ``None`` where it is unknown.

        Parameters
        ----------
        name
            The gene.
        observation
            Of what a measurement would show (with its noise), instead of what is there.
        """
        found = self._spread(self.basis.columns([name]), slice(None), observation=observation)
        return None if found is None else found[:, 0]

    def only(self, genes: Sequence[str]) -> FactoredPrediction:
        """Return the prediction of these genes, in this order.

        Raises
        ------
        UsageError
            For an unknown gene; near misses are offered.
        """
        return replace(self, basis=self.basis.take(self.basis.columns(genes)))

    def means(self, index: Array) -> Float[np.ndarray, "n g"]:
        """Return the means of the genes at ``index`` everywhere, computed now."""
        return self._mean(index, slice(None))

    def take(self, index: Any) -> FactoredPrediction:
        """Return the prediction at the places ``index``."""
        sd = None if self.score_sd is None else self.score_sd[index]
        return replace(self, locations=self.locations.take(index), scores=self.scores[index], score_sd=sd)

    def blocks(
        self, genes: Sequence[str] | None = None, *, observation: bool = False
    ) -> Iterator[tuple[Array, Array, Array | None]]:
        """Yield (rows, means, standard deviations) of the genes wanted, all by default, in bounded memory."""
        columns = np.arange(len(self.basis)) if genes is None else self.basis.columns(genes)
        step = max(1, _BLOCK_BYTES // (4 * max(len(columns), 1)))
        for start in range(0, len(self), step):
            rows = np.arange(start, min(start + step, len(self)))
            yield rows, self._mean(columns, rows), self._spread(columns, rows, observation=observation)

    def whole(self, genes: Sequence[str] | None = None, *, observation: bool = False) -> Prediction:
        """Return the genes wanted, all by default, as a matrix in memory."""
        parts = list(self.blocks(genes, observation=observation))
        names = self.genes if genes is None else np.asarray(genes, dtype=str)
        mean = np.concatenate([part[1] for part in parts])
        spreads = [part[2] for part in parts if part[2] is not None]
        sd = np.concatenate(spreads) if spreads else None
        return Prediction(self.locations, names, mean, sd, self.provenance)

    def draws(
        self, number: int, genes: Sequence[str], *, seed: int = 0, observation: bool = False
    ) -> Iterator[Float[np.ndarray, "n g"]]:
        """Yield draws of what expression may be, given what is known of the fields.

        Each draw moves every factor at every place by its standard deviation, *independently of the places around it*:
        one place's genes belong together, neighbouring places' errors do not. Quantities of one place at a time
        (intervals, the chance that a gene exceeds another) are right; averages over regions seem surer than they are.

        Parameters
        ----------
        number
            How many.
        genes
            Which; the same seed draws the same fields whichever genes are asked for.
        seed
            Of the draws; each has a generator of its own, so that the first ten are the first ten of a hundred.
        observation
            Add the noise of a measurement.

        Raises
        ------
        UsageError
            For unknown genes, or where it is not known how sure the fields are.
        """
        if self.score_sd is None:
            raise UsageError(
                "There is nothing to draw from: the standard deviations of the fields are not known."
            )
        columns, basis = self.basis.columns(genes), self.basis
        for draw in range(number):
            rng = np.random.default_rng([seed, draw])
            # factors away from their means, as far as calibration says
            away = rng.standard_normal(self.scores.shape, dtype=np.float32) * self.score_sd
            moved = away @ basis.loadings[columns].T
            if observation:
                noise = rng.standard_normal(moved.shape, dtype=np.float32)
                moved = moved + noise * basis.noise_sd[columns]
            middle = basis.offset[columns] + self.scores @ basis.loadings[columns].T
            yield np.asarray(
                np.maximum(middle + moved * basis.calibration_factor[columns], 0.0), dtype=np.float32
            )

    def _mean(self, columns: Array, rows: Any) -> Array:
        basis = self.basis
        mean = basis.offset[columns] + self.scores[rows] @ basis.loadings[columns].T
        return np.asarray(np.maximum(mean, 0.0), dtype=np.float32)

    def _spread(self, columns: Array, rows: Any, *, observation: bool) -> Array | None:
        if self.score_sd is None:
            return None
        basis = self.basis
        # sums of squares: single precision keeps six digits of them
        squares = np.square(self.score_sd[rows], dtype=np.float32)
        variance = squares @ np.square(basis.loadings[columns], dtype=np.float32).T
        if observation:
            variance = variance + np.square(basis.noise_sd[columns], dtype=np.float32)
        return np.asarray(np.sqrt(variance) * basis.calibration_factor[columns], dtype=np.float32)
