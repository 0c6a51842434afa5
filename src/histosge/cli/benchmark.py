"""The command ``benchmark``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from histosge.errors import UsageError

from .command import command
from .encoder_values import patch_widths
from .options import ComputeOptions, PatchUm, ReplyOptions, Weights
from .recipe import refuse_other_files
from .score_tables import print_summary, run_plan
from .screen import Progress

__all__ = ["benchmark"]

_OUT, _SUMMARY_OUT = Path("histosge-benchmark"), Path("histosge-summary")


@command("Evaluate")
def benchmark(
    compute_options: ComputeOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PLAN.toml | OUT…",
            help="A plan, see docs/evaluating-models.md; with --summary, folders that benchmarks filled, or the "
            "summary.parquet of earlier summaries.",
        ),
    ],
    summary: Annotated[
        bool,
        typer.Option(
            "--summary",
            help="Run nothing: write one page, one table and one text of the benchmarks in these folders.",
        ),
    ] = False,
    weights: Weights = None,
    patch_um: PatchUm = None,
    jobs: Annotated[int, typer.Option(help="Processes; each takes the memory of one.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler; or slurm, lsf, pbs, sge to start workers by dask-jobqueue."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder for the results: {_OUT}; of a summary the folder itself, of several {_SUMMARY_OUT}.",
            rich_help_panel="Output",
        ),
    ] = None,
) -> None:
    """Run a plan of sections × splits × encoders × models × seeds; what is done already is not done again."""
    if summary:
        _refuse_plan_options(weights=weights, patch_um=patch_um, scheduler=scheduler)
        only = paths[0] if len(paths) == 1 and not paths[0].is_file() else _SUMMARY_OUT
        print_summary(paths, out or only, as_json=reply_options.json)
        return
    from histosge.evaluation.plan_file import read_plan

    compute, planned = compute_options.compute(weights, progress), read_plan(_only_plan(paths))
    refuse_other_files(compute.weights, planned.encoders)
    widths = patch_widths(patch_um)
    planned = planned if widths is None else replace(planned, patch_um=widths)
    run_plan(planned, out or _OUT, compute, jobs, scheduler=scheduler, as_json=reply_options.json)


def _only_plan(paths: Sequence[Path]) -> Path:
    if len(paths) != 1:
        raise UsageError(f"Expected one plan, got {len(paths)}. With `summary`, give folders of benchmarks.")
    if paths[0].is_dir():
        raise UsageError(
            f"Expected a plan, got the folder '{paths[0]}'. Use `summary` to summarise benchmarks."
        )
    return paths[0]


def _refuse_plan_options(**options: object) -> None:
    """Refuse options that decide how a plan runs, where none does."""
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"`summary` runs nothing: leave `{name}` out.")
