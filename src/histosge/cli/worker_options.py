"""Options of commands whose work is divided between processes or machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import typer

__all__ = ["WorkerOptions"]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Who computes."""

    panel: ClassVar[str] = "Work"

    jobs: Annotated[
        int, typer.Option(help="Processes, or workers to start; each needs the memory of one.")
    ] = 1
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler; or slurm, lsf, pbs, sge to start workers by dask-jobqueue."
        ),
    ] = None

    def executor(self) -> Any:
        """Return whose workers compute."""
        from histosge.workflow.executors import executor_of

        return executor_of(self.jobs, self.scheduler)

    @contextmanager
    def for_sums(self) -> Iterator[Any]:
        """Yield whose workers compute the sums of one fit; ``None`` where this process does."""
        if self.scheduler is None and self.jobs == 1:
            yield None
            return
        with self.executor() as executor:
            yield executor
