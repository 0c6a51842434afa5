"""The single steps of a run, each with its results in a folder: encode, fit, predict."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from histosge._runtime.atomic_files import writable_folder
from histosge._runtime.messages import emit
from histosge.errors import UsageError
from histosge.io.own_files import refuse_foreign_outputs
from histosge.io.tiles import EncodedTiles, refuse_formats, write_tiles
from histosge.programs.alignment import ProgramsLike, programs_of
from histosge.section.locations import at_spots
from histosge.section.section import Section
from histosge.section.target import Target

from .compute import Compute
from .encode import encode, encoder_for, slide_of
from .fit import FitPlan
from .job import Job, SectionInputs, encode_task
from .outputs import Outputs
from .recipe import Recipe
from .result import EncodeResult, FitResult, RunResult
from .saved_fit import load_fit, load_fit_of_others, read_accuracy
from .stages import ENCODE_STAGES, FIT_STAGES, PREDICT_STAGES, Stages

__all__ = ["encode_to_folder", "fit_to_folder", "predict_to_folder"]


def predict_to_folder(
    section: Section,
    folder: Path,
    *,
    out: Path,
    target: Target | None = None,
    programs: ProgramsLike | Sequence[ProgramsLike] = (),
    compute: Compute = Compute(),
    outputs: Outputs = Outputs(),
    stages: Stages | None = None,
) -> RunResult:
    """Predict with the fit in ``folder``, which :func:`fit_to_folder` or a run kept; otherwise like a run.

    Auxiliary sections of the fit are not needed. Gene programs are for ``outputs.unmeasured`` alone: the fit has its
    own. A section without counts is predicted with the latest fit in the folder, whichever section that was fitted to.
    """
    stages = Stages(PREDICT_STAGES[1:], compute.progress) if stages is None else stages
    banks = programs_of(programs)
    if banks and outputs.unmeasured is None:
        raise UsageError(
            "`programs` change nothing of a fit that was made before; give `unmeasured` with them."
        )
    job = Job(out, compute.with_store(_store(folder, out)), stages, outputs, banks)
    job.refuse_overwriting(section, target)
    if not section.has_counts:
        return _predict_image_only(section, folder / "fit", target, job=job)
    fit = load_fit(section, folder / "fit", compute=job.compute)
    job.refuse_unpredicted(fit, section)
    task = job.locate(section, target)
    task = replace(task, section=task.section.with_messages(*fit.panel.messages))
    writable_folder(out)
    with job.stage("encode") as compute:
        inputs = encode_task(task, fit, compute)
    return job.finish(fit, task, inputs)


def _store(folder: Path, out: Path) -> Path:
    """Return where features are kept: beside the fit, to be reused, unless it is a shared one that is only read."""
    beside = folder / "features"
    existing = beside if beside.exists() else folder
    # each set of features is a folder in the store: all of them must take files
    parts = [existing, *(path for path in beside.glob("*") if path.is_dir())]
    return beside if all(os.access(path, os.W_OK) for path in parts) else out / "features"


def _predict_image_only(section: Section, fits: Path, target: Target | None, *, job: Job) -> RunResult:
    """Predict a section without counts with the latest fit in a folder."""
    fit = load_fit_of_others(section, fits, compute=job.compute)
    job.refuse_unpredicted(fit, section)
    task = job.locate(section, target, pitch_um=fit.metadata.section.pitch_um)
    writable_folder(job.out)
    with job.stage("encode") as compute:
        inputs = SectionInputs.of(task, fit, compute)
    return job.finish_transfer(fit, task, inputs, accuracy=read_accuracy(fits, fit.key))


def fit_to_folder(
    section: Section,
    recipe: Recipe = Recipe(),
    *,
    out: Path,
    auxiliary: Sequence[Section] = (),
    programs: ProgramsLike | Sequence[ProgramsLike] = (),
    compute: Compute = Compute(),
    stages: Stages | None = None,
) -> FitResult:
    """Fit ``recipe`` to ``section`` and keep the fit in ``out``, for :func:`predict_to_folder`."""
    stages = Stages(FIT_STAGES[1:], compute.progress) if stages is None else stages
    refuse_foreign_outputs([out / "fit" / "fit.json"], out)
    writable_folder(out)
    job = Job(out, compute.with_store(out / "features"), stages, Outputs())
    with job.stage("encode") as reporting:
        plan = FitPlan.of(section, recipe, auxiliary=auxiliary, programs=programs, compute=reporting)
        spots = job.spots(plan, reporting)
    return FitResult(job.fit(plan, spots), job.fits, stages=stages.costs, seconds=stages.seconds)


def encode_to_folder(
    section: Section,
    recipe: Recipe = Recipe(),
    *,
    out: Path,
    target: Target | None = None,
    formats: Sequence[str] = (),
    compute: Compute = Compute(),
    stages: Stages | None = None,
) -> EncodeResult:
    """Compute and keep the image features that a run with the same arguments needs.

    Parameters
    ----------
    section, recipe, out, target, compute, stages
        As for a run.
    formats
        Layouts of other tools (``trident``, ``lazyslide``, ``anndata``) in which the features of the locations are
        written too, into ``out``.

    Raises
    ------
    UsageError
        When the recipe's model reads no image features, or there is no such format.
    """
    refuse_formats(formats)
    needs = recipe.build().needs
    if not needs.features:
        raise UsageError(f"Model '{recipe.model}' reads no image features; there is nothing to encode.")
    stages = Stages(ENCODE_STAGES[1:], compute.progress) if stages is None else stages
    store = Path(compute.store or out / "features")
    job = Job(out, replace(compute, store=store), stages, Outputs())
    encoder = encoder_for(section, recipe, needs=needs, compute=compute)
    task = job.locate(section, target)
    writable_folder(out)
    with job.stage("encode") as reporting:
        encode(section, at_spots(section), needs=needs, encoder=encoder, compute=reporting)
        inputs = encode(section, task.locations, needs=needs, encoder=encoder, compute=reporting)
    dim = 0 if inputs.features is None else inputs.features.shape[1]
    result = EncodeResult(len(task.locations), dim, store=store, stages=stages.costs, seconds=stages.seconds)
    if not formats or encoder is None or inputs.features is None:
        return result
    slide = slide_of(section, recipe.encoder)
    tiles = EncodedTiles.of(section.name, slide, encoder.card, task.locations.points, inputs.features)
    emit(tiles.messages)
    return replace(result, files=write_tiles(out, tiles, formats), messages=tiles.messages)
