"""One section in, one folder out: predictions, figures and the record of how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from histosge._runtime.atomic_files import writable_folder
from histosge._runtime.messages import emit
from histosge.errors import UsageError
from histosge.programs.alignment import ProgramsLike, programs_of
from histosge.programs.gene_programs import Programs
from histosge.section.section import Section
from histosge.section.target import Target

from .compute import Compute
from .encode import many_patches
from .fit import FitPlan
from .job import Job, SectionInputs, encode_task
from .outputs import Outputs
from .recipe import Recipe
from .result import RunResult
from .stages import RUN_STAGES, Stages
from .transfer import refuse_without_image

__all__ = ["run", "run_job"]


def run(
    section: Section,
    recipe: Recipe = Recipe(),
    *,
    out: str | Path,
    target: Target | None = None,
    auxiliary: Sequence[Section] = (),
    programs: ProgramsLike | Sequence[ProgramsLike] = (),
    compute: Compute = Compute(),
    outputs: Outputs = Outputs(),
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
    programs
        Gene programs of similar tissue: files of them, or data that they are built from; see
        :func:`histosge.programs.build`.
    compute
        Device; without a store of its own, image features are kept in ``out``.
    outputs
        Further formats, genes to show, figures.

    Raises
    ------
    UsageError, DataError, WeightsError
        In one sentence each, before anything is written where that can be known before.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> result = hs.run(section, hs.Recipe("kriging", genes="all"), out="results")
    >>> (result.out / "prediction.h5ad").exists()
    True
    """
    job = Job.of(out, Stages(RUN_STAGES[1:], compute.progress), compute, outputs)
    return run_job(section, recipe, target, auxiliary=auxiliary, programs=programs, job=job)


def run_job(
    section: Section,
    recipe: Recipe,
    target: Target | None,
    *,
    auxiliary: Sequence[Section] = (),
    programs: ProgramsLike | Sequence[ProgramsLike] = (),
    job: Job,
) -> RunResult:
    """Do what :func:`run` does, as a job whose first stages the caller has done; other arguments are those of run."""
    job.refuse_overwriting(section, target, *auxiliary)
    # before hours of encoding, not after
    banks = programs_of(programs)
    job = replace(job, programs=banks)
    if section.has_counts:
        return _run_measured(section, recipe, target, auxiliary=auxiliary, programs=banks, job=job)
    return _run_image_only(section, recipe, target, auxiliary=auxiliary, programs=banks, job=job)


def _run_measured(
    section: Section,
    recipe: Recipe,
    target: Target | None,
    *,
    auxiliary: Sequence[Section],
    programs: Sequence[Programs],
    job: Job,
) -> RunResult:
    """Fit a section, and predict it."""
    task = job.locate(section, target)
    with job.stage("encode") as compute:
        plan = FitPlan.of(section, recipe, auxiliary=auxiliary, programs=programs, compute=compute)
        job.refuse_unpredicted(plan, section)
        messages = many_patches(plan.encoder, len(task.locations))
        emit(messages)
        task = replace(task, section=task.section.with_messages(*messages))
        writable_folder(job.out)
        spots = job.spots(plan, compute)
        inputs = encode_task(task, plan, compute, spots)
    fit = job.fit(plan, spots)
    return job.finish(fit, replace(task, section=task.section.with_messages(*fit.messages)), inputs)


def _run_image_only(
    section: Section,
    recipe: Recipe,
    target: Target | None,
    *,
    auxiliary: Sequence[Section],
    programs: Sequence[Programs],
    job: Job,
) -> RunResult:
    """Fit auxiliary sections, and predict a section without counts from its image."""
    if not auxiliary:
        raise UsageError(
            f"Nothing was measured in '{section.name}', so there is nothing to fit. Give sections of similar tissue as "
            "`auxiliary`, or predict with a saved fit."
        )
    # before hours of fitting, not after
    refuse_without_image(recipe.build(), section)
    # with one section none can be left out
    if len(auxiliary) > 1:
        job.stages.add("leave_one_section_out", before="predict")
    task = job.locate(section, target, pitch_um=auxiliary[0].pitch_um)
    with job.stage("encode") as compute:
        plan = FitPlan.of(auxiliary[0], recipe, auxiliary=auxiliary[1:], programs=programs, compute=compute)
        job.refuse_unpredicted(plan, section)
        writable_folder(job.out)
        spots = job.spots(plan, compute)
        inputs = SectionInputs.of(task, plan, compute)
    fit = job.fit(plan, spots)
    accuracy = job.accuracy(fit, auxiliary) if len(auxiliary) > 1 else None
    return job.finish_transfer(fit, task, inputs, accuracy=accuracy)
