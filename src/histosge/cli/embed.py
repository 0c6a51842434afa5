"""The command ``embed``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histosge.errors import DataError, UsageError

from .command import command
from .encoder_values import weight_files
from .location_options import LocationOptions
from .options import (
    ComputeOptions,
    EncoderOptions,
    ModelOptions,
    Out,
    ReadOptions,
    ReplyOptions,
    SectionOptions,
    SeedOptions,
)
from .recipe import recipe_of
from .screen import Progress, print_result, show_messages
from .worker_options import WorkerOptions

if TYPE_CHECKING:
    from histosge.workflow.recipe import Recipe

__all__ = ["embed"]

# a table is no section: it is a sheet of samples
_SHEETS = (".csv", ".tsv")


@command("Predict")
def embed(
    section_options: SectionOptions,
    read_options: ReadOptions,
    model_options: ModelOptions,
    encoder_options: EncoderOptions,
    seed_options: SeedOptions,
    location_options: LocationOptions,
    compute_options: ComputeOptions,
    worker_options: WorkerOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    out: Out = Path("histosge-out"),
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="Also write the features of the locations for other tools: trident, lazyslide or anndata; may be "
            "repeated.",
            rich_help_panel="Output",
        ),
    ] = None,
) -> None:
    """Compute and keep the image features that a run would need, or a cohort: SECTION may be a sheet of samples."""
    from histosge.workflow.stages import ENCODE_STAGES, Stages

    recipe = recipe_of(model_options, encoder_options, seed_options)
    if section_options.section.suffix.lower() in _SHEETS:
        _refuse(read_options, "belongs to one section. Give it as a column of the sheet")
        if format_:
            raise UsageError("`format` writes the features of one section. Embed that section alone.")
        plan = _plan(section_options.section, out, recipe, location_options, compute_options, encoder_options)
        _embed_sheet(plan, worker_options, progress, as_json=reply_options.json)
        return
    _refuse(worker_options, "divides the sections of a sheet, and this is one section. Leave it out")
    stages = Stages(ENCODE_STAGES, progress)
    with stages("read"):
        # the stage is on the screen before this import, which takes a second
        from histosge.workflow.steps import encode_to_folder

        section = read_options.read(section_options.section)
    result = encode_to_folder(
        section,
        recipe,
        target=location_options.target(section),
        out=out,
        formats=format_ or (),
        compute=compute_options.compute(encoder_options.weights, progress),
        stages=stages,
    )
    show_messages(result.messages)
    lines = [
        f"{result.locations} locations × {result.dim} features in {result.store}",
        *map(str, result.files),
    ]
    print_result(result.as_dict(), as_json=reply_options.json, lines=lines)


def _refuse(options: Any, reason: str) -> None:
    """Refuse options that would not be obeyed."""
    for item in fields(options):
        if getattr(options, item.name) != item.default:
            raise UsageError(f"`{item.name}` {reason}.")


def _plan(
    sheet: Path,
    out: Path,
    recipe: Recipe,
    location_options: LocationOptions,
    compute_options: ComputeOptions,
    encoder_options: EncoderOptions,
) -> Any:
    """Return the plan of a cohort of which the features are wanted."""
    from histosge.workflow.cohort.plan import CohortPlan
    from histosge.workflow.cohort.sheet import SampleSheet

    if compute_options.compiled:
        raise UsageError("`compiled` is that of one section, and this is a sheet. Leave it out.")
    if compute_options.store is not None:
        raise UsageError(
            "`store` is that of one section. Features of a sheet are kept in `out`, for a cohort there."
        )
    if location_options.cells is not None or location_options.regions is not None:
        raise UsageError("Cells and regions belong to one section. Give cells as a column of the sheet.")
    chosen = (location_options.upsample, location_options.spacing_um) != (None, None)
    if not chosen and location_options.boundary != "translate":
        raise UsageError("`boundary` is that of an upsampled lattice. Give `upsample` too.")
    return CohortPlan(
        SampleSheet.read(sheet),
        out,
        recipe,
        target=location_options.target(None) if chosen else None,
        device=compute_options.device,
        precision=compute_options.precision,
        weights=weight_files(encoder_options.weights),
    )


def _embed_sheet(plan: Any, workers: WorkerOptions, progress: Any, *, as_json: bool) -> None:
    """Embed all sections of a sheet on several workers, and print what each has."""
    from histosge.workflow.cohort.cohort import embed_cohort

    from .cohort import reporter

    with workers.executor() as executor:
        outcomes = embed_cohort(plan, executor, report=reporter(plan, progress, stages=2))
    rows = [
        {"sample": outcome.sample, "status": outcome.status, "reason": outcome.reason, **outcome.properties}
        for outcome in outcomes
    ]
    lines = [
        f"{row['sample']}: {row['locations']} locations × {row['features']} features"
        for row in rows
        if row["status"] == "done"
    ]
    content = {"sections": rows, "store": str(plan.features)}
    print_result(content, as_json=as_json, lines=[*lines, f"in {plan.features}"])
    failed = [row["sample"] for row in rows if row["status"] != "done"]
    if failed:
        raise DataError(
            f"{len(failed)} of {len(rows)} sections failed: {', '.join(failed[:10])}. Run the same command again."
        )
