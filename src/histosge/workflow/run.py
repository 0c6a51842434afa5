"""One section in, one folder out: predictions, figures and the record of how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histosge._runtime.atomic_files import writable_folder
from histosge.errors import UsageError
from histosge.models.base import FactoredPredictor
from histosge.section.image_only import LOOK_UM
from histosge.section.inputs import Inputs
from histosge.section.locations import Locations, at_spots
from histosge.section.section import Section
from histosge.section.target import Target, locate, tissue_of

from .compute import Compute
from .encode import encode, encoder_for
from .fit import Fit, FitPlan
from .leave_one_section_out import section_accuracy
from .outputs import Outputs, write_further, write_prediction
from .predict import Fitted
from .provenance import provenance_of
from .recipe import Recipe
from .result import EncodeResult, FitResult, RunResult
from .saved_fit import load_fit, load_fit_of_others, read_accuracy, write_accuracy
from .section_accuracy import SectionAccuracy
from .section_prediction import Task, predict_section
from .stages import ENCODE_STAGES, FIT_STAGES, PREDICT_STAGES, RUN_STAGES, Stages
from .transfer import refuse_without_image, sampled_at, transfer, with_fitted_genes

__all__ = ["encode_to_folder", "fit_to_folder", "predict_to_folder", "run"]


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What all stages of a job share."""

    out: Path
    compute: Compute
    outputs: Outputs
    stages: Stages

    @property
    def fits(self) -> Path:
        """Folder of fits."""
        return self.out / "fit"


def run(
    section: Section,
    recipe: Recipe = Recipe(),
    *,
    out: str | Path,
    target: Target | None = None,
    auxiliary: Sequence[Section] = (),
    compute: Compute = Compute(),
    outputs: Outputs = Outputs(),
    stages: Stages | None = None,
) -> RunResult:
    """Fit a recipe to a section, predict it at ``target``, and write everything into the folder ``out``.

    ``out`` receives ``prediction.h5ad``, ``factors.h5ad``, ``figures/``, ``run.json``, and the image features and the
    fit, which a later run of the same recipe reuses. Each file appears complete or not at all; ``run.json`` comes last.
    An interrupted run resumes where it stopped and gives the same result.

    A section without counts, such as an image alone, is predicted from its image with a fit to the auxiliary sections.
    Where these are several, each of them is predicted from the others first (leave-one-section-out cross-validation),
    which shows how far to trust each gene.

    Parameters
    ----------
    section
        As :func:`histosge.read` returns it.
    recipe
        Model, encoder, genes, seed.
    out
        Folder for the results.
    target
        Where to predict; ``None`` takes four locations a spot, or a grid of 100 µm where there are no spots.
    auxiliary
        Sections of similar tissue, fitted too.
    compute
        Device; without a store of its own, image features are kept in ``out``.
    outputs
        Further formats, genes to show, figures.
    stages
        A clock and counter of stages that the caller began, with the stage ``read``; ``None`` begins one.

    Raises
    ------
    UsageError, DataError, WeightsError
        In one sentence each, before anything is written where that can be known before.
    """
    stages = Stages(RUN_STAGES[1:], compute.progress) if stages is None else stages
    out = Path(out)
    job = _Job(out, compute.with_store(out / "features"), outputs, stages)
    target = default_target(section) if target is None else target
    if section.measured:
        return _run_measured(section, recipe, target, auxiliary=auxiliary, job=job)
    return _run_image_only(section, recipe, target, auxiliary=auxiliary, job=job)


def predict_to_folder(
    section: Section,
    folder: Path,
    *,
    out: Path,
    target: Target | None = None,
    compute: Compute = Compute(),
    outputs: Outputs = Outputs(),
    stages: Stages | None = None,
) -> RunResult:
    """Predict with the fit that :func:`fit_to_folder` or :func:`run` kept in ``folder``; otherwise like :func:`run`.

    Auxiliary sections of the fit are not needed. A section without counts is predicted with the latest fit in the
    folder, whichever section that was fitted to.
    """
    stages = Stages(PREDICT_STAGES[1:], compute.progress) if stages is None else stages
    job = _Job(out, compute.with_store(folder / "features"), outputs, stages)
    target = default_target(section) if target is None else target
    if section.measured:
        with stages("locate"):
            fitted = load_fit(section, folder / "fit", compute=compute)
            task = _located(section, target)
        writable_folder(out)
        with stages("encode") as progress:
            inputs = _encoded(section, task.locations, fitted, replace(job.compute, progress=progress))
        return _finished(fitted, task, inputs, job)
    with stages("locate"):
        others = load_fit_of_others(section, folder / "fit", compute=compute)
        task = _located(section, target, pitch_um=others.metadata.section.pitch_um)
    writable_folder(out)
    with stages("encode") as progress:
        both = _both_encoded(task, others, replace(job.compute, progress=progress))
    accuracy = read_accuracy(folder / "fit", others.key)
    return _transferred(others, task, both, accuracy=accuracy, job=job)


def fit_to_folder(
    section: Section,
    recipe: Recipe = Recipe(),
    *,
    out: Path,
    auxiliary: Sequence[Section] = (),
    compute: Compute = Compute(),
    stages: Stages | None = None,
) -> FitResult:
    """Fit ``recipe`` to ``section`` and keep the fit in ``out``, for :func:`predict_to_folder`."""
    stages = Stages(FIT_STAGES[1:], compute.progress) if stages is None else stages
    writable_folder(out)
    job = _Job(out, compute.with_store(out / "features"), Outputs(), stages)
    with stages("encode") as progress:
        compute = replace(job.compute, progress=progress)
        plan = FitPlan.of(section, recipe, auxiliary=auxiliary, compute=compute)
        spots = None if plan.is_saved(job.fits) else plan.encoded(compute)
    result = _fitted(plan, spots, job)
    return FitResult(result, out / "fit", stages.costs, stages.seconds)


def encode_to_folder(
    section: Section,
    recipe: Recipe = Recipe(),
    *,
    out: Path,
    target: Target | None = None,
    compute: Compute = Compute(),
    stages: Stages | None = None,
) -> EncodeResult:
    """Compute and keep the image features that :func:`run` with the same arguments needs.

    Raises
    ------
    UsageError
        When the recipe's model reads no image features.
    """
    stages = Stages(ENCODE_STAGES[1:], compute.progress) if stages is None else stages
    needs = recipe.build().needs
    if not needs.features:
        raise UsageError(f"Model '{recipe.model}' reads no image features; there is nothing to encode.")
    compute = compute.with_store(out / "features")
    encoder = encoder_for(section, recipe, needs=needs, compute=compute)
    with stages("locate"):
        task = _located(section, default_target(section) if target is None else target)
    writable_folder(out)
    with stages("encode") as progress:
        compute = replace(compute, progress=progress)
        encode(section, at_spots(section), needs=needs, encoder=encoder, compute=compute)
        inputs = encode(section, task.locations, needs=needs, encoder=encoder, compute=compute)
    dim = 0 if inputs.features is None else inputs.features.shape[1]
    store = compute.store or out / "features"
    return EncodeResult(len(task.locations), dim, store, stages.costs, stages.seconds)


def default_target(section: Section) -> Target:
    """Return where a section is predicted if nothing else is asked for."""
    if section.measured or section.lattice is not None:
        return Target(upsample=4)
    # an image has no spots to upsample
    return Target(spacing_um=LOOK_UM)


def _run_measured(
    section: Section, recipe: Recipe, target: Target, *, auxiliary: Sequence[Section], job: _Job
) -> RunResult:
    """Fit a section, and predict it."""
    with job.stages("locate"):
        task = _located(section, target)
    writable_folder(job.out)
    with job.stages("encode") as progress:
        compute = replace(job.compute, progress=progress)
        plan = FitPlan.of(section, recipe, auxiliary=auxiliary, compute=compute)
        spots = None if plan.is_saved(job.fits) else plan.encoded(compute)
        inputs = _encoded(section, task.locations, plan, compute)
    return _finished(_fitted(plan, spots, job), task, inputs, job)


def _run_image_only(
    section: Section, recipe: Recipe, target: Target, *, auxiliary: Sequence[Section], job: _Job
) -> RunResult:
    """Fit auxiliary sections, and predict a section without counts from its image."""
    if not auxiliary:
        raise UsageError(
            f"Nothing was measured in '{section.name}', so there is nothing to fit. Give sections of similar tissue as "
            "`auxiliary`, or predict with a saved fit."
        )
    refuse_without_image(recipe.build(), section)
    with job.stages("locate"):
        task = _located(section, target, pitch_um=auxiliary[0].pitch_um)
    writable_folder(job.out)
    if len(auxiliary) > 1:
        job.stages.add("leave_one_section_out", before="predict")
    with job.stages("encode") as progress:
        compute = replace(job.compute, progress=progress)
        plan = FitPlan.of(auxiliary[0], recipe, auxiliary=auxiliary[1:], compute=compute)
        spots = None if plan.is_saved(job.fits) else plan.encoded(compute)
        inputs = _both_encoded(task, plan, compute)
    fitted = _fitted(plan, spots, job)
    accuracy = _cross_validated(fitted, auxiliary, job) if len(auxiliary) > 1 else None
    return _transferred(fitted, task, inputs, accuracy=accuracy, job=job)


def _located(section: Section, target: Target, *, pitch_um: float | None = None) -> Task:
    """Find tissue and locations; a section without counts is sampled at the pitch of a fitted one."""
    mask = tissue_of(section)
    if pitch_um is not None:
        section = sampled_at(section, pitch_um, mask=mask)
    return Task(section, target, mask, locate(section, target, mask))


def _encoded(section: Section, locations: Locations, fitted: FitPlan | Fit, compute: Compute) -> Inputs:
    return encode(section, locations, needs=fitted.model.needs, encoder=fitted.encoder, compute=compute)


def _both_encoded(task: Task, fitted: FitPlan | Fit, compute: Compute) -> tuple[Inputs, Inputs]:
    """Return the inputs of locations all over the section, which show its staining, and those of the task."""
    spots = _encoded(task.section, at_spots(task.section), fitted, compute)
    return spots, _encoded(task.section, task.locations, fitted, compute)


def _fitted(plan: FitPlan, spots: Inputs | None, job: _Job) -> Fit:
    """Load the fit, or fit the spots; ``None`` for these stands for a saved fit."""
    with job.stages("fit") as progress:
        if spots is None and (saved := plan.saved(job.fits)) is not None:
            return saved
        compute = replace(job.compute, progress=progress)
        return plan.fitted(
            plan.encoded(compute) if spots is None else spots, compute=compute, folder=job.fits
        )


def _cross_validated(fitted: Fit, sections: Sequence[Section], job: _Job) -> SectionAccuracy | None:
    """Return the accuracy in sections left out; only of models by factors, which are fitted in seconds."""
    with job.stages("leave_one_section_out") as progress:
        if not isinstance(fitted.predictor, FactoredPredictor):
            return None
        if (kept := read_accuracy(job.fits, fitted.key)) is not None:
            return kept
        compute = replace(job.compute, progress=progress)
        accuracy = section_accuracy(sections, fitted, compute=compute)
        if accuracy is not None:
            write_accuracy(accuracy, job.fits, fitted.key)
        return accuracy


def _transferred(
    fitted: Fit,
    task: Task,
    inputs: tuple[Inputs, Inputs],
    *,
    accuracy: SectionAccuracy | None,
    job: _Job,
) -> RunResult:
    """Predict a section without counts with a fit to others."""
    spots, locations = inputs
    task = replace(task, section=with_fitted_genes(task.section, fitted))
    return _finished(transfer(fitted, spots, accuracy=accuracy), task, locations, job)


def _finished(fitted: Fitted, task: Task, inputs: Inputs, job: _Job) -> RunResult:
    """Predict, and write everything."""
    provenance = provenance_of(
        task.section, fitted, target=task.target, locations=task.locations, compute=job.compute
    )
    # a prediction that does not fit into memory is written while it is computed
    with job.stages("predict"):
        prediction = predict_section(fitted, task, inputs, show=job.outputs.show, provenance=provenance)
        shown, written = write_prediction(prediction, job.out)
    with job.stages("write"):
        written += write_further(prediction, shown, job.outputs, out=job.out)
    return RunResult.of(prediction, written, out=job.out, stages=job.stages)
