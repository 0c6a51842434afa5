"""What is said of each gene: noise, calibration and accuracy, from predictions of spots by all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.pearson import pearson
from histosge.models.blocks import runs
from histosge.prediction.accuracy import GeneAccuracy
from histosge.prediction.attribution import Attribution
from histosge.prediction.calibration import (
    calibration_factor,
    coverage_of_others,
    pooled_coverage,
)
from histosge.prediction.factored import Basis
from histosge.section.expression import log_depth
from histosge.section.inputs import Samples

from .folds import LeftOut
from .inducing_points import evenly
from .posterior import FactorPosterior
from .standardise import Standardisation

__all__ = ["Statements", "judged_rows"]

# spots × genes computed at a time on a core, and the fewest genes
_BLOCK, _LEAST_GENES = 800_000, 64
# measurement noise is at least this share of the squared error: no gene is measured without noise
_LEAST_NOISE = 0.05
# training spots of the section to predict that calibration needs; fewer do not determine the tails
_LEAST_SPOTS = 40
# spots that noise, calibration and r_loo are computed from: enough for a quantile of each gene
_MOST_SPOTS = 5000
# squares of tissue, along each side, that are left out in turn for a standard error: errors of neighbours are alike
_SQUARES = 4
# a gene is expressed where so many spots, at least, have a count
_EXPRESSED = 0.01
# a product of sums of squares below which a correlation is undefined
_FLAT = 1e-9
# correlations beyond have no finite z
_MOST_R = 0.999


def judged_rows(
    sections: Int[np.ndarray, " n"], order: Int[np.ndarray, " n"] | None = None
) -> Int[np.ndarray, " l"]:
    """Return the spots that genes are judged at: of the section to predict, where at least 40 of it were fitted.

    Of very many, 5000 in even steps, or with an ``order`` of all spots the first ones in it.
    """
    target = np.flatnonzero(sections == 0)
    rows = target if len(target) >= _LEAST_SPOTS else np.arange(len(sections))
    if order is None:
        return rows[evenly(len(rows), _MOST_SPOTS)]
    return np.sort(order[np.isin(order, rows)][:_MOST_SPOTS])


def _averages(basis: Basis) -> dict[str, float]:
    """Return means over genes of the variance attribution and of r_loo."""
    mean = {"r_loo": float(basis.r_loo.mean())}
    if basis.attribution is None:
        return mean
    _, histology, auxiliary = basis.attribution.shares(basis.loadings).mean(axis=0)
    return {"weight_of_histology": float(histology), "weight_of_auxiliary": float(auxiliary), **mean}


@dataclass(frozen=True, slots=True, eq=False)
class Statements:
    """Predictions that genes are judged by.

    Parameters
    ----------
    fitted
        By the fit.
    without_image
        By the same fit without the image; ``None`` where the image has no weight.
    with_image
        By the fit, as it compares with that: without what nearest spots add. ``None``: as fitted.
    """

    fitted: LeftOut
    without_image: LeftOut | None = None
    with_image: LeftOut | None = None

    def of(
        self,
        posterior: FactorPosterior,
        samples: Samples,
        standardisation: Standardisation,
        attribution: Attribution | None = None,
    ) -> tuple[Basis, dict[str, Any]]:
        """Return the genes in terms of output factors, in log1p(CP10k) of the first section, and averages over genes.

        Noise (Eq. 17), calibration (Eq. 18) and accuracy (Eq. 21) of each gene come from predictions of spots by all
        others. Correlations are within sections.
        """
        judge = _Judge.of(self, posterior, samples, standardisation)
        spots, genes = len(judge.depth), len(samples.genes)
        parts = map_parts(judge.block, runs(genes, max(_LEAST_GENES, _BLOCK // spots)))
        common = float(_jackknife_variance(_sum(parts, "z_without_square") / genes))
        accuracy = GeneAccuracy.of(
            _joined(parts, "r"),
            _joined(parts, "r_given_depth"),
            spots=spots,
            # the median: a gene whose counts are in one square has a variance of its own
            variance=float(np.median(_joined(parts, "z_variance"))),
            common_variance=common,
        )
        basis = Basis(
            samples.genes,
            standardisation.means[0],
            loadings=judge.loadings,
            noise_sd=_joined(parts, "noise_sd"),
            calibration_factor=_joined(parts, "factor"),
            r_loo=accuracy.r,
            attribution=attribution,
        ).with_accuracy(accuracy)
        expressed = _joined(parts, "expressed")
        gain_variance = float(_jackknife_variance(_sum(parts, "gain_without_square") / genes))
        return basis, _averages(basis) | {
            "calibration": pooled_coverage([(len(part.r), part.coverage) for part in parts]),
            "mean_r_loo": float(accuracy.r.mean()),
            "mean_r_loo_given_depth": float(accuracy.r_given_depth.mean()),
            "mean_r_loo_without_image": float(_joined(parts, "r_without_image").mean()),
            "mean_r_loo_image_gain_se": gain_variance**0.5,
            "reliable_genes": int((accuracy.reliable & expressed).sum()),
            "expressed_genes": int(expressed.sum()),
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What was found of some genes, one entry per gene."""

    r: Array
    r_given_depth: Array
    r_without_image: Array
    noise_sd: Array
    factor: Array
    expressed: Array
    coverage: dict[str, list[float]]
    # sum over genes of what the image adds to r, each square of tissue left out in turn
    gain_without_square: Array
    # sum over genes of Fisher's z, likewise
    z_without_square: Array
    # of Fisher's z of each gene: the jackknife over squares of tissue
    z_variance: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Measurements and predictions of the judged spots, some genes at a time."""

    statements: Statements
    samples: Samples
    loadings: Float[np.ndarray, "g k"]
    inverse_scale: Float[np.ndarray, " g"]
    # mean of each gene in the section of each spot, and the number of other spots that it is of
    means: Float[np.ndarray, "l g"]
    others: Float[np.ndarray, "l 1"]
    variance: Float[np.ndarray, "l k"]
    # log depth less its mean in the section
    depth: Float[np.ndarray, " l"]
    # square of tissue and fold of each spot
    square: Int[np.ndarray, " l"]
    fold: Int[np.ndarray, " l"]

    @classmethod
    def of(
        cls,
        statements: Statements,
        posterior: FactorPosterior,
        samples: Samples,
        standardisation: Standardisation,
    ) -> _Judge:
        rows, all_sections = statements.fitted.rows, samples.inputs.section_index
        sections = all_sections[rows]
        depth = log_depth(samples.depth[rows])
        number = np.maximum(np.bincount(sections), 1)
        depth = depth - (np.bincount(sections, weights=depth) / number)[sections]
        return cls(
            statements,
            samples.take(rows).dense(),
            (posterior.loadings * standardisation.inverse_scale).T,
            standardisation.inverse_scale,
            means=standardisation.means[sections],
            others=np.maximum(np.bincount(all_sections)[sections, None] - 1.0, 1.0),
            variance=posterior.left_out_variance[rows],
            depth=depth,
            square=_squares(samples.inputs.separated_xy_um[rows]),
            fold=statements.fitted.folds.index[rows],
        )

    def block(self, genes: slice) -> _Judged:
        means = self.means[:, genes]
        measured = self.samples.expression[:, genes] - means
        # cut at 0 as predictions are, so that errors are those of the predictions
        predicted = self._predicted(self.statements.fitted, genes, means)
        r = np.nan_to_num(pearson(measured, predicted))
        in_turn = _without_square(measured, predicted, self.square)
        without, gain = r, np.zeros(len(in_turn))
        if self.statements.without_image is not None:
            alone = self._predicted(self.statements.without_image, genes, means)
            without, of_image = np.nan_to_num(pearson(measured, alone)), in_turn
            if self.statements.with_image is not None:
                compared = self._predicted(self.statements.with_image, genes, means)
                of_image = _without_square(measured, compared, self.square)
                without = without + r - np.nan_to_num(pearson(measured, compared))
            gain = (of_image - _without_square(measured, alone, self.square)).sum(axis=1)
        # of the others: the spot's own value is in the mean that is added to its prediction
        error = measured * (1 + 1 / self.others) - predicted
        signal = self.variance @ (self.loadings[genes] ** 2).T
        squared = (error**2).mean(axis=0)
        noise = np.maximum(squared - signal.mean(axis=0), _LEAST_NOISE * squared)
        sd = np.sqrt(signal + noise)
        z_in_turn = np.arctanh(np.clip(in_turn, -_MOST_R, _MOST_R))
        return _Judged(
            r,
            np.nan_to_num(partial_correlation(measured, predicted, self.depth)),
            without,
            noise_sd=np.sqrt(noise),
            factor=calibration_factor(error, sd),
            expressed=(self.samples.log_cp10k[:, genes] > 0).mean(axis=0) >= _EXPRESSED,
            coverage=coverage_of_others(error, sd, self.fold),
            gain_without_square=gain,
            z_without_square=z_in_turn.sum(axis=1),
            z_variance=_jackknife_variance(z_in_turn),
        )

    def _predicted(self, left_out: LeftOut, genes: slice, means: Array) -> Array:
        """Return left-out predictions less the mean."""
        return np.asarray(np.maximum(left_out.expression(genes) * self.inverse_scale[genes], -means))


def _joined(parts: Sequence[_Judged], name: str) -> Array:
    return np.concatenate([getattr(part, name) for part in parts])


def _sum(parts: Sequence[_Judged], name: str) -> Array:
    return np.asarray(np.sum([getattr(part, name) for part in parts], axis=0))


def _squares(xy_um: Array) -> Array:
    """Return the square of tissue of each spot: strips along x, each divided along y, of equal numbers of spots."""
    square = np.empty(len(xy_um), dtype=np.intp)
    # on a lattice many spots have one x: the other coordinate decides, not the order of the rows
    x, y = xy_um.T
    for strip, spots in enumerate(np.array_split(np.lexsort((y, x)), _SQUARES)):
        along = spots[np.lexsort((x[spots], y[spots]))]
        for part, some in enumerate(np.array_split(along, _SQUARES)):
            square[some] = _SQUARES * strip + part
    return square


def _without_square(left: Array, right: Array, square: Array) -> Array:
    """Return the correlation of each gene over all spots but those of each square, squares × genes."""
    member = (square[:, None] == np.arange(square.max() + 1)).astype(np.float64).T
    sums = np.stack([member @ part for part in (left, right, left * left, right * right, left * right)])
    x, y, xx, yy, xy = sums.sum(axis=1, keepdims=True) - sums
    n = np.maximum(len(square) - member.sum(axis=1), 1)[:, None]
    size = np.sqrt(np.maximum(xx - x * x / n, 0) * np.maximum(yy - y * y / n, 0))
    return np.asarray(np.divide(xy - x * y / n, size, out=np.zeros_like(size), where=size > _FLAT))


def _jackknife_variance(values: Array) -> Array:
    """Return the variance of estimates from their values without each part of the data (Efron & Stein 1981)."""
    n = len(values)
    return np.asarray((n - 1) / n * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
