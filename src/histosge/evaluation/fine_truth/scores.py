"""Scores of a prediction at one scale of the finer truth, gene by gene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.metrics import METRICS, Comparison
from histosge.metrics.ceiling import noise_ceiling
from histosge.prediction.mean_depth import is_depth_adjusted
from histosge.prediction.prediction import Prediction
from histosge.section.expression import depth, log_cp10k

from .scales import CELLS, ScaledTruth

__all__ = ["ZONES", "score_scale", "statistics"]

#: parts of the truth that are scored apart; near, middle and far are terciles of the distance to the nearest spot
ZONES = ("all", "inside", "between", "near", "middle", "far")
# of each part, and further ones of all bins
_METRICS = ("pcc", "pcc_given_depth", "mse", "deviance", "coverage90")
_FURTHER = ("spearman", "ssim", "mae", "crps", "width90")
# a correlation of fewer bins is noise
_LEAST_BINS = 30
# bins are many: further thinnings of them change nothing
_THINNINGS = 2


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
        # intervals of a fit at the mean depth are not those of log1p(CP10k)
        sd=None
        if prediction.sd is None or is_depth_adjusted(prediction.provenance)
        else truth.of_parts(prediction.sd),
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
    return values


def statistics(
    truth: ScaledTruth, columns: Array, *, seed: int
) -> dict[tuple[str, str], Float[np.ndarray, " g"]]:
    """Return the noise ceiling of each gene by part of the truth, and its mean expression, without any model."""
    values: dict[tuple[str, str], Array] = {
        ("all", "expression"): np.asarray(log_cp10k(truth.counts, columns=columns).mean(axis=0)).ravel()
    }
    for zone, rows in _zones(truth):
        counts = truth.counts[rows]
        for name, given_depth in (("ceiling", False), ("ceiling_given_depth", True)):
            values[zone, name] = noise_ceiling(
                counts, columns, given_depth=given_depth, thinnings=_THINNINGS, seed=seed
            )
        values[zone, "bins"] = np.full(len(columns), float(len(rows)))
    return values


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
