"""Workers of Dask: of a scheduler that runs, or of a batch system that dask-jobqueue knows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any

from histosge.errors import UsageError

from .base import WorkerLostError

__all__ = ["BATCH_SYSTEMS", "DaskWorkers"]

#: name on the command line -> class of dask-jobqueue
BATCH_SYSTEMS = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster", "sge": "SGECluster"}
_INSTALL = "Run: pip install 'histosge[cluster]'"
_TIMEOUT_S = 30


class DaskWorkers:
    """Workers of Dask.

    Parameters
    ----------
    scheduler
        Address of a scheduler (``tcp://host:8786``), or a name of :data:`BATCH_SYSTEMS`: then dask-jobqueue starts
        ``jobs`` workers, with the settings of its own configuration file (``~/.config/dask/jobqueue.yaml``).
    jobs
        Workers to start; those of a scheduler that runs are taken as they are.

    Raises
    ------
    UsageError
        Where Dask is not installed, or no scheduler can be reached.
    """

    def __init__(self, scheduler: str, jobs: int = 1) -> None:
        self._scheduler = scheduler
        self._jobs = jobs
        self._cluster: Any = None
        self._client: Any = None
        self._known = 1
        self._held: dict[Future[Any], Any] = {}

    @property
    def workers(self) -> int:
        """How many tasks can be computed at a time, now: threads of all workers."""
        if self._client is None:
            return self._jobs
        # a scheduler that starts again does not answer for a while
        with suppress(OSError, TimeoutError):
            self._known = max(sum(int(number) for number in self._client.nthreads().values()), 1)
        return self._known

    def __enter__(self) -> DaskWorkers:
        if self._scheduler in BATCH_SYSTEMS:
            self._cluster = self._started(self._scheduler)
        self._connect()
        return self

    def _connect(self) -> None:
        try:
            distributed: Any = import_module("distributed")
        except ImportError as error:
            raise UsageError(f"`scheduler` needs Dask, which is not installed. {_INSTALL}") from error
        try:
            address = self._cluster or self._scheduler
            self._client = distributed.Client(address, timeout=_TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(
                f"No Dask scheduler answers at '{self._scheduler}' within {_TIMEOUT_S} s. Start one with "
                "`dask scheduler`, or leave `scheduler` out to work on this machine."
            ) from error

    def _started(self, system: str) -> Any:
        try:
            dask_jobqueue: Any = import_module("dask_jobqueue")
        except ImportError as error:
            raise UsageError(f"'{system}' needs dask-jobqueue, which is not installed. {_INSTALL}") from error
        cluster = getattr(dask_jobqueue, BATCH_SYSTEMS[system])()
        cluster.scale(jobs=self._jobs)
        return cluster

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Compute ``function(*arguments)`` on a worker; a task whose worker was lost is not tried again here."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        if self._client.status not in ("running", "connecting"):
            # it gave up waiting for a scheduler that was started again
            self._connect()
        # not pure: a second attempt is a second computation
        task = self._client.submit(function, *arguments, pure=False, retries=0)
        task.add_done_callback(lambda done: _pass_on(done, future))
        # results of tasks that nobody holds are dropped
        self._held[future] = task
        future.add_done_callback(lambda done: self._held.pop(done, None))
        return future

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self._client, self._cluster):
            if part is not None:
                part.close()


def _pass_on(done: Any, future: Future[Any]) -> None:
    if future.done():
        return
    if done.status == "finished":
        try:
            future.set_result(done.result())
        except BaseException as error:
            future.set_exception(WorkerLostError(f"The result of a worker was lost ({error})."))
        return
    if done.status == "error":
        error = done.exception()
        lost = type(error).__name__ in ("KilledWorker", "CommClosedError", "CancelledError")
        future.set_exception(WorkerLostError(str(error)) if lost else error)
        return
    # cancelled or lost: the scheduler was started again and has forgotten the task
    future.set_exception(WorkerLostError(f"The scheduler no longer knows the task ({done.status})."))
