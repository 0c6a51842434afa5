"""Processes of this machine. One that is killed takes its own task with it and no other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from types import TracebackType
from typing import Any

from histosge.errors import UsageError

from .base import WorkerLostError

__all__ = ["Processes"]

# linear algebra of one task must not take the cores of the others
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# OpenBLAS's threads wait for their next task at full speed for 2^28 cycles, a tenth of a second, so that small matrices
# keep a second core busy with nothing; after 2^18 they sleep, and wake in less than it takes to notice
_OPENBLAS_WAIT = ("OPENBLAS_THREAD_TIMEOUT", "18")


class Processes:
    """Workers that are processes of this machine.

    Each process has a pipe of its own: the pools of the standard library share one, which is unusable after a process
    is killed while it writes.

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
        self._threads: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._every: list[_Worker] = []

    def __enter__(self) -> Processes:
        self._threads = ThreadPoolExecutor(self.workers)
        return self

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Compute ``function(*arguments)`` in a process."""
        if self._threads is None:
            raise RuntimeError("Expected an executor that was entered.")
        return self._threads.submit(self._compute, function, arguments)

    def _compute(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Compute in the process of this thread; a new one is started where it has none."""
        worker: _Worker | None = getattr(self._local, "worker", None)
        if worker is None or not worker.process.is_alive():
            worker = self._local.worker = _Worker(max((os.cpu_count() or 1) // self.workers, 1))
            self._every.append(worker)
        return worker.compute(function, arguments)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            # what computes now is given up: its state is not written, and it is done again
            for worker in self._every:
                worker.process.kill()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for worker in self._every:
            worker.end()


class _Worker:
    """A process, and a pipe to it."""

    def __init__(self, cores: int) -> None:
        # a process forked from one that has run PyTorch hangs
        context = get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other,), daemon=True)
        # a user who limits the threads of one library means all of them
        threads = os.environ.get(_THREADS[0], str(cores))
        with _environment({**dict.fromkeys(_THREADS, threads), _OPENBLAS_WAIT[0]: _OPENBLAS_WAIT[1]}):
            self.process.start()
        other.close()

    def compute(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        try:
            self.pipe.send((function, arguments))
            error, result = self.pipe.recv()
        # the system closes the pipe of a killed process
        except (EOFError, OSError) as lost:
            self.process.join()
            raise WorkerLostError(f"A process ended with {self.process.exitcode} before its task.") from lost
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        with suppress(OSError):
            self.pipe.send(None)
        self.pipe.close()
        self.process.join()


def _work(pipe: Any) -> None:
    """Compute what comes through the pipe, until nothing comes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # a parent that was killed closes the pipe
    with suppress(EOFError, KeyboardInterrupt):
        while (task := pipe.recv()) is not None:
            function, arguments = task
            try:
                pipe.send((None, function(*arguments)))
            except Exception as error:
                pipe.send((error, None))


def _end_with_parent() -> None:
    """End this process at once when its parent has ended, whatever it computes: nobody would take the result."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_LOCK = threading.Lock()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables that a process reads at its start, unless the user has set them."""
    with _LOCK:
        new = {name: value for name, value in values.items() if name not in os.environ}
        os.environ.update(new)
        try:
            yield
        finally:
            for name in new:
                del os.environ[name]
