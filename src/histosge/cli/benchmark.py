"""The command ``benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .command import command
from .options import ComputeOptions, Out, ReplyOptions
from .score_tables import run_plan
from .screen import Progress

__all__ = ["benchmark"]


@command("Evaluate")
def benchmark(
    compute_options: ComputeOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="See docs/evaluating-models.md.")],
    weights: Annotated[Path | None, typer.Option(help="Local file of the encoder's weights.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes; each takes the memory of one.")] = 1,
    out: Out = Path("histosge-benchmark"),
) -> None:
    """Run a plan of sections × splits × encoders × models × seeds; what is done already is not done again."""
    from histosge.evaluation.plan_file import read_plan

    compute = compute_options.compute(weights, progress)
    run_plan(read_plan(plan), out, compute, jobs, as_json=reply_options.json)
