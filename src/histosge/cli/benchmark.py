"""The command ``benchmark``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from .command import command
from .encoder_values import patch_widths
from .options import ComputeOptions, Out, PatchUm, ReplyOptions, Weights
from .recipe import refuse_other_files
from .score_tables import run_plan
from .screen import Progress

__all__ = ["benchmark"]


@command("Evaluate")
def benchmark(
    compute_options: ComputeOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="See docs/evaluating-models.md.")],
    weights: Weights = None,
    patch_um: PatchUm = None,
    jobs: Annotated[int, typer.Option(help="Processes; each takes the memory of one.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler; or slurm, lsf, pbs, sge to start workers by dask-jobqueue."
        ),
    ] = None,
    out: Out = Path("histosge-benchmark"),
) -> None:
    """Run a plan of sections × splits × encoders × models × seeds; what is done already is not done again."""
    from histosge.evaluation.plan_file import read_plan

    compute, planned = compute_options.compute(weights, progress), read_plan(plan)
    refuse_other_files(compute.weights, planned.encoders)
    widths = patch_widths(patch_um)
    planned = planned if widths is None else replace(planned, patch_um=widths)
    run_plan(planned, out, compute, jobs, scheduler=scheduler, as_json=reply_options.json)
