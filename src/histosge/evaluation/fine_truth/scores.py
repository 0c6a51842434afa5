"""Scores of a prediction at one scale of the finer truth, gene by gene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.metrics import METRICS, Comparison
from histosge.metrics.ceiling import noise_ceiling
from histosge.metrics.pearson import pearson
from histosge.prediction.prediction import Prediction
from histosge.section.expression import depth, log_cp10k

from .scales import CELLS, ScaledTruth
from .truth import thinned

__all__ = ["ZONES", "partial_correlation", "score_scale", "statistics"]

#: parts of the truth that are scored apart; near, middle and far are terciles of the distance to the nearest spot
ZONES = ("all", "inside", "between", "near", "middle", "far")
# of each part, and further ones of all bins
_METRICS, _FURTHER = ("pcc", "mse", "deviance", "coverage90"), ("spearman", "ssim", "mae", "crps", "width90")
# a correlation of fewer bins is noise
_LEAST_BINS = 30


def score_scale(
    truth: ScaledTruth, prediction: Prediction, columns: Array
) -> dict[tuple[str, str], Float[np.ndarray, " g"]]:
    """Return the values of each gene by part of the truth (:data:`ZONES`) and metric.

    Parameters
    ----------
    truth
        The half of the molecules that no spot has.
    prediction
        At the parts of its bins. The standard deviation of a bin of several parts is the mean of theirs, as if their
        errors were one: intervals of such bins are wide.
    columns
        Columns of the predicted genes in the truth's counts.
    """
    comparison = Comparison(
        truth=log_cp10k(truth.counts, columns=columns).toarray(),
        prediction=truth.of_parts(prediction.mean),
        sd=None if prediction.sd is None else truth.of_parts(prediction.sd),
        counts=np.asarray(truth.counts[:, columns].toarray(), dtype=np.float64),
        depth=depth(truth.counts),
        # cells are on no raster
        xy_um=None if truth.scale == CELLS else truth.xy_um,
        nearest_um=truth.nearest_um,
    )
    values: dict[tuple[str, str], Array] = {}
    for zone, rows in _zones(truth):
        part = _rows_of(comparison, rows)
        for name in (*_METRICS, *(_FURTHER if zone == "all" else ())):
            if (column := METRICS[name].compute(part)) is not None:
                values[zone, name] = np.asarray(column)
        values[zone, "pcc_given_depth"] = partial_correlation(part)
    return values


def statistics(
    truth: ScaledTruth, columns: Array, *, seed: int
) -> dict[tuple[str, str], Float[np.ndarray, " g"]]:
    """Return the noise ceiling of each gene by part of the truth, and its mean expression, without any model."""
    values: dict[tuple[str, str], Array] = {
        ("all", "expression"): np.asarray(log_cp10k(truth.counts, columns=columns).mean(axis=0)).ravel()
    }
    for zone, rows in _zones(truth):
        values[zone, "ceiling"] = noise_ceiling(truth.counts[rows], columns, seed=seed)
        values[zone, "ceiling_given_depth"] = _partial_ceiling(truth.counts[rows], columns, seed=seed)
        values[zone, "bins"] = np.full(len(columns), float(len(rows)))
    return values


def partial_correlation(comparison: Comparison) -> Float[np.ndarray, " g"]:
    """Return the partial correlation of truth and prediction given the logarithm of the depth.

    A part of every correlation of log1p(CP10k) is that of total counts, which this takes out of both sides.
    """
    if comparison.depth is None:
        return np.full(comparison.truth.shape[1], np.nan)
    return _partial(comparison.truth, comparison.prediction, comparison.depth)


def _partial(left: Array, right: Array, molecules: Array) -> Array:
    """Return the correlation of what the logarithm of the molecules does not explain of both sides, linearly."""
    level = np.log(np.maximum(molecules, 1.0))
    design = np.column_stack([np.ones(len(level)), level])
    sides = (np.asarray(part, dtype=np.float64) for part in (left, right))
    left, right = (side - design @ np.linalg.lstsq(design, side, rcond=None)[0] for side in sides)
    return pearson(left, right)


def _partial_ceiling(counts: sparse.csr_matrix, columns: Array, *, seed: int) -> Array:
    """Return the noise ceiling of the partial correlation: split-half reliability given the depth (Spearman 1910)."""
    first = thinned(counts, 0.5, np.random.default_rng([seed, 3]))
    second = sparse.csr_matrix(counts - first)
    left, right = (log_cp10k(part, columns=columns).toarray() for part in (first, second))
    r = np.clip(np.nan_to_num(_partial(left, right, depth(counts))), 0.0, 1.0)
    return np.asarray(np.sqrt(2 * r / (1 + r)))


def _zones(truth: ScaledTruth) -> Iterator[tuple[str, Array]]:
    """Yield the parts that hold enough bins, with their rows."""
    low, high = np.quantile(truth.nearest_um, (1 / 3, 2 / 3))
    masks = {
        "all": np.ones(len(truth), dtype=bool),
        "inside": truth.zone == "inside",
        "between": truth.zone == "between",
        "near": truth.nearest_um <= low,
        "middle": (truth.nearest_um > low) & (truth.nearest_um <= high),
        "far": truth.nearest_um > high,
    }
    for zone in ZONES:
        rows = np.flatnonzero(masks[zone])
        if zone == "all" or len(rows) >= _LEAST_BINS:
            yield zone, rows


def _rows_of(comparison: Comparison, rows: Array) -> Comparison:
    parts = {item.name: getattr(comparison, item.name) for item in fields(comparison)}
    return replace(comparison, **{name: part[rows] for name, part in parts.items() if part is not None})
