"""Many sections with one command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import writable_folder
from histosge._runtime.messages import Message, emit
from histosge.errors import UsageError
from histosge.section.target import Target
from histosge.workflow.compute import Compute
from histosge.workflow.executors import Executor, Processes
from histosge.workflow.outputs import Outputs
from histosge.workflow.recipe import Recipe

from .combined import write_combined
from .combined_spatialdata import FORMAT, write_spatialdata
from .coordinate import Report, coordinate
from .lease import check_storage
from .plan import CohortPlan
from .sheet import Sample, SampleSheet
from .state import Outcome
from .summary import CohortResult, summarise, table_of

__all__ = ["check_cohort", "cohort", "embed_cohort", "run_cohort"]


def cohort(
    sheet: SampleSheet | Iterable[Sample] | Path | str,
    recipe: Recipe = Recipe(),
    *,
    out: Path | str,
    fit: str = "alone",
    leave_out: str = "none",
    target: Target | None = None,
    compute: Compute = Compute(),
    jobs: int = 1,
) -> CohortResult:
    """Fit and predict all sections of a sample sheet, on processes of this machine.

    Every section is read and aligned before anything is fitted. Each stage of each section is a task of its own, whose
    end is kept in ``out/state``: the same call again does what is missing, and a killed process loses the stage it was
    at. Two calls on one folder divide the work.

    Parameters
    ----------
    sheet
        A file (:meth:`SampleSheet.read`), or samples.
    recipe
        Model, encoder, genes, seed.
    out
        Receives ``sections/SAMPLE`` as :func:`histosge.run` writes it, ``cohort.h5ad`` of all sections,
        ``cohort.parquet`` and ``cohort.html`` (the summary), image features and state.
    fit
        ``"alone"``, ``"patient"`` or ``"joint"``; see :class:`~histosge.workflow.cohort.plan.CohortPlan`.
    leave_out
        ``"section"`` or ``"patient"``: also predict each section from its image, with a fit to others.
    target
        Where to predict.
    compute
        Device and weights. Its store is not used: features are kept in ``out``.
    jobs
        Number of processes; each needs the memory of one.

    Raises
    ------
    UsageError, DataError
        For a sheet that cannot be read, and sections that cannot: all of them are named.

    Examples
    --------
    >>> import tempfile
    >>> from histosge.datasets.synthetic import synthetic, write_spaceranger
    >>> folder = Path(tempfile.mkdtemp())
    >>> paths = [
    ...     write_spaceranger(synthetic(columns=8, rows=8, genes=12, seed=seed).section, folder / str(seed))
    ...     for seed in (0, 1)
    ... ]
    >>> samples = [Sample(f"S{number}", str(path)) for number, path in enumerate(paths)]
    >>> result = cohort(samples, Recipe(genes="all"), out=folder / "out")  # doctest: +SKIP
    >>> result.table.index.tolist()  # doctest: +SKIP
    ['S0', 'S1']
    """
    if isinstance(sheet, (Path, str)):
        sheet = SampleSheet.read(sheet)
    elif not isinstance(sheet, SampleSheet):
        sheet = SampleSheet(tuple(sheet))
    if compute.compiled:
        raise UsageError(
            "`compiled` is that of one section; a cohort runs networks as they are. Leave it out."
        )
    plan = CohortPlan(
        sheet,
        Path(out),
        recipe,
        fit=fit,
        leave_out=leave_out,
        target=target,
        outputs=Outputs(),
        device=compute.device,
        precision=compute.precision,
        weights=compute.weights,
    )
    with Processes(jobs) as executor:
        return run_cohort(plan, executor)


def run_cohort(
    plan: CohortPlan,
    executor: Executor,
    *,
    only: Sequence[str] = (),
    retries: int = 3,
    skip_failed: bool = False,
    part: bool = False,
    report: Report | None = None,
) -> CohortResult:
    """Compute what is missing of a cohort, and write its summary.

    Parameters
    ----------
    plan
        The cohort.
    executor
        Whose workers compute; entered already.
    only
        Names of the samples to compute; empty: all.
    retries
        Attempts after the first, for stages whose worker was lost.
    skip_failed
        Go on with the other sections where some cannot be read; otherwise that is an error.
    part
        Leave summary and ``cohort.h5ad`` to another call, which does the other samples too.
    report
        Called with each stage that ended.

    Raises
    ------
    UsageError
        For sections that cannot be read, and an unknown name in ``only``.
    """
    samples = plan.sheet.only(only) if only else plan.sheet.samples
    bad = _checked(plan, executor, samples, retries=retries, skip_failed=skip_failed, report=report)
    tasks = [task for task in plan.tasks(samples) if task.sample not in bad]
    ended = coordinate(plan, tasks, executor, retries=retries, report=report)
    done = all(outcome.status == "done" for outcome in ended.values())
    if part:
        return CohortResult(plan.out, table_of(plan, samples), ())
    # what other samples hold may be of an earlier recipe
    current = [sample for sample in samples if sample.sample not in bad]
    files, messages = _write_together(plan, current) if done and not only else ((), ())
    emit(messages)
    return summarise(plan, files, messages)


def _write_together(
    plan: CohortPlan, samples: Sequence[Sample]
) -> tuple[tuple[Path, ...], tuple[Message, ...]]:
    """Write all sections as one file, and as one store where the sections have one each."""
    combined, messages = write_combined(plan, samples)
    if combined is None or FORMAT not in plan.outputs.also:
        return () if combined is None else (combined,), messages
    store, further = write_spatialdata(plan, samples, combined)
    return (combined, *([] if store is None else [store])), (*messages, *further)


def embed_cohort(
    plan: CohortPlan, executor: Executor, *, retries: int = 3, report: Report | None = None
) -> list[Outcome]:
    """Compute the image features that a cohort needs, and return how each section ended.

    A done outcome has the numbers of locations and features in ``properties``. What :func:`run_cohort` needs of them
    later is found in ``out/features``.

    Parameters
    ----------
    plan, executor, retries, report
        As for :func:`run_cohort`.

    Raises
    ------
    UsageError
        Where the model reads no image features, and for sections that cannot be read.
    """
    if not plan.recipe.build().needs.features:
        raise UsageError(f"Model '{plan.recipe.model}' reads no image features; there is nothing to encode.")
    samples = plan.sheet.samples
    _checked(plan, executor, samples, retries=retries, skip_failed=False, report=report)
    tasks = [task for task in plan.tasks(samples) if task.stage == "encode"]
    ended = coordinate(plan, tasks, executor, retries=retries, report=report)
    # one that was done before is in its file with what it found
    return [plan.state.read(task.sample, task.stage) or ended[task.id] for task in tasks]


def _checked(
    plan: CohortPlan,
    executor: Executor,
    samples: Sequence[Sample],
    *,
    retries: int,
    skip_failed: bool,
    report: Report | None,
) -> set[str]:
    """Check sections before anything is computed, and return the names of those that cannot be used."""
    writable_folder(plan.out)
    check_storage(plan.state.folder)
    checked = check_cohort(plan, executor, samples=samples, retries=retries, report=report)
    failed = [outcome for outcome in checked if outcome.status != "done"]
    if failed and not skip_failed:
        raise UsageError(_sentence(failed, len(checked)))
    return {outcome.sample for outcome in failed}


def check_cohort(
    plan: CohortPlan,
    executor: Executor,
    *,
    samples: Sequence[Sample] | None = None,
    retries: int = 3,
    report: Report | None = None,
) -> list[Outcome]:
    """Read and align every section, locate what is to be predicted, and return how each ended.

    A done outcome has the size of its section in ``properties``.
    """
    tasks = list(plan.checks(plan.sheet.samples if samples is None else samples))
    ended = coordinate(plan, tasks, executor, retries=retries, report=report)
    outcomes: list[Any] = []
    for task in tasks:
        # one that was done before is in its file with what it found
        kept = plan.state.read(task.sample, task.stage)
        outcomes.append(kept if kept is not None and kept.key == task.key else ended[task.id])
    return outcomes


def _sentence(failed: Sequence[Outcome], total: int) -> str:
    lines = [f"  {outcome.sample}: {outcome.reason}" for outcome in failed]
    return "\n".join(
        [
            f"{len(failed)} of {total} sections of the sheet cannot be used, and nothing was fitted. Mend them, or "
            "leave them out with `skip_failed`.",
            *lines,
        ]
    )
