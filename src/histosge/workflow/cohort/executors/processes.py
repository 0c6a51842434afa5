"""Processes of this machine. One that is killed takes its own task with it and no other."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing import get_context
from types import TracebackType
from typing import Any

from histosge.errors import UsageError

from .base import WorkerLostError

__all__ = ["Processes"]

# linear algebra of one task must not take the cores of the others
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Processes:
    """Workers that are processes of this machine.

    Parameters
    ----------
    jobs
        How many; each needs the memory of one. Cores are divided among them.

    Raises
    ------
    UsageError
        For less than one.

    Examples
    --------
    >>> Processes(2).workers
    2
    """

    def __init__(self, jobs: int = 1) -> None:
        if jobs < 1:
            raise UsageError(f"`jobs` must be 1 or more, got {jobs}.")
        self.workers = jobs
        self._pool: Any = None

    def __enter__(self) -> Processes:
        from pebble import ProcessPool

        # a process forked from one that has run PyTorch hangs; a new one reads these at its start
        before = {name: os.environ.get(name) for name in _THREADS}
        threads = max((os.cpu_count() or 1) // self.workers, 1)
        self._before = before
        os.environ.update({name: before[name] or str(threads) for name in _THREADS})
        self._pool = ProcessPool(self.workers, context=get_context("spawn"))
        return self

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Compute ``function(*arguments)`` in a process."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        inner = self._pool.schedule(function, args=list(arguments))
        inner.add_done_callback(lambda done: _pass_on(done, future))
        return future

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._pool.close()
        else:
            self._pool.stop()
        self._pool.join()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _pass_on(done: Future[Any], future: Future[Any]) -> None:
    from concurrent.futures import CancelledError

    from pebble import ProcessExpired

    try:
        future.set_result(done.result())
    except (ProcessExpired, CancelledError) as error:
        future.set_exception(WorkerLostError(f"A process ended before its task ({error})."))
    except BaseException as error:
        future.set_exception(error)
