"""The stages of a job: progress that names and counts them, and what each of them cost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from histosge._runtime.provenance import Stopwatch

if TYPE_CHECKING:
    # commands make their stages before anything that takes long to import
    from .compute import Progress

__all__ = ["ENCODE_STAGES", "FIT_STAGES", "PREDICT_STAGES", "RUN_STAGES", "Stages"]

# in their order; a name is also a key of `stages` in run.json
RUN_STAGES = ("read", "locate", "encode", "fit", "predict", "write")
PREDICT_STAGES = ("read", "locate", "encode", "predict", "write")
FIT_STAGES = ("read", "encode", "fit")
ENCODE_STAGES = ("read", "locate", "encode")
_LABELS = {"encode": "image features", "leave_one_section_out": "leave one section out"}


class Stages:
    """Numbered stages of one job.

    The clock starts when the value is made. Progress is reported as (done, total, text), and the text names the stage:
    ``3 of 6 · image features · texture``.

    Parameters
    ----------
    names
        The stages, in their order.
    progress
        Receives the progress of all stages; ``None`` reports none.

    Examples
    --------
    >>> stages = Stages(("fit", "predict"), lambda done, total, text: print(done, total, text))
    >>> with stages("predict") as progress:
    ...     progress(1, 9, "locations")
    0 1 2 of 2 · predict
    1 9 2 of 2 · predict · locations
    1 1 2 of 2 · predict
    """

    def __init__(self, names: Sequence[str], progress: Progress | None = None) -> None:
        self._names = list(names)
        self._progress = progress
        self._watch = Stopwatch()
        self._started = time.perf_counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[Progress | None]:
        """Time the ``with`` block as stage ``name``, and yield the callback for progress inside it."""
        with self._watch(name):
            if self._progress is None:
                yield None
                return
            # encoders name themselves "image features · texture": the stage is named once
            report, label = self._progress, self._label(name)
            stage = f"{_LABELS.get(name, name)} · "
            report(0, 1, label)
            yield lambda done, total, text: report(done, total, f"{label} · {text.removeprefix(stage)}")
            report(1, 1, label)

    def add(self, name: str, *, before: str) -> None:
        """Add a stage that only some jobs have."""
        self._names.insert(self._names.index(before), name)

    @property
    def costs(self) -> dict[str, dict[str, float]]:
        """Wall and CPU seconds of each stage so far."""
        return self._watch.stages

    @property
    def seconds(self) -> float:
        """Wall seconds since the job began."""
        return time.perf_counter() - self._started

    def _label(self, name: str) -> str:
        number = self._names.index(name) + 1
        return f"{number} of {len(self._names)} · {_LABELS.get(name, name)}"
