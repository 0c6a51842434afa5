"""State of a cohort: one small file for each stage of each section, written whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from histosge._runtime.records import read_record, write_record
from histosge.errors import DataError

__all__ = ["Outcome", "State", "Status"]

Status: TypeAlias = Literal["done", "failed", "lost", "held", "interrupted"]
_REMEDY = "Delete it: the stage is then done again."


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stage of a section ended.

    Parameters
    ----------
    sample, stage
        Which.
    key
        Hash of all that decides its result; an outcome of another key is void.
    status
        ``"done"``, ``"failed"`` (the same would happen again), ``"lost"`` (its worker ended, or its disk was full:
        trying again may help), ``"held"`` (another worker is at it), ``"interrupted"`` (the command was ended).
    reason
        The sentence of the error; empty where it is done.
    seconds, peak_memory_bytes
        What it cost.
    attempts
        How often it was tried.
    messages
        What was noticed about the data.
    properties
        Plain values that the stage found: spots and genes of a section, a correlation.
    """

    sample: str
    stage: str
    key: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int | None = None
    attempts: int = 1
    messages: tuple[str, ...] = ()
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """The outcomes that a folder holds.

    Parameters
    ----------
    folder
        Holds ``SAMPLE/STAGE.json`` and leases of stages at work.
    """

    folder: Path

    def path(self, sample: str, stage: str) -> Path:
        """Return the file of a stage of a section."""
        return self.folder / sample / f"{stage}.json"

    def lease(self, sample: str, stage: str) -> Path:
        """Return the lease of a stage of a section."""
        return self.folder / sample / f"{stage}.lease"

    def read(self, sample: str, stage: str) -> Outcome | None:
        """Return how a stage ended last; ``None`` where it never ended, or its file is damaged."""
        path = self.path(sample, stage)
        if not path.exists():
            return None
        try:
            return read_record(path, Outcome, remedy=_REMEDY)
        except DataError:
            # as if it had not ended: it is done again
            return None

    def write(self, outcome: Outcome) -> Outcome:
        """Keep how a stage ended, and return it with the number of attempts so far."""
        before = self.read(outcome.sample, outcome.stage)
        tried = before is not None and before.status not in ("done", "interrupted")
        if before is not None and tried and before.key == outcome.key:
            outcome = replace(outcome, attempts=before.attempts + 1)
        write_record(self.path(outcome.sample, outcome.stage), asdict(outcome))
        return outcome

    def is_done(self, sample: str, stage: str, key: str) -> bool:
        """Return whether a stage of this key is done."""
        outcome = self.read(sample, stage)
        return outcome is not None and outcome.status == "done" and outcome.key == key
