"""The command ``hest``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .command import command
from .options import ComputeOptions, Out, ReplyOptions, SeedOptions, Weights
from .screen import Progress, print_result, print_table, show_messages

__all__ = ["hest"]

_TASKS = "Benchmark"


@command("Evaluate")
def hest(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The data set hest-bench, or one of its tasks."),
    ],
    compute_options: ComputeOptions,
    seed_options: SeedOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Encoder; may be given several times. Default: texture.", rich_help_panel=_TASKS),
    ] = None,
    heads: Annotated[
        str | None,
        typer.Option(
            help="Heads, separated by commas: pca-ridge (protocol A1), ridge (A2), ridge-unscaled, ridge-cv, "
            "ridge-evidence, cokriging. Default: all that the files allow.",
            rich_help_panel=_TASKS,
        ),
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Only these tasks, separated by commas.", rich_help_panel=_TASKS)
    ] = None,
    known: Annotated[
        str | None,
        typer.Option(
            help="Second track: numbers of known spots of each test sample, as 0,10,50,100,half.",
            rich_help_panel=_TASKS,
        ),
    ] = None,
    weights: Weights = None,
    out: Out = Path("histosge-hest"),
) -> None:
    """Run HEST-Benchmark: both official protocols, other heads, and known spots of the predicted sample."""
    from histosge.evaluation.hest.benchmark import hest as run_hest
    from histosge.evaluation.hest.result import COLUMNS, EXPLANATIONS

    result = run_hest(
        folder,
        out,
        encoders=encoder or ["texture"],
        heads=_listed(heads),
        tasks=_listed(tasks),
        known=_listed(known),
        compute=compute_options.compute(weights, progress),
        seed=seed_options.seed,
    )
    show_messages(result.messages)
    record = result.as_dict() | {"files": [str(path) for path in result.files]}
    if not reply_options.json:
        print_table(f"HEST-Benchmark, {folder.name}", COLUMNS, result.rows())
    print_result(record, as_json=reply_options.json, lines=[*EXPLANATIONS, *map(str, result.files)])


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
