"""Means over disks around the predicted locations: how far each is known, in a form small enough for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.errors import HistosgeError
from histosge.geometry.spacing import median_spacing_um
from histosge.models import saving
from histosge.models.cokriging.area_means import area_variances
from histosge.models.cokriging.effective_resolution import fine_share
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.models.gene_order import as_fitted
from histosge.prediction.effective_resolution import UNEXPLAINED_SLOPE, UnexplainedVariance
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.section import Section
from histosge.workflow.effective_resolution import LEAST_SPOTS, unexplained_variance

from .stored_features import stored_features

__all__ = ["AreaMeans", "area_means", "disk_averages"]

# stops of the slider, µm; those narrower than the spacing of the locations are left out
_WIDTHS_UM = (
    10.0,
    15.0,
    20.0,
    25.0,
    30.0,
    40.0,
    50.0,
    60.0,
    80.0,
    100.0,
    125.0,
    150.0,
    200.0,
    250.0,
    300.0,
    400.0,
)
_ROUNDING = 0.95
# members of all disks of a width together, which the page keeps in memory: wider disks are left out
_MOST_MEMBERS = 3_000_000
# locations × fitted spots that are compared for it: some ten seconds
_MOST_COMPARED = 100_000_000
# numbers of patterns that variances of all genes and widths are sums of, tried in turn until the error is small enough;
# and genes on which they are compared
_PATTERNS, _SMALL_ERROR, _COMPARED_GENES = (8, 16, 32), 0.01, 64


@dataclass(frozen=True, slots=True, eq=False)
class AreaMeans:
    """What the page needs to say how far the mean over a disk is known, for any gene and width.

    The posterior variance of gene j over disks of width w is ``patterns @ weights[w].T @ squared loadings of j``.

    Parameters
    ----------
    widths_um
        Diameters of the disks.
    patterns
        Locations × patterns.
    weights
        (widths + 1) × factors × patterns; the last is of a spot.
    spot_um
        Diameter of a spot.
    fine_share
        Variance of fine structure over disks of each width, relative to that over a spot.
    unexplained
        What spots that were left out say of these variances, gene by gene.
    error
        Error of reliabilities that the patterns make, which 99 of 100 locations do not exceed.
    """

    widths_um: tuple[float, ...]
    patterns: Float[np.ndarray, "n r"]
    weights: Float[np.ndarray, "v k r"]
    spot_um: float
    fine_share: tuple[float, ...]
    unexplained: UnexplainedVariance
    error: float


def area_means(
    folder: Path,
    record: Mapping[str, Any],
    *,
    prediction: FactoredPrediction | Prediction,
    section: Section | None,
    shown: Array,
) -> AreaMeans | str:
    """Return how far means over disks are known, from the fit in the folder of a run; or why that cannot be said.

    Parameters
    ----------
    folder, record
        Of the run.
    prediction
        Of the run.
    section
        Its counts.
    shown
        Locations on tissue: disks contain no others.
    """
    fit = folder / "fit" / str(record.get("fit_key") or "none")
    if not isinstance(prediction, FactoredPrediction):
        return "the model of this run states no uncertainty of means"
    if section is None or not section.has_counts or len(section) < LEAST_SPOTS:
        return f"fewer than {LEAST_SPOTS} spots were measured here, which do not show what predictions miss"
    if not saving.is_saved(fit):
        return "the fit of this run is not in its folder. `histosge run` with the same --out makes it again"
    xy_um = prediction.locations.xy
    spacing_um = median_spacing_um(xy_um) if len(xy_um) > 1 else np.inf
    widths = _widths_of(len(xy_um), spacing_um)
    if not widths:
        return f"locations {spacing_um:.0f} µm apart show no disk of {_WIDTHS_UM[-1]:.0f} µm or less"
    try:
        predictor = as_fitted(saving.load(fit)[1])
        if not isinstance(predictor, CokrigingPredictor):
            return f"the model {(record.get('model') or {}).get('name')} states no uncertainty of means"
        if len(xy_um) * len(predictor.inducing_points) > _MOST_COMPARED:
            return f"there are {len(xy_um)} locations, too many to compare with all spots. Predict at fewer"
        inputs = stored_features(folder / "features", predictor, prediction)
        if inputs is None:
            return "the image features of this run are not in its folder. `histosge run` with the same --out makes them"
        unexplained = unexplained_variance(
            section, prediction.basis, predictor.left_out_scores()[1][: len(section)]
        )
    except HistosgeError as error:
        return f"the fit of this run cannot be used: {error}"
    spot_um = predictor.inducing_points.diameter_um or section.spots.diameter_um
    averages = [disk_averages(xy_um, width, spacing_um, shown) for width in (*widths, spot_um)]
    return _packed(
        area_variances(predictor, inputs, averages),
        prediction,
        widths=widths,
        spot_um=spot_um,
        unexplained=unexplained,
    )


def disk_averages(
    xy_um: Float[np.ndarray, "n 2"], width_um: float, spacing_um: float, shown: Array
) -> sparse.csr_matrix:
    """Return the weights of the mean over a disk around each location, locations × locations.

    A location stands for the tissue up to half a spacing around it: at the rim of the disk its weight falls from 1 to 0
    over one spacing. The page computes the same. Locations that are not ``shown`` are in no disk but their own.
    """
    from scipy.spatial import cKDTree

    reach = width_um / 2 + spacing_um / 2
    tree, n = cKDTree(xy_um), len(xy_um)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    distance = np.linalg.norm(xy_um[pairs[:, 0]] - xy_um[pairs[:, 1]], axis=1)
    weight = np.clip((reach - distance) / spacing_um, 0.0, 1.0)
    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    values = np.tile(weight, 2) * shown[columns]
    own = np.arange(n)
    rows, columns = np.concatenate([rows, own]), np.concatenate([columns, own])
    values = np.concatenate([values, np.full(n, min(reach / spacing_um, 1.0))])
    weights = sparse.csr_matrix((values, (rows, columns)), shape=(n, n))
    weights.eliminate_zeros()
    return sparse.csr_matrix(weights.multiply(1 / np.asarray(weights.sum(axis=1))))


def _widths_of(locations: int, spacing_um: float) -> tuple[float, ...]:
    """Return the widths that locations so far apart show, and the page has room for."""
    members = [locations * np.pi / 4 * (width / spacing_um + 1) ** 2 for width in _WIDTHS_UM]
    return tuple(
        width
        for width, number in zip(_WIDTHS_UM, members, strict=True)
        if width >= _ROUNDING * spacing_um and number <= _MOST_MEMBERS
    )


def _packed(
    variances: Sequence[Float[np.ndarray, "n k"]],
    prediction: FactoredPrediction,
    *,
    widths: tuple[float, ...],
    spot_um: float,
    unexplained: UnexplainedVariance,
) -> AreaMeans:
    """Write variances as sums of a few patterns over the locations, those that serve the genes best."""
    squared = np.asarray(prediction.basis.loadings, dtype=np.float64) ** 2
    # what counts is the variance relative to the signal of a gene; nothing is said of genes without one
    known = np.isfinite(unexplained.intercept)
    relative = squared[known] / unexplained.signal[known, None]
    values, axes = np.linalg.eigh(relative.T @ relative)
    metric = axes * np.sqrt(np.maximum(values, 0.0))
    seen = np.hstack([part @ metric / part.mean(dtype=np.float64) for part in variances])
    axes = np.linalg.eigh(seen.T @ seen)[1]
    compared = relative[:: max(len(relative) // _COMPARED_GENES, 1)]
    for number in _PATTERNS:
        # left singular vectors
        patterns = seen @ axes[:, -number:]
        patterns /= np.maximum(np.linalg.norm(patterns, axis=0), np.finfo(np.float64).tiny)
        weights = np.stack([part.astype(np.float64).T @ patterns for part in variances])
        error = _error(variances, patterns, weights, compared)
        if error <= _SMALL_ERROR:
            break
    return AreaMeans(
        widths,
        patterns,
        weights,
        spot_um=spot_um,
        fine_share=tuple(fine_share(width, spot_um) for width in widths),
        unexplained=unexplained,
        error=error,
    )


def _error(variances: Sequence[Array], patterns: Array, weights: Array, relative: Array) -> float:
    """Return the error of variances, relative to the signal, that 99 of 100 locations of each width do not exceed."""
    errors = [
        np.quantile(np.abs(variance @ relative.T - patterns @ (relative @ weight).T), 0.99)
        for variance, weight in zip(variances, weights, strict=True)
        if len(relative)
    ]
    return UNEXPLAINED_SLOPE * float(max(errors, default=0.0))
