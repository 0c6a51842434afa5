"""Fit cokriging block by block: sums over spots in place of matrices of spots × genes or spots × inducing points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float
from histosge.models.base import Runtime
from histosge.section.expression import log_depth
from histosge.section.inputs import Samples

from .decompose import decomposed
from .eigensolver import Eigendecomposition
from .folds import Folds, LeftOut, folds_of
from .gene_statements import Statements
from .kernels import Covariance
from .loadings import Shrinkage
from .microscale import Microscale, is_apart, own_scores
from .nearest_spots import NearestSpots
from .normal_equations import NormalEquations
from .posterior import FactorPosterior
from .predictor import CokrigingPredictor, attribution_of
from .program_choice import choose_programs
from .projected import Members, Projected
from .ranges import pitch_of, target_rows
from .row_blocks import blocks_of
from .streamed_plan import Options, StreamedPlan, sample_of, shrinkage_of
from .streamed_values import SpotTargets, StreamedValues
from .targets import SummedTargets

__all__ = ["fit_streamed"]

# neighbourhoods whose likelihood chooses the range of what nearest spots share
_NEIGHBOURHOODS = 4


def fit_streamed(
    options: Options, samples: Samples, *, seed: int, runtime: Runtime = Runtime()
) -> CokrigingPredictor:
    """Fit cokriging to many spots.

    The process is that of inducing points (Eq. 13), and the result that of a fit which holds everything, within
    rounding, as long as the sample has all spots. Of more spots the image features and the number of programs are
    chosen at 5000, drawn by their names, and the image weight at 1000 in four neighbourhoods; everything else is summed
    over all. A random sample has the same covariance function and the same noise in a spot, so that what is estimated
    from it is consistent; of 5000 instead of all spots the coefficients of the stacked feature have larger errors.

    Parameters
    ----------
    options
        The model.
    samples
        Dense or sparse.
    seed
        As for a fit that is not streamed.
    runtime
        Device ``"cuda"`` computes eigenvectors there. Its workers compute the sums, and read expression from a file in
        their folder; the result is the same to the last bit on processors of one kind.
    """
    plan, device = StreamedPlan.of(options, samples, seed, runtime.workers), runtime.device
    process, sums = _process(plan, device)
    values = plan.values
    if options.winsorise_sd is not None:
        values = _winsorised(plan, process, sums[:, : len(plan.axes)], options.winsorise_sd)
    summed = _Summed.of(options, plan, values, process, seed)
    judged = process.at(plan.judged)
    posterior, auxiliary_dual = FactorPosterior.solve(
        judged,
        summed.folds.targets,
        summed.folds.of_all,
        gene_weight=options.gene_weight,
        residual_weight=options.residual_weight,
        most=options.output_factors,
        auxiliary_spots=np.flatnonzero(plan.sections != 0),
    )
    posterior, measured, microscale = _at_all_spots(options, plan, process, summed, posterior)
    posterior, nearest, further = _with_nearest(options, plan, posterior, measured)
    attribution = attribution_of(
        posterior.dual,
        auxiliary_dual,
        covariance=plan.covariance,
        spots=plan.spots.take(plan.judged),
        inducing_points=plan.inducing,
        nearest_spots=nearest,
    )
    fitted = _left_out(options, plan, summed.folds, judged, sums[:, len(plan.axes) :])
    left_out = [fitted if further is None else replace(fitted, further=further)]
    if plan.covariance.image_weight > 0:
        left_out += [_without_image(options, plan, summed, device), fitted]
    basis, stated = Statements(*left_out).of(posterior, samples, plan.values.standardisation, attribution)
    summary = plan.summary | summed.worth | stated | posterior.summary(plan.inducing)
    summary |= {} if nearest is None else {"nearest_spots_range_um": nearest.range_um}
    return plan.predictor(basis, posterior, summary, microscale=microscale, nearest_spots=nearest)


def _process(plan: StreamedPlan, device: str) -> tuple[NormalEquations, Array]:
    """Return the process of the inducing points, and projections of factors and sections."""
    targets = SpotTargets(plan.values, plan.axes, members=plan.number)
    return NormalEquations.of(
        plan.covariance, plan.spots, plan.inducing, order=plan.order, targets=targets, device=device
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Summed:
    """The winsorised values, and sums of them.

    ``folds`` has the loadings without each fold and the sums as targets; ``worth`` says what gene programs were worth.
    """

    values: StreamedValues
    folds: Folds
    worth: dict[str, Any]

    @classmethod
    def of(
        cls, options: Options, plan: StreamedPlan, values: StreamedValues, process: NormalEquations, seed: int
    ) -> _Summed:
        fold = folds_of(plan.samples.inputs.locations.points.ids, seed)
        by_fold = values.moments_of_folds(fold, plan.order)
        total = by_fold[0]
        for part in by_fold[1:]:
            total = total + part
        mean = total.mean
        values = replace(values, mean=mean)
        shrinkage, worth = _with_programs(
            options, plan, values, shrinkage_of(options, total, values.standardisation), fold, seed
        )
        products = total.centred(mean)
        targets = _targets(plan, values, process, products)
        of_all = shrinkage.loadings_of_products(products, total.spots)
        loadings = map_parts(
            lambda part: shrinkage.loadings_of_products((total - part).centred(mean), (total - part).spots),
            by_fold,
        )
        folds = Folds(targets, fold, tuple(loadings), of_all, targets.along(of_all.axes))
        return cls(values, folds, worth)


def _winsorised(
    plan: StreamedPlan, process: NormalEquations, projections: Array, most_sd: float
) -> StreamedValues:
    """Return values winsorised around their leave-one-out prediction by the factors (Eq. 14)."""
    axes = plan.axes
    total = np.einsum("kg,gh,kh->k", axes, plan.moments.products, axes, optimize=True)
    expected = np.empty((len(plan.spots), len(axes)), dtype=np.float32)

    def predict(rows: Array) -> None:
        targets = plan.values.at(rows) @ axes.T
        own = targets.astype(projections.dtype)
        of_targets = Projected(targets, np.zeros(len(axes)), own, projections, total)
        expected[rows] = process.at(rows).posterior(of_targets).left_out

    map_parts(predict, blocks_of(plan.order))
    limit = most_sd * plan.values.errors(expected, axes, plan.order)
    return replace(plan.values, expected=expected, axes=axes, limit=limit)


def _targets(
    plan: StreamedPlan, values: StreamedValues, process: NormalEquations, products: Array
) -> SummedTargets:
    """Return the sums of all genes with the inducing points."""
    own = plan.sections[plan.order] == 0
    targets = SpotTargets(values)
    sums, auxiliary = process.sums(plan.order[own] if own.any() else plan.order, targets), None
    if own.any() and not own.all():
        of_others = process.sums(plan.order[~own], targets)
        auxiliary, sums = process.projections(of_others), sums + of_others
    return SummedTargets(_at(values, plan.judged, process), process.projections(sums), products, auxiliary)


def _at(values: StreamedValues, rows: Array, process: NormalEquations) -> Float[np.ndarray, "l g"]:
    """Return the values of some spots in the precision of the process."""
    return values.at(rows).astype(process.precision)


def _with_programs(
    options: Options,
    plan: StreamedPlan,
    values: StreamedValues,
    shrinkage: Shrinkage,
    fold: Array,
    seed: int,
) -> tuple[Shrinkage, dict[str, Any]]:
    """Return the rule of loadings with as many directions of gene programs as help at the sample."""
    samples = plan.samples
    if samples.programs is None or not len(samples.programs):
        return shrinkage, {}
    rows = sample_of(plan.shuffled)
    some, programs = values.at(rows).astype(np.float64), samples.programs * values.standardisation.weight
    spots, sections = plan.spots.take(rows), plan.sections[rows]
    own = Shrinkage.of(some, values.standardisation.weight, shrinkage.factors)
    choice = choose_programs(
        own if options.shrink_loadings else shrinkage,
        programs,
        values=some,
        eigen=decomposed(plan.covariance, spots, spots, device="cpu"),
        fold=fold[rows],
        sections=sections,
        rows=np.flatnonzero(sections == 0) if (sections == 0).any() else np.arange(len(rows)),
        log_depth=log_depth(samples.depth[rows]),
    )
    return shrinkage.with_leading(programs[: choice.summary["used"]]), {"programs": choice.summary}


def _at_all_spots(
    options: Options,
    plan: StreamedPlan,
    process: NormalEquations,
    summed: _Summed,
    posterior: FactorPosterior,
) -> tuple[FactorPosterior, Float[np.ndarray, "n k"], Microscale | None]:
    """Return the posterior with leave-one-out scores of all spots, measured scores, and what each spot has of its own.

    At judged spots the scores are exact (Eq. 12). At others the fitted score is moved by as much as the output factor,
    kriged by itself, moves without the spot: spots are many for each inducing point, and none has leverage.
    """
    spots, judged, folds = plan.spots, plan.judged, summed.folds
    left_out = np.empty((len(spots), len(posterior.loadings)), dtype=np.float32)
    variance, measured = np.empty_like(left_out), np.empty_like(left_out)
    apart = options.microscale and is_apart(spots)
    own = np.empty_like(left_out) if apart else None
    of_output, of_factors = folds.targets.along(posterior.loadings), folds.targets.along(folds.of_all.axes)
    root = np.sqrt(process.eigenvalues)[:, None]

    def predict(rows: Array) -> None:
        matrix = process.covariances(rows)
        eigen, values = process.at(rows, matrix), _at(summed.values, rows, process)
        targets = of_output.at(values @ posterior.loadings.T.astype(values.dtype))
        measured[rows], kriged = targets.targets, eigen.posterior(targets)
        fitted = eigen.eigenvectors @ (root * kriged.projections).astype(eigen.eigenvectors.dtype)
        left_out[rows] = matrix.astype(np.float64) @ posterior.dual - (fitted - kriged.left_out)
        variance[rows] = eigen.left_out_variance(targets)
        if own is not None:
            scores = of_factors.at(values @ folds.of_all.axes.T.astype(values.dtype))
            own[rows] = own_scores(
                eigen,
                scores,
                folds.of_all,
                reliability=plan.values.standardisation.weight**2,
                output_loadings=posterior.loadings,
                spots=len(spots),
            )

    map_parts(predict, blocks_of(plan.order))
    left_out[judged], variance[judged] = posterior.left_out, posterior.left_out_variance
    microscale = None
    if own is not None:
        microscale = Microscale(spots.xy_um, spots.section_index, spots.diameter_um, own)
    return replace(posterior, left_out=left_out, left_out_variance=variance), measured, microscale


def _with_nearest(
    options: Options, plan: StreamedPlan, posterior: FactorPosterior, measured: Float[np.ndarray, "n k"]
) -> tuple[FactorPosterior, NearestSpots | None, tuple[Array, Array] | None]:
    """Return leave-one-out scores with what nearest spots add, these spots, and what they add at judged spots."""
    spots = plan.spots
    if not options.nearest_spots:
        return posterior, None, None
    nearest = NearestSpots.fit(
        spots.xy_um,
        spots.section_index,
        (measured - posterior.left_out).astype(np.float32),
        pitch_um=pitch_of(spots.separated_xy_um[target_rows(plan.sections)]),
        centres=plan.shuffled[:_NEIGHBOURHOODS],
        neighbours=options.nearest_spots,
    )
    if nearest is None:
        return posterior, None, None
    mean, variance = nearest.left_out()
    further = mean[plan.judged], posterior.loadings
    left_out, total = posterior.left_out + mean, posterior.left_out_variance + variance
    return replace(posterior, left_out=left_out, left_out_variance=total), nearest, further


def _left_out(
    options: Options, plan: StreamedPlan, folds: Folds, eigen: Eigendecomposition, of_sections: Array
) -> LeftOut:
    """Predict the judged spots from all others."""
    rows = plan.judged
    members = Members(
        plan.members(rows).astype(eigen.eigenvectors.dtype), of_sections, np.bincount(plan.sections)
    )
    return LeftOut.of(
        eigen,
        folds,
        rows=rows,
        sections=plan.sections[rows],
        gene_weight=options.gene_weight,
        residual_weight=options.residual_weight,
        members=members,
    )


def _without_image(options: Options, plan: StreamedPlan, summed: _Summed, device: str) -> LeftOut:
    """Predict the judged spots from all others by the same fit without the image."""
    genes = summed.values.genes
    covariance: Covariance = plan.covariance.without_image()
    process, sums = NormalEquations.of(
        covariance,
        plan.spots,
        plan.inducing,
        order=plan.order,
        targets=SpotTargets(summed.values, members=plan.number),
        device=device,
    )
    targets = replace(summed.folds.targets, projections=sums[:, :genes], auxiliary=None)  # type: ignore[type-var]
    folds = replace(summed.folds, targets=targets, scores=targets.along(summed.folds.of_all.axes))
    return _left_out(options, plan, folds, process.at(plan.judged), sums[:, genes:])
