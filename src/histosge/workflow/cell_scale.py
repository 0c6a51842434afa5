"""Whether the cells of a prediction differ from their neighbourhood by more than chance, gene by gene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histosge._runtime.types import Array
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.models.gene_order import as_fitted
from histosge.prediction.accuracy_words import cell_sentence
from histosge.prediction.factored import FactoredPrediction
from histosge.section.inputs import Inputs
from histosge.section.section import Section
from histosge.segmentation.cells import Cells

from .compute import Compute
from .effective_resolution import LEAST_SPOTS, resolution_of
from .fit import Fit

__all__ = ["MAP_UM", "with_cell_scale"]

#: µm; width at which a map is judged beside single cells
MAP_UM = 50.0
# of a cell known by its centroid alone
_CELL_UM = 10.0
# disks over which the reliability is a mean
_DISKS = 400


def with_cell_scale(
    prediction: FactoredPrediction, fitted: object, section: Section, inputs: Inputs, *, compute: Compute
) -> tuple[FactoredPrediction, str]:
    """Return a prediction at cells with the reliability of each gene at their width and at 50 µm, and a sentence.

    See :func:`histosge.effective_resolution`. It is unknown, and the sentence empty, at other locations, for other
    models than cokriging, fits at the mean depth, predictions of sections that were not measured, and few spots.

    Parameters
    ----------
    prediction, inputs
        At all cells, and what the model read there.
    fitted, section
        The fit, and the section.
    compute
        Device and store of image features.
    """
    cells, fit = prediction.locations.cells, _judged(fitted, section)
    if cells is None or fit is None:
        return prediction, ""
    rows, width_um = _sample(prediction), _median_width_um(cells)
    # cells may be 50 µm wide themselves
    widths = tuple(sorted({width_um, MAP_UM}))
    resolution = resolution_of(
        fit,
        section,
        prediction.basis,
        prediction.genes,
        at=inputs.take(rows),
        widths_um=widths,
        compute=compute,
    )
    cell, wide = (resolution.reliability[widths.index(width)] for width in (width_um, MAP_UM))
    own = cell
    if width_um < MAP_UM:
        share = _within_neighbourhoods(prediction, rows)
        own = resolution.reliability_within(width_um, MAP_UM, share)
    basis = replace(prediction.basis, reliability_cell=cell, reliability_own=own, reliability_50um=wide)
    return replace(prediction, basis=basis), cell_sentence(basis.reliable_as, width_um)


def _within_neighbourhoods(prediction: FactoredPrediction, rows: Array) -> Array:
    """Return the part of each gene's predicted variance over some cells that lies within their neighbourhoods."""
    from scipy.spatial import cKDTree

    xy_um, scores = prediction.locations.xy, np.asarray(prediction.scores, dtype=np.float64)
    near = cKDTree(xy_um).query_ball_point(xy_um[rows], MAP_UM / 2)
    around = np.stack([scores[cells].mean(axis=0) for cells in near])
    loadings = np.asarray(prediction.basis.loadings, dtype=np.float64)
    whole, within = ((part @ loadings.T).var(axis=0) for part in (scores[rows], scores[rows] - around))
    return np.asarray(np.divide(within, whole, out=np.zeros(len(whole)), where=whole > 0))


def _judged(fitted: object, section: Section) -> Fit | None:
    """Return a fit that says how well means over disks are known; ``None`` for any other."""
    if not isinstance(fitted, Fit) or not isinstance(as_fitted(fitted.predictor), CokrigingPredictor):
        return None
    own = fitted.metadata.section.fingerprint == section.fingerprint
    return fitted if own and not fitted.recipe.depth_adjusted and len(section) >= LEAST_SPOTS else None


def _sample(prediction: FactoredPrediction) -> Array:
    """Return rows of some hundred cells on tissue, all over the section."""
    rows = np.flatnonzero(prediction.locations.in_tissue)
    rows = rows if len(rows) else np.arange(len(prediction))
    return np.sort(np.random.default_rng(0).permutation(rows)[:_DISKS])


def _median_width_um(cells: Cells) -> float:
    """Return the diameter of the disk with the median area of the cells."""
    if cells.outlines is None:
        return _CELL_UM
    return float(2 * np.sqrt(np.median(cells.area_um2) / np.pi))
