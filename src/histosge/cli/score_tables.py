"""The tables that ``evaluate`` and ``benchmark`` print, with ``--summary`` too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .screen import print_result, print_table

if TYPE_CHECKING:
    from histosge.evaluation.plan import Plan
    from histosge.workflow.compute import Compute
    from histosge.workflow.recipe import Recipe

__all__ = ["print_summary", "run_fine_truth", "run_plan"]


def run_plan(
    plan: Plan, out: Path, compute: Compute, jobs: int, *, scheduler: str | None = None, as_json: bool
) -> None:
    """Run a plan and print its scores, as JSON or as tables."""
    from histosge.evaluation.benchmark import benchmark as run
    from histosge.evaluation.tables import EXPLANATIONS, screen_table

    result = run(plan, out, compute=compute, jobs=jobs, scheduler=scheduler)
    if as_json:
        files = [str(path.relative_to(out)) for path in result.files]
        record = {**result.as_dict(), "costs": result.costs(), "files": files}
        print_result(record, as_json=True, lines=())
        return
    for section, split in dict.fromkeys((row.section, row.split) for row in result.rows):
        print_table(f"{section}, {split}", *screen_table(result, section, split))
    skipped = dict.fromkeys(f"{trial.model} was skipped. {trial.skipped}" for trial in result.skipped)
    print_result({}, as_json=False, lines=[*skipped, *EXPLANATIONS, *map(str, result.files)])


def print_summary(folders: Sequence[Path], out: Path, *, as_json: bool) -> None:
    """Summarise benchmarks, and print the tables as Markdown, or their values as JSON."""
    from histosge.evaluation.summary.summarise import summarise

    summary = summarise(folders, out)
    # missing numbers are null in JSON, which has no NaN
    rows = json.loads(summary.to_frame().to_json(orient="records"))
    record = {
        "rows": rows,
        "messages": list(summary.messages),
        "files": [str(path) for path in summary.files],
    }
    print_result(record, as_json=as_json, lines=[summary.markdown(), *map(str, summary.files)])


def run_fine_truth(
    truth: Path, recipes: Sequence[Recipe], *, out: Path, compute: Compute, as_json: bool, **options: Any
) -> None:
    """Evaluate against a finer truth and print the scores, as JSON or as tables."""
    from histosge.evaluation.fine_truth.evaluate import evaluate_fine_truth
    from histosge.evaluation.fine_truth.tables import (
        EXPLANATIONS,
        SCREEN_COLUMNS,
        cost_table,
        table_rows,
        title,
    )

    result = evaluate_fine_truth(truth, recipes, out=out, compute=compute, **options)
    if as_json:
        files = [str(path.relative_to(out)) for path in result.files]
        record = {**result.as_dict(), "costs": [dict(cost) for cost in result.costs], "files": files}
        print_result(record, as_json=True, lines=())
        return
    for scale in dict.fromkeys(row.scale for row in result.rows):
        print_table(title(result, scale), SCREEN_COLUMNS, table_rows(result, scale, columns=SCREEN_COLUMNS))
    print_table("Fit and predictions at all scales", *cost_table(result))
    skipped = [f"{model} was skipped. {reason}" for model, reason in result.skipped.items()]
    print_result({}, as_json=False, lines=[*skipped, *EXPLANATIONS, *map(str, result.files)])
