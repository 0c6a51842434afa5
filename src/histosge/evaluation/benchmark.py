"""Run a plan: every trial once, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from histosge._runtime.atomic_files import writable_folder
from histosge.errors import OutputError, UsageError
from histosge.workflow.compute import Compute
from histosge.workflow.executors import Executor, WorkerLostError, executor_of

from .plan import Plan, Trial
from .plan_file import read_plan
from .planned_studies import refuse_equal_names, study_of
from .result import EvaluationResult, collect
from .result_files import refuse_overwriting, write_result, write_splits
from .study import encode_study
from .trial import TrialResult, is_done, read_trial, run_trial, trial_key, write_trial

__all__ = ["benchmark", "run_trials"]

_TRIALS, _SPLITS, _FEATURES = "trials", "splits", "features"


def benchmark(
    plan: Plan | Path | str,
    out: Path | str,
    *,
    compute: Compute = Compute(),
    jobs: int = 1,
    scheduler: str | None = None,
) -> EvaluationResult:
    """Run the trials of a plan that are missing in ``out``, and write tables and figures of all.

    Parameters
    ----------
    plan
        A plan, or a TOML file of one.
    out
        Receives ``scores.parquet`` (the tidy table), ``scores.json`` (the summary), ``scores.md``, ``costs.json``,
        ``figures/``, ``splits/`` (training and test spots), and ``trials/``, which a later run reuses.
    compute
        Device, precision and progress.
    jobs
        Number of processes; each needs the memory of one.
    scheduler
        Compute on the workers of Dask instead: an address, or a batch system, as
        :class:`~histosge.workflow.executors.DaskWorkers` takes it. ``out`` must be on a storage that they share.

    Raises
    ------
    UsageError, DataError, WeightsError
        In one sentence each; finished trials are kept.

    Examples
    --------
    >>> import tempfile, histosge as hs
    >>> from histosge.evaluation.plan import Plan
    >>> section = hs.synthetic(columns=10, rows=10, genes=12).section
    >>> plan = Plan([section], ["cokriging"], seeds=(0,), genes="all", baselines=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = benchmark(plan, folder)
    ...     print([path.name for path in result.files[:3]])
    ['scores.parquet', 'scores.json', 'scores.md']
    """
    plan, out = plan if isinstance(plan, Plan) else read_plan(plan), Path(out)
    refuse_overwriting(plan, out)
    trials = list(plan.trials())
    results = run_trials(plan, out, compute=compute, jobs=jobs, scheduler=scheduler)
    splits = write_splits(plan, trials, out / _SPLITS)
    return write_result(collect(plan, trials, results), out, splits)


def run_trials(
    plan: Plan, out: Path, *, compute: Compute = Compute(), jobs: int = 1, scheduler: str | None = None
) -> list[TrialResult]:
    """Run the trials of a plan that are missing in ``out`` and return the results of all, in the plan's order.

    Raises
    ------
    UsageError, DataError, WeightsError
        As :func:`benchmark`.
    """
    if jobs < 1:
        raise UsageError(f"`jobs` must be 1 or more, got {jobs}.")
    refuse_equal_names(plan)
    writable_folder(out)
    compute = compute.with_store(out / _FEATURES)
    trials = list(plan.trials())
    folders = [out / _TRIALS / trial_key(plan, trial, compute.setup) for trial in trials]
    missing = [(trial, folder) for trial, folder in zip(trials, folders, strict=True) if not is_done(folder)]
    # features first, so that processes of one section do not compute them side by side
    for trial, _ in missing:
        _encode(plan, trial, compute)
    executor = None if jobs == 1 and scheduler is None else executor_of(jobs, scheduler)
    _run(plan, missing, replace(compute, progress=None), executor=executor, progress=compute.progress)
    return [read_trial(folder) for folder in folders]


def _encode(plan: Plan, trial: Trial, compute: Compute) -> None:
    """Compute the image features that a trial needs, into the store."""
    needs = trial.recipe.build().needs
    study = study_of(plan, trial)
    if study.target.slide is not None and (needs.features or needs.colour):
        encode_study(study, trial.recipe, compute)


def _run(
    plan: Plan,
    trials: Sequence[tuple[Trial, Path]],
    compute: Compute,
    *,
    executor: Executor | None,
    progress: Callable[[int, int, str], None] | None,
) -> None:
    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(trials), "trials")

    if executor is None:
        for done, (trial, folder) in enumerate(trials, start=1):
            _run_and_write(plan, trial, compute, folder)
            report(done)
        return
    with executor:
        futures = [executor.submit(_run_and_write, plan, trial, compute, folder) for trial, folder in trials]
        for done, (future, (trial, folder)) in enumerate(zip(futures, trials, strict=True), start=1):
            # in the plan's order: the first error is that of the first trial that failed
            try:
                future.result()
            except WorkerLostError:
                _again(executor, plan, trial, compute, folder)
            report(done)


def _again(executor: Executor, plan: Plan, trial: Trial, compute: Compute, folder: Path) -> None:
    """Compute a trial whose worker was lost once more."""
    try:
        executor.submit(_run_and_write, plan, trial, compute, folder).result()
    except WorkerLostError as error:
        raise OutputError(
            f"A worker ended twice at '{trial.recipe.variant}' ({error}) It may be too large for the memory: use fewer "
            "`jobs`. Finished trials are kept."
        ) from error


def _run_and_write(plan: Plan, trial: Trial, compute: Compute, folder: Path) -> None:
    # two trials of a plan can have one key: the second is done by then
    if not is_done(folder):
        write_trial(run_trial(plan, trial, compute), folder)
