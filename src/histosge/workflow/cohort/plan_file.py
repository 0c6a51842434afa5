"""A plan in a file: what a task carries in place of the plan of a thousand sections."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from histosge._runtime.atomic_files import atomic_path
from histosge.errors import DataError

from .plan import CohortPlan
from .sheet import SampleSheet

__all__ = ["PlanFile"]

# the plans of two cohorts, or of one before and after a change
_KEPT = 2


@dataclass(frozen=True, slots=True)
class PlanFile:
    """Where workers read a plan.

    Parameters
    ----------
    path
        File in the folder of the cohort's state, which every worker reaches.
    sha256
        Of its content: a file that somebody else wrote is not read.
    """

    path: Path
    sha256: str

    @classmethod
    def write(cls, plan: CohortPlan) -> PlanFile:
        """Keep a plan for the workers; its paths become absolute, because workers start in other folders.

        Raises
        ------
        OutputError
            When the disk is full.
        """
        rows = tuple(sample.absolute() for sample in plan.sheet.samples)
        content = pickle.dumps(replace(plan, sheet=SampleSheet(rows), out=plan.out.absolute()))
        digest = hashlib.sha256(content).hexdigest()
        path = plan.state.folder.absolute() / f"plan_{digest[:16]}.pickle"
        if not path.is_file() or path.read_bytes() != content:
            with atomic_path(path) as draft:
                draft.write_bytes(content)
        return cls(path, digest)

    def read(self) -> CohortPlan:
        """Return the plan; it is read once in each process.

        Raises
        ------
        DataError
            Where it is not the plan that was written.
        """
        return _read(self.path, self.sha256)


@lru_cache(_KEPT)
def _read(path: Path, sha256: str) -> CohortPlan:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"Expected the plan of the cohort at '{path}', got no file. Workers need the folder of the results under "
            "the same path as the coordinator."
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"The plan of the cohort at '{path}' was changed. Run the same command again.")
    # of this content alone: the hash comes from the coordinator
    plan: CohortPlan = pickle.loads(content)
    return plan
