"""Executors: where the stages of a cohort and the trials of a benchmark are computed.

An executor has the interface of :class:`concurrent.futures.Executor`: ``submit`` returns a future. A worker that ends
before its task raises :class:`~histosge.workflow.executors.base.WorkerLostError` from the future.
"""

from __future__ import annotations

from .base import Executor, WorkerLostError
from .dask_workers import DaskWorkers
from .fit_workers import FitWorkers
from .processes import Processes

__all__ = ["DaskWorkers", "Executor", "FitWorkers", "Processes", "WorkerLostError", "executor_of"]


def executor_of(jobs: int = 1, scheduler: str | None = None) -> Processes | DaskWorkers:
    """Return processes of this machine, or the workers of a scheduler.

    Parameters
    ----------
    jobs
        Processes, or workers to start.
    scheduler
        As for :class:`DaskWorkers`; ``None``: this machine.

    Examples
    --------
    >>> executor_of(2).workers
    2
    """
    return Processes(jobs) if scheduler is None else DaskWorkers(scheduler, jobs)
