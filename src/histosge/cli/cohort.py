"""The command ``cohort``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from histosge.errors import DataError, HistosgeError, UsageError

from .command import command
from .encoder_values import weight_files
from .options import (
    DepthOptions,
    DeviceOptions,
    EncoderOptions,
    ModelOptions,
    Out,
    OutputOptions,
    ReplyOptions,
    SeedOptions,
)
from .recipe import recipe_of
from .screen import Progress, print_result, print_table, print_text, show_messages
from .worker_options import WorkerOptions

if TYPE_CHECKING:
    from histosge.workflow.cohort.plan import CohortPlan
    from histosge.workflow.cohort.state import Outcome

__all__ = ["cohort", "reporter"]


@dataclass(frozen=True, slots=True)
class CohortOptions:
    """Which sections, how they are fitted, and where they are predicted."""

    panel: ClassVar[str] = "Cohort"

    sheet: Annotated[Path, typer.Argument(metavar="SHEET.csv", help="Columns sample, path, and more.")]
    fit: Annotated[
        str,
        typer.Option(help="alone (each section), patient (with the patient's others) or joint (one model)."),
    ] = "alone"
    leave_out: Annotated[
        str,
        typer.Option(
            help="Predict each section from its image, fitted without the section or patient: none, section, patient."
        ),
    ] = "none"
    upsample: Annotated[
        int | None,
        typer.Option("--upsample", "--refine", help="Locations per measured spot, 1 to 8 (default 4)."),
    ] = None
    spacing_um: Annotated[float | None, typer.Option(help="A grid of this spacing over the tissue.")] = None
    only: Annotated[list[str] | None, typer.Option(help="A sample to compute; may be repeated.")] = None
    skip_failed: Annotated[
        bool, typer.Option("--skip-failed", help="Go on without sections that cannot be read.")
    ] = False

    def target(self) -> Any:
        """Return where to predict; nothing where each section has its default."""
        from histosge.section.target import Target

        return (
            None
            if (self.upsample, self.spacing_um) == (None, None)
            else Target(self.upsample, self.spacing_um)
        )


@dataclass(frozen=True, slots=True)
class WorkOptions(WorkerOptions):
    """Who computes, and how often."""

    slurm: Annotated[bool, typer.Option("--slurm", help="Write and submit a SLURM job array.")] = False
    retries: Annotated[int, typer.Option(help="Attempts after the first, where a worker was lost.")] = 3
    part: Annotated[bool, typer.Option("--part", hidden=True, help="Leave the summary to another call.")] = (
        False
    )
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and estimate, and stop.")] = False


@command("Predict", order=2)
def cohort(
    cohort_options: CohortOptions,
    model_options: ModelOptions,
    depth_options: DepthOptions,
    encoder_options: EncoderOptions,
    seed_options: SeedOptions,
    device_options: DeviceOptions,
    work_options: WorkOptions,
    output_options: OutputOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    out: Out = Path("histosge-cohort"),
) -> None:
    """Fit and predict all sections of a sample sheet; what is done already is not done again."""
    from histosge.workflow.cohort.cohort import check_cohort
    from histosge.workflow.cohort.plan import CohortPlan
    from histosge.workflow.cohort.sheet import SampleSheet

    plan = CohortPlan(
        SampleSheet.read(cohort_options.sheet),
        out,
        recipe_of(model_options, encoder_options, seed_options, depth=depth_options),
        fit=cohort_options.fit,
        leave_out=cohort_options.leave_out,
        target=cohort_options.target(),
        outputs=output_options.outputs(),
        device=device_options.device,
        weights=weight_files(encoder_options.weights),
    )
    if work_options.slurm:
        _submit(plan)
        return
    with work_options.executor() as executor:
        if work_options.dry_run:
            samples = plan.sheet.only(cohort_options.only) if cohort_options.only else None
            report = reporter(plan, progress, stages=1, as_json=reply_options.json)
            checked = check_cohort(plan, executor, samples=samples, report=report)
            error = _error_of(checked, skip_failed=cohort_options.skip_failed)
            _print_check(checked, error, as_json=reply_options.json)
            return
        result = _run(plan, executor, cohort_options, work_options, reporter(plan, progress, stages=3))
    show_messages(result.messages)
    _print(result, _side_by_side(result, part=work_options.part), as_json=reply_options.json)
    _refuse_failed(result, cohort_options.only or ())


def _side_by_side(result: Any, *, part: bool) -> tuple[Path, ...]:
    """Write the page of all sections done; none for a part of a cohort, or models without factors."""
    from histosge.report import holds_sections, write_sections

    return (write_sections(result.out),) if not part and holds_sections(result.out) else ()


def _run(plan: CohortPlan, executor: Any, which: CohortOptions, work: WorkOptions, report: Any) -> Any:
    from histosge.workflow.cohort.cohort import run_cohort

    return run_cohort(
        plan,
        executor,
        only=which.only or (),
        retries=work.retries,
        skip_failed=which.skip_failed,
        part=work.part,
        report=report,
    )


def _refuse_failed(result: Any, only: Sequence[str]) -> None:
    """End with an error where sections failed, of those asked for; the others are done."""
    failed = [name for name in result.failed if not only or name in only]
    if failed:
        total = len(only) or len(result.table)
        raise DataError(
            f"{len(failed)} of {total} sections failed: {', '.join(failed[:10])}. Their sentences are in the state of "
            "the cohort, and in its summary. Mend them and run the same command again."
        )


def _error_of(checked: Sequence[Outcome], *, skip_failed: bool) -> HistosgeError | None:
    """Return the error that the run would end with where sections cannot be used; nothing where all can."""
    if not (failed := [outcome.sample for outcome in checked if outcome.status != "done"]):
        return None
    text = f"{len(failed)} of {len(checked)} sections cannot be used: {', '.join(failed[:10])}."
    if skip_failed:
        # the run does the others first
        return DataError(f"{text} Mend them; the run will leave them out.")
    return UsageError(f"{text} Mend them, or leave them out with `skip_failed`.")


def reporter(plan: CohortPlan, progress: Any, *, stages: int, as_json: bool = False) -> Any:
    """Return what draws a bar of finished stages, and prints the sentence of a failed one, which JSON has anyway."""
    ended = 0

    def report(outcome: Outcome) -> None:
        nonlocal ended
        ended += 1
        progress(ended, max(ended, stages * len(plan.sheet)), "stages")
        if outcome.status == "failed" and not as_json:
            print_text(f"{outcome.sample}, {outcome.stage}: {outcome.reason}")

    return report


def _submit(plan: CohortPlan) -> None:
    from histosge.workflow.cohort.slurm import submit, write_scripts

    command = [sys.executable, "-m", "histosge", *(word for word in sys.argv[1:] if word != "--slurm")]
    array, summary = write_scripts(plan, command)
    print_text(f"Wrote {array} and {summary}. Set account, partition, cores and memory there where needed.")
    job, last = submit(array, summary)
    print_text(f"Submitted the array as job {job}, and the summary as job {last}.")


def _print_check(checked: Sequence[Outcome], error: HistosgeError | None, *, as_json: bool) -> None:
    """Print a check, and end with its error if there is one."""
    from histosge.workflow.cohort.estimate import estimate

    rows, content = [], []
    for outcome in checked:
        cost = estimate(outcome.properties) if outcome.properties else None
        content.append(
            {
                "sample": outcome.sample,
                "status": outcome.status,
                "reason": outcome.reason,
                **outcome.properties,
            }
        )
        size = (
            f"{outcome.properties['spots']} spots, {outcome.properties['locations']} locations"
            if cost
            else outcome.reason
        )
        needs = "" if cost is None else f"{cost.seconds:.0f} s, {cost.memory_bytes / 2**30:.1f} GiB"
        rows.append((outcome.sample, outcome.status, size, needs))
    if as_json:
        failure = {} if error is None else {"error": str(error), "exit_code": error.exit_code}
        print_result({"sections": content, **failure}, as_json=True, lines=())
        if error is not None:
            # standard output holds one object
            raise SystemExit(error.exit_code)
        return
    print_table("Sections", ("sample", "state", "size", "estimated, one core"), rows)
    print_text("Estimates hold for texture and cokriging, within a factor of two.")
    if error is not None:
        raise error


def _print(result: Any, pages: Sequence[Path], *, as_json: bool) -> None:
    from histosge.workflow.cohort.summary import plain_rows

    states = result.table["state"].value_counts().items()
    content = {"sections": plain_rows(result.table), "files": [str(path) for path in (*result.files, *pages)]}
    lines = [
        f"{len(result.table)} sections: {', '.join(f'{number} {state}' for state, number in states)}",
        *(f"  {path}" for path in (*result.files, *pages)),
    ]
    print_result(content, as_json=as_json, lines=lines)
