"""The main job on a synthetic section whose truth is known, without any download."""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.atomic_files import writable_folder
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.io.readers import read
from histosge.section.target import Target

from .compute import Compute, Progress
from .job import Job
from .recipe import Recipe
from .result import RunResult
from .run import run_job
from .stages import RUN_STAGES, Stages

__all__ = ["demo"]


def demo(out: Path, *, seed: int = 0, progress: Progress | None = None) -> RunResult:
    """Write a synthetic section as a Space Ranger folder, run on it, and return its result.

    Parameters
    ----------
    out
        Receives ``section/``, which ``histosge run`` takes like any other, and the results.
    seed
        Of the synthetic section and of the fit.
    progress
        Called with (done, total, text) as work proceeds.
    """
    writable_folder(out)
    folder = out / "section"
    stages = Stages(RUN_STAGES, progress)
    with stages("read"):
        write_spaceranger(synthetic(seed=seed).section, folder)
        section = read(folder)
    recipe = Recipe(genes="all", seed=seed)
    return run_job(section, recipe, Target(upsample=4), job=Job.of(out, stages, Compute()))
