"""Fit models to spots made of a finer truth, and score them below the scale of the spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from histosge._runtime.atomic_files import writable_folder
from histosge._runtime.messages import emit
from histosge.errors import UsageError
from histosge.evaluation.baselines import FINER_BASELINES
from histosge.evaluation.evaluate import seeds_of
from histosge.figures.fine_truth_maps import FineTruthMaps
from histosge.workflow.compute import Compute
from histosge.workflow.recipe import Recipe

from .measured_spots import MeasuredSpots
from .pseudo_spots import Layout
from .read_truth import read_truth
from .result import FineTruthResult, summary
from .result_files import refuse_overwriting, write_result
from .scales import CELLS
from .seed_run import FinePlan, run_seed
from .truth import FineTruth

__all__ = ["WIDTHS_UM", "evaluate_fine_truth"]

#: widths of bins in µm, where a user names none
WIDTHS_UM: tuple[float, ...] = (10.0, 25.0, 50.0, 100.0)


def evaluate_fine_truth(
    truth: FineTruth | Path | str,
    models: str | Recipe | Sequence[str | Recipe] = ("cokriging",),
    *,
    layout: str | Layout | MeasuredSpots = "visium",
    widths_um: Sequence[float] | None = None,
    median_depth: float | None = None,
    seeds: int | Sequence[int] = 3,
    out: Path | str | None = None,
    compute: Compute = Compute(),
) -> FineTruthResult:
    """Score models in bins and at cells, fitted to spots made of half of the molecules.

    The molecules of every cell or fine bin are divided at random into two halves (:meth:`FineTruth.halves`). Spots of
    the layout, with a phase and rotation of their own for each seed, are made of the first; the second is the truth
    everywhere, inside and between spots. No molecule is in both, and no fit sees the second half.

    Parameters
    ----------
    truth
        A finer truth, or a path for :func:`histosge.evaluation.fine_truth.read_truth.read_truth`.
    models
        Beside :data:`~histosge.evaluation.baselines.FINER_BASELINES`: names, ``name:preset`` or recipes. A recipe names
        the encoder too.
    layout
        ``"visium"``, ``"wide"`` (95 µm spots of a pitch of 100 µm), ``"legacy"``, or ``KIND:PITCH:DIAMETER`` in µm. Or
        :class:`~histosge.evaluation.fine_truth.measured_spots.MeasuredSpots`: those of another section, such as the
        neighbouring one. Then all molecules of the truth are scored with, and seeds are those of the fits.
    widths_um
        Widths of the bins, in µm; by default 10, 25, 50 and 100. Cells are scored too where the truth has cells.
    median_depth
        Median molecules of a spot; ``None`` keeps half of all molecules.
    seeds
        Number of seeds (0, 1, 2 …), or the seeds.
    out
        Folder for tables and figures; ``None`` writes nothing.
    compute
        Device, precision and progress.

    Raises
    ------
    UsageError
        For unknown models or layouts, and scales that the truth does not resolve.
    DataError
        For a damaged truth, sections that do not lie on one another, and a fit that depends on what it is scored with.
    """
    if not isinstance(truth, FineTruth):
        truth = read_truth(truth)
    emit(truth.messages)
    plan = FinePlan(
        truth,
        _recipes(models),
        layout if isinstance(layout, MeasuredSpots) else Layout.parse(layout),
        _scales(truth, widths_um),
        seeds_of(seeds),
        median_depth,
    )
    if out is None:
        with TemporaryDirectory() as folder:
            return _run(plan, compute.with_store(Path(folder)))[0]
    out = Path(out)
    sources = layout.section.sources if isinstance(layout, MeasuredSpots) else ()
    refuse_overwriting((*truth.sources, *sources), out)
    # spots that cannot be made are refused before a folder is there
    plan.spots(plan.seeds[0])
    writable_folder(out)
    return write_result(*_run(plan, compute.with_store(out / "features")), out)


def _run(plan: FinePlan, compute: Compute) -> tuple[FineTruthResult, FineTruthMaps]:
    """Run all seeds; the maps are those of the first."""
    import pandas as pd

    results = []
    for done, seed in enumerate(plan.seeds, start=1):
        results.append(run_seed(plan, seed, replace(compute, progress=None)))
        if compute.progress is not None:
            compute.progress(done, len(plan.seeds), "seeds")
    frame = pd.concat([result.scores for result in results], ignore_index=True)
    genes = pd.concat([result.genes for result in results], ignore_index=True)
    result = FineTruthResult(
        plan.truth.name,
        plan.layout.name,
        tuple(result.spots for result in results),
        frame,
        genes,
        summary(frame, genes),
        costs=tuple(cost for result in results for cost in result.costs),
        skipped=plan.skipped,
        messages=tuple(message.text for message in (*plan.truth.messages, *results[0].messages)),
    )
    return result, results[0].maps


def _scales(truth: FineTruth, widths_um: Sequence[float] | None) -> tuple[float | str, ...]:
    """Return the scales, finest first: cells, then the widths that the bins of the truth divide."""
    if widths_um is not None and not len(widths_um):
        raise UsageError("Expected `widths_um` of at least one bin, got none.")
    step = truth.unit_um
    widths = widths_um or [width for width in WIDTHS_UM if not step or (width >= step and width % step == 0)]
    return (*([CELLS] if truth.unit == "cell" else []), *sorted({float(width) for width in widths}))


def _recipes(models: str | Recipe | Sequence[str | Recipe]) -> tuple[Recipe, ...]:
    """Return the baselines and the models; a model that is asked for twice runs once."""
    if isinstance(models, str):
        models = [word for word in models.split(",") if word.strip()]
    elif isinstance(models, Recipe):
        models = [models]
    recipes = [
        *FINER_BASELINES,
        *(model if isinstance(model, Recipe) else Recipe.parse(model) for model in models),
    ]
    for recipe in recipes:
        # unknown names and options are refused before anything is computed
        recipe.build()
    return tuple({(recipe.model, recipe.variant, recipe.encoder): recipe for recipe in recipes}.values())
