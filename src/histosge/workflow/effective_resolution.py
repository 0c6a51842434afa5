"""The effective resolution of a fit: how wide a disk must be for its mean expression to be known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from histosge._runtime.seeds import refuse_seed
from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.models.blocks import runs
from histosge.models.cokriging.disk_means import disk_points, disk_scores
from histosge.models.cokriging.effective_resolution import (
    fine_share,
    signal_at_spots,
    unexplained_at_spots,
)
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.models.gene_order import as_fitted
from histosge.prediction.effective_resolution import EffectiveResolution, UnexplainedVariance
from histosge.prediction.factored import Basis
from histosge.prediction.mean_depth import refuse_depth_adjusted
from histosge.section.expression import depth, log_cp10k
from histosge.section.inputs import Inputs
from histosge.section.locations import Locations, grid
from histosge.section.section import Section

from .compute import Compute
from .encode import encode
from .fit import Fit

__all__ = ["LEAST_SPOTS", "WIDTHS_UM", "effective_resolution", "resolution_of", "unexplained_variance"]

#: widths of the disks in µm
WIDTHS_UM: tuple[float, ...] = (10.0, 25.0, 50.0, 100.0, 200.0, 400.0)
# disks where the caller names no locations: enough for a mean over the section
_DISKS = 400
_GRID_PITCHES = 0.25
#: fewer spots do not show how well left-out ones are predicted
LEAST_SPOTS = 40
_GENES_AT_A_TIME = 512


def effective_resolution(
    fit: Fit,
    section: Section,
    genes: Sequence[str] | None = None,
    *,
    locations: Locations | None = None,
    widths_um: Sequence[float] = WIDTHS_UM,
    seed: int = 0,
    compute: Compute = Compute(),
) -> EffectiveResolution:
    """Return for each gene, and each location, how much of the mean expression over disks is known, by their width.

    The posterior of a disk mean follows from the fit. How much variance there is to explain does not: a model of spots
    sees nothing of the structure inside them. So each spot is left out and predicted from the others. What that
    explains of the reproducible variance at equal depth is what holds at the width of a spot; the variance that the
    model misses there is taken for structure of cells, which averages out over wide disks and counts more in narrow
    ones. The page "Effective resolution" of the results compares this with single cells.

    Parameters
    ----------
    fit
        Of the model ``cokriging``, to the section, with auxiliary sections or without.
    section
        The fitted section, the first one of the fit.
    genes
        Some of the section's genes; ``None``: all that were fitted.
    locations
        Centres of the disks; ``None``: 400 spread over the tissue.
    widths_um
        Diameters of the disks.
    seed
        Draws the halves of the molecules and the locations.
    compute
        Device and store of image features.

    Raises
    ------
    UsageError
        For a fit of another model, of another section or with ``depth_adjusted``, a transferred fit, too few spots,
        unknown genes, and widths that are not positive.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=10, rows=10, genes=12).section
    >>> fit = hs.fit(section, hs.Recipe("cokriging", "positions", genes="all"))
    >>> resolution = hs.effective_resolution(fit, section)
    >>> resolution.reliability.shape
    (6, 12)
    """
    refuse_seed(seed)
    predictor = _predictor_of(fit, section)
    widths = _checked(widths_um)
    # unknown genes are refused before anything is computed
    names = fit.genes if genes is None else np.asarray(genes, dtype=str)
    section.columns(names)
    basis = predictor.basis
    # genes outside the panel are predicted from the factors, as a run predicts them
    basis = basis if np.isin(names, basis.genes).all() else fit.completed(basis, section)
    if locations is None:
        every = grid(section, _GRID_PITCHES * section.pitch_um)
        locations = every.take(np.sort(np.random.default_rng(seed).permutation(len(every))[:_DISKS]))
    return resolution_of(
        fit, section, basis, names, at=locations, widths_um=widths, seed=seed, compute=compute
    )


def resolution_of(
    fit: Fit,
    section: Section,
    basis: Basis,
    names: Array,
    *,
    at: Locations | Inputs,
    widths_um: Sequence[float],
    seed: int = 0,
    compute: Compute = Compute(),
) -> EffectiveResolution:
    """Return the effective resolution of genes of a basis; see :func:`effective_resolution`.

    Parameters
    ----------
    fit, section, widths_um, seed, compute
        As there, checked.
    basis, names
        Genes with their accuracy, all fitted ones among them, and the names of those asked for.
    at
        Centres of the disks, or what the model reads there: disks no wider than a spot are then not encoded again.
    """
    predictor = _predictor_of(fit, section)
    chosen, unexplained = _judged(fit, predictor, section, basis, names, seed=seed)
    loadings = np.asarray(chosen.loadings, dtype=np.float64)
    spot_um = predictor.inducing_points.diameter_um or section.spots.diameter_um
    predicted, variances = [], []
    for width in (*widths_um, spot_um):
        if isinstance(at, Inputs) and len(disk_points(width, spot_um)[0]) == 1:
            disks = _as_disks(at, width), np.arange(len(at))
        else:
            centres = at.locations if isinstance(at, Inputs) else at
            disks = _disk_inputs(fit, section, centres, width, compute=compute)
        scores, variance = disk_scores(predictor, *disks)
        predicted.append((scores @ loadings.T).var(axis=0))
        variances.append(variance.astype(np.float32))
    return EffectiveResolution(
        names,
        tuple(widths_um),
        at.locations if isinstance(at, Inputs) else at,
        np.array(predicted[:-1]) / np.maximum(predicted[-1], np.finfo(np.float64).tiny),
        np.array(variances),
        squared_loadings=loadings**2,
        unexplained=unexplained,
        fine_share=np.array([fine_share(width, spot_um) for width in widths_um]),
    )


def _as_disks(inputs: Inputs, width_um: float) -> Inputs:
    """Return the same as disks of a width, which none of them was measured at."""
    points = replace(inputs.locations.points, diameter_um=width_um)
    nowhere = np.zeros(len(inputs), dtype=bool)
    return replace(inputs, locations=replace(inputs.locations, points=points, observed=nowhere, cells=None))


def _judged(
    fit: Fit, predictor: CokrigingPredictor, section: Section, basis: Basis, names: Array, *, seed: int
) -> tuple[Basis, UnexplainedVariance]:
    """Return genes and what is unexplained of them, judged among all fitted ones, whichever are asked for."""
    rows = basis.columns(names.tolist())
    judged = np.union1d(rows, basis.columns(fit.genes.tolist()))
    # spots of auxiliary sections come after those of the section
    score_sd = predictor.left_out_scores()[1][: len(section)]
    unexplained = unexplained_variance(section, basis.take(judged), score_sd, seed=seed)
    return basis.take(rows), unexplained.take(np.searchsorted(judged, rows))


def _predictor_of(fit: Fit, section: Section) -> CokrigingPredictor:
    """Return the predictor of a fit whose posterior is known everywhere."""
    predictor = as_fitted(fit.predictor) if isinstance(fit, Fit) else None
    if not isinstance(predictor, CokrigingPredictor):
        raise UsageError(
            "The effective resolution needs a fit of the model cokriging to measured spots: other models state no "
            "posterior of a mean over a disk. Fit one with `hs.fit`."
        )
    refuse_depth_adjusted({"recipe": fit.recipe.as_dict()}, "The effective resolution")
    if fit.metadata.section.fingerprint != section.fingerprint:
        raise UsageError(f"Section '{section.name}' is not the one that was fitted. Give that one.")
    if len(section) < LEAST_SPOTS:
        raise UsageError(
            f"Expected at least {LEAST_SPOTS} spots, got {len(section)}: fewer do not show how well left-out spots "
            "are predicted."
        )
    return predictor


def _checked(widths_um: Sequence[float]) -> tuple[float, ...]:
    widths = tuple(sorted({float(width) for width in widths_um}))
    if not widths or not widths[0] > 0 or not widths[-1] < np.inf:
        raise UsageError(f"Expected `widths_um` of positive numbers, got {tuple(widths_um)}.")
    return widths


def unexplained_variance(
    section: Section, basis: Basis, score_sd: Float[np.ndarray, "s k"], *, seed: int = 0
) -> UnexplainedVariance:
    """Compare spots with predictions that have not seen them.

    Parameters
    ----------
    section
        The fitted section.
    basis
        Genes of it, with their correlation at spots left out, given depth.
    score_sd
        Standard deviation of each factor score at each spot, left out of the fit.
    seed
        Draws the halves of the molecules.
    """
    rng = np.random.default_rng(seed)
    first = sparse.csr_matrix(section.counts, dtype=np.float64, copy=True)
    first.data = rng.binomial(np.rint(first.data).astype(np.int64), 0.5).astype(np.float64)
    parts = (section.counts, first, sparse.csr_matrix(section.counts - first))
    columns, total = section.columns(basis.genes), depth(section.counts)
    # normalised once: the values of a gene are neighbours in memory
    parts = tuple(sparse.csc_matrix(log_cp10k(counts))[:, columns] for counts in parts)
    variance, reliability = np.empty((2, len(columns)))
    for block in runs(len(columns), _GENES_AT_A_TIME):
        measured, left, right = (values[:, block].T.toarray().T for values in parts)
        variance[block], reliability[block] = signal_at_spots(measured, (left, right), total)
    loadings = np.asarray(basis.loadings, dtype=np.float64)
    return unexplained_at_spots(
        variance,
        reliability,
        r=np.asarray(basis.r_loo_given_depth, dtype=np.float64),
        posterior=loadings**2 @ (score_sd.astype(np.float64) ** 2).mean(axis=0),
        spots=len(section),
    )


def _disk_inputs(
    fit: Fit, section: Section, locations: Locations, width_um: float, *, compute: Compute
) -> tuple[Inputs, Array]:
    """Return the inputs at the points of every disk that lie near a spot, and the disk of each point."""
    from scipy.spatial import cKDTree

    spots = section.spots
    shift, part_um = disk_points(width_um, spots.diameter_um)
    xy_um = (locations.xy[:, None] + shift).reshape(-1, 2)
    disk = np.repeat(np.arange(len(locations)), len(shift))
    tree = cKDTree(spots.xy)
    # a disk at the edge is averaged over its tissue; its own centre stays in any case
    near = tree.query(xy_um)[0] <= section.pitch_um
    near |= ~np.isin(disk, disk[near])
    xy_um, disk = xy_um[near], disk[near]
    n = len(xy_um)
    lattice_xy = np.full((n, 2), np.nan) if section.lattice is None else section.lattice.to_lattice(xy_um)
    points = Locations(
        Points(xy_um, np.arange(n).astype(str), part_um),
        lattice_xy,
        parent=tree.query(xy_um)[1],
        subspot=np.full(n, -1),
        observed=np.zeros(n, dtype=bool),
        in_tissue=np.ones(n, dtype=bool),
    )
    inputs = encode(section, points, needs=fit.model.needs, encoder=fit.encoder, compute=compute)
    return fit.inputs(inputs), disk
