"""A job array of SLURM for a cohort, where Dask is not wanted."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from histosge._runtime.atomic_files import atomic_path
from histosge.errors import UsageError

from .plan import CohortPlan

__all__ = ["submit", "write_scripts"]

_ARRAY = """#!/bin/bash
# One task a section. Each does the stages of its own that are missing; see `histosge cohort --help`.
#SBATCH --job-name=histosge
#SBATCH --array=1-{number}
#SBATCH --cpus-per-task={cores}
#SBATCH --mem={memory}G
#SBATCH --output={folder}/%A_%a.log
set -eu
export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-{cores}}}"
sample=$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" {names})
exec {command} --only "$sample" --part
"""
_FINISH = """#!/bin/bash
# After the array: whatever is missing, the summary, and one file of all sections.
#SBATCH --job-name=histosge-summary
#SBATCH --cpus-per-task={cores}
#SBATCH --mem={memory}G
#SBATCH --output={folder}/summary_%j.log
set -eu
exec {command}
"""


def write_scripts(
    plan: CohortPlan, command: Sequence[str], *, cores: int = 2, memory_gib: int = 8
) -> tuple[Path, Path]:
    """Write the scripts of the array and of the summary, and the list of samples, into ``out/slurm``.

    Parameters
    ----------
    plan
        The cohort.
    command
        The command line of the cohort, without ``--slurm``.
    cores, memory_gib
        Of each task.
    """
    folder = (plan.out / "slurm").absolute()
    names = folder / "samples.txt"
    values = {
        "number": len(plan.sheet),
        "cores": cores,
        "memory": memory_gib,
        "folder": shlex.quote(str(folder)),
        "names": shlex.quote(str(names)),
        "command": shlex.join(command),
    }
    texts = {
        names: "".join(f"{sample.sample}\n" for sample in plan.sheet.samples),
        folder / "array.sh": _ARRAY.format(**values),
        folder / "summary.sh": _FINISH.format(**values),
    }
    for path, text in texts.items():
        with atomic_path(path) as draft:
            draft.write_text(text, encoding="utf-8")
    return folder / "array.sh", folder / "summary.sh"


def submit(array: Path, summary: Path) -> tuple[str, str]:
    """Submit the array, and the summary after it, and return the numbers of the jobs.

    Raises
    ------
    UsageError
        Where there is no ``sbatch`` here, or it refuses; the scripts are kept.
    """
    if shutil.which("sbatch") is None:
        raise UsageError(
            f"There is no sbatch on this machine. Submit from a login node: sbatch {array}, then sbatch "
            f"--dependency=afterany:JOB {summary}."
        )
    job = _sbatch(str(array))
    # whatever the array did: the summary names what failed
    return job, _sbatch(f"--dependency=afterany:{job}", str(summary))


def _sbatch(*arguments: str) -> str:
    done = subprocess.run(["sbatch", "--parsable", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(
            f"sbatch refused the job: {done.stderr.strip()}. Change the script and submit it by hand."
        )
    return done.stdout.strip().split(";")[0]
