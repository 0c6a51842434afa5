"""Parts of one fit, computed by the workers of an executor."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import histosge
from histosge._runtime.atomic_files import atomic_path
from histosge.errors import OutputError, UsageError

from .base import Executor, WorkerLostError

__all__ = ["FitWorkers"]

# attempts after the first, of a part whose worker was lost
_RETRIES = 3


@dataclass(frozen=True, slots=True, eq=False)
class FitWorkers:
    """The workers of an executor, for the sums of a fit (:class:`~histosge.models.base.Workers`).

    Parts of the data are written to the folder, where workers read them; through the executor go names of files and
    sums.

    Parameters
    ----------
    executor
        Entered already.
    folder
        On storage that all workers reach under the same name.
    """

    executor: Executor
    folder: Path

    def map(self, function: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
        """Return ``function`` of each argument, in order; a part whose worker was lost is computed again.

        Raises
        ------
        UsageError
            Where workers do not see the folder, are of another version, or are lost again and again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        paths = [self._written(function, argument) for argument in arguments]
        try:
            futures = [self._submit(path) for path in paths]
            return [self._result(path, future) for path, future in zip(paths, futures, strict=True)]
        finally:
            for path in paths:
                path.unlink(missing_ok=True)

    def _written(self, function: Callable[[Any], Any], argument: Any) -> Path:
        path = self.folder.absolute() / f"part-{uuid.uuid4().hex}.pickle"
        with atomic_path(path) as draft, draft.open("wb") as file:
            pickle.dump((function, argument), file, protocol=pickle.HIGHEST_PROTOCOL)
        return path

    def _submit(self, path: Path) -> Future[Any]:
        return self.executor.submit(_computed, str(path), histosge.__version__)

    def _result(self, path: Path, future: Future[Any]) -> Any:
        for attempt in range(_RETRIES + 1):
            try:
                return future.result()
            except WorkerLostError as error:
                if attempt == _RETRIES:
                    raise UsageError(
                        f"A part of the fit was lost {_RETRIES + 1} times with its worker ({error}). Give the workers "
                        "more memory, or fit without them."
                    ) from error
                future = self._submit(path)
        raise AssertionError("unreachable")


def _computed(path: str, version: str) -> Any:
    """Compute a part that another process wrote."""
    if version != histosge.__version__:
        raise UsageError(
            f"The worker has histosge {histosge.__version__}, the coordinator {version}. Install the same on all "
            "machines."
        )
    try:
        with Path(path).open("rb") as file:
            function, argument = pickle.load(file)
    except FileNotFoundError as error:
        raise OutputError(
            f"A worker does not see '{path}', which the coordinator wrote. Choose `out` on storage that all machines "
            "reach under the same name."
        ) from error
    return function(argument)
