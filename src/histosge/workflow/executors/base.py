"""What an executor is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

__all__ = ["Executor", "WorkerLostError"]


class WorkerLostError(Exception):
    """A worker ended before its task: it was killed, ran out of memory, or its machine is gone."""


@runtime_checkable
class Executor(Protocol):
    """Workers that compute tasks. It is a context manager; leaving it ends the workers."""

    @property
    def workers(self) -> int:
        """How many tasks can be computed at a time, now."""
        ...

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Compute ``function(*arguments)`` on a worker; a lost worker's future raises :class:`WorkerLostError`."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
