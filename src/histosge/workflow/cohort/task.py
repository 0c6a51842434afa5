"""What a worker does: one stage of one section, once."""

from __future__ import annotations

import re
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import histosge
from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.provenance import peak_memory_bytes
from histosge.errors import HistosgeError, HistosgeWarning, OutputError, UsageError
from histosge.io.own_files import run_files
from histosge.io.run_record import RUN
from histosge.models.base import SectionsModel
from histosge.section.alignment import check_alignment
from histosge.section.locations import at_spots
from histosge.section.section import Section
from histosge.section.target import default_target, locate, tissue_of
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode, encoder_for
from histosge.workflow.fit_metadata import FitMetadata
from histosge.workflow.job import Job
from histosge.workflow.run import run_job
from histosge.workflow.stages import PREDICT_STAGES, RUN_STAGES, Stages

from .joint import fit_jointly, predict_jointly, predict_with_shared_fit
from .lease import LEASE_S, hold
from .left_out import left_out_accuracy
from .plan import CohortPlan, StageTask
from .plan_file import PlanFile
from .sheet import Sample
from .state import Outcome

__all__ = ["columns_named", "is_done", "run_stage"]

# parameters of reading that are columns of a sheet
_REQUESTS = ("Give ", "Use ", "Choose ", "Set ")
_SETTABLE = ("image", "mpp", "reader", "library_id", "bin_um", "spacing_um", "cells")


def run_stage(file: PlanFile, task: StageTask, version: str, lease_s: float = LEASE_S) -> Outcome:
    """Do a stage of a section unless it is done, and return how it ended; errors are outcomes.

    Parameters
    ----------
    file, task
        The plan of the cohort, and which stage.
    version
        Of the coordinator's package; a worker of another version refuses.
    lease_s
        Seconds after which the lease of a worker that does not renew it is void.
    """
    if version != histosge.__version__:
        reason = (
            f"The worker has histosge {histosge.__version__}, the coordinator {version}. Install the same on all "
            "machines."
        )
        return Outcome(task.sample, task.stage, task.key, "failed", reason)
    plan = file.read()
    with hold(plan.state.lease(task.sample, task.stage), lease_s) as lease:
        if lease is None:
            return Outcome(task.sample, task.stage, task.key, "held")
        # the worker that had the lease before may have finished
        if is_done(plan, task):
            return Outcome(task.sample, task.stage, task.key, "done")
        return plan.state.write(_tried(plan, task))


def is_done(plan: CohortPlan, task: StageTask) -> bool:
    """Return whether a stage is done and its files are there."""
    if not plan.state.is_done(task.sample, task.stage, task.key):
        return False
    if task.stage == "fit":
        return all(FitMetadata.is_in(folder) for folder in plan.joint_fits)
    if task.stage != "predict":
        return True
    folder = plan.folder(plan.sample(task.sample))
    return (folder / RUN).is_file() and all((folder / name).exists() for name in run_files(folder))


def _tried(plan: CohortPlan, task: StageTask) -> Outcome:
    started = time.perf_counter()
    status, reason = "done", ""
    properties: dict[str, Any] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HistosgeWarning)
        try:
            properties = _STAGES[task.stage](plan, task) or {}
        except (OutputError, MemoryError, OSError) as error:
            # the disk, the memory or the network of this machine at this time
            status, reason = "lost", str(error) or "The memory of the worker was too small."
        except HistosgeError as error:
            status, reason = "failed", str(error) + columns_named(str(error))
        # a fault of ours or of a library ends this stage, not the cohort
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            status = "failed"
            reason = f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}: {error}"
    texts = [str(item.message) for item in caught if issubclass(item.category, HistosgeWarning)]
    return Outcome(
        task.sample,
        task.stage,
        task.key,
        status,  # type: ignore[arg-type]
        reason,
        seconds=time.perf_counter() - started,
        peak_memory_bytes=peak_memory_bytes(),
        messages=tuple(dict.fromkeys(texts)),
        properties=properties,
    )


def columns_named(sentence: str) -> str:
    """Return which columns of the sheet hold the parameters that a sentence asks for."""
    requests = [part for part in re.split(r"(?<=[.;:])\s+", sentence) if part.startswith(_REQUESTS)]
    named = [name for name in _SETTABLE if any(f"`{name}`" in request for request in requests)]
    if not named:
        return ""
    return f" In the sheet: column{'s' if len(named) > 1 else ''} {', '.join(named)}."


def _check(plan: CohortPlan, task: StageTask) -> dict[str, Any]:
    """Read a section, align it, locate what is to be predicted, and return its size."""
    sample = plan.sample(task.sample)
    section = sample.read()
    target = plan.target_of(sample) or default_target(section)
    locations = locate(section, target, tissue_of(section))
    if not section.has_counts and not plan.auxiliary(sample):
        raise UsageError(
            f"'{section.name}' has no counts, so there is nothing to fit. Give it the patient of measured sections and "
            "fit by patient, or leave it out of the sheet."
        )
    return {
        "platform": section.platform.name,
        "spots": len(section) if section.has_counts else 0,
        "genes": len(section.genes) if section.has_counts else 0,
        "counts": int(section.counts.nnz) if section.has_counts else 0,
        "locations": len(locations),
        "mpp": section.mpp,
        "image_mpp": None if section.slide is None else section.slide.mpp,
        "alignment": "no image" if section.slide is None else check_alignment(section).summary,
    }


def _encode(plan: CohortPlan, task: StageTask) -> dict[str, Any]:
    """Compute the image features of a section's spots and locations into the store of the cohort."""
    sample = plan.sample(task.sample)
    section = sample.read()
    needs = plan.recipe.build().needs
    compute = _compute(plan)
    encoder = encoder_for(section, plan.recipe, needs=needs, compute=compute)
    if section.has_counts:
        encode(section, at_spots(section), needs=needs, encoder=encoder, compute=compute)
    target = plan.target_of(sample) or default_target(section)
    locations = locate(section, target, tissue_of(section))
    inputs = encode(section, locations, needs=needs, encoder=encoder, compute=compute)
    features = 0 if inputs.features is None else inputs.features.shape[1]
    return {"locations": len(locations), "features": int(features)}


def _fit(plan: CohortPlan, task: StageTask) -> None:
    """Fit one model to all sections."""
    fit_jointly(_measured(plan.sheet.samples), plan.recipe, folders=plan.joint_fits, compute=_compute(plan))


def _left_out(plan: CohortPlan, task: StageTask) -> dict[str, Any]:
    """Predict a section from its image with a fit to others, and return how well."""
    sample = plan.sample(task.sample)
    others = _measured(plan.others(sample))
    table = left_out_accuracy(sample.read(), others, plan.recipe, compute=_compute(plan))
    path = plan.out / "left_out" / f"{sample.sample}.parquet"
    with atomic_path(path) as draft:
        table.to_parquet(draft)
    return {
        "genes": len(table),
        "r": float(table["r"].mean()),
        "r_given_depth": float(table["r_given_depth"].mean()),
    }


def _predict(plan: CohortPlan, task: StageTask) -> None:
    """Fit a section and predict it, or predict it with the joint fit; write its folder."""
    sample = plan.sample(task.sample)
    section = sample.read()
    own = plan.fit == "joint" and isinstance(plan.recipe.build(), SectionsModel)
    job = Job(
        plan.folder(sample), _compute(plan), Stages(PREDICT_STAGES if own else RUN_STAGES), plan.outputs
    )
    if own:
        predict_jointly(section, plan.target_of(sample), job=job)
        return
    if plan.fit == "joint":
        sections = _measured(plan.sheet.samples)
        index = [item.sample for item in plan.sheet.samples].index(sample.sample)
        folder = plan.joint_fits[0]
        predict_with_shared_fit(
            sections, index, plan.recipe, target=plan.target_of(sample), folder=folder, job=job
        )
        return
    # an image alone adds nothing to a fit
    auxiliary = [other for other in (item.read() for item in plan.auxiliary(sample)) if other.has_counts]
    run_job(section, plan.recipe, plan.target_of(sample), auxiliary=auxiliary, job=job)


def _measured(samples: tuple[Sample, ...]) -> list[Section]:
    sections = [sample.read() for sample in samples]
    for section in sections:
        if not section.has_counts:
            raise UsageError(
                f"'{section.name}' has no counts, and a joint fit is one to measured sections. Leave it out of the "
                "sheet."
            )
    return sections


def _compute(plan: CohortPlan) -> Compute:
    return Compute(plan.device, plan.precision, plan.weights, plan.features)


_STAGES: dict[str, Any] = {
    "check": _check,
    "encode": _encode,
    "fit": _fit,
    "predict": _predict,
    "left_out": _left_out,
}
