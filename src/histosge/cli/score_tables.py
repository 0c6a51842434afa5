"""The tables that ``evaluate`` and ``benchmark`` print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .screen import print_result, print_table

if TYPE_CHECKING:
    from histosge.evaluation.plan import Plan
    from histosge.workflow.compute import Compute

__all__ = ["run_plan"]


def run_plan(plan: Plan, out: Path, compute: Compute, jobs: int, *, as_json: bool) -> None:
    """Run a plan and print its scores, as JSON or as tables."""
    from histosge.evaluation.benchmark import benchmark as run
    from histosge.evaluation.tables import EXPLANATIONS, SCREEN_COLUMNS, table_rows

    result = run(plan, out, compute=compute, jobs=jobs)
    if as_json:
        files = [str(path.relative_to(out)) for path in result.files]
        record = {**result.as_dict(), "costs": result.costs(), "files": files}
        print_result(record, as_json=True, lines=())
        return
    for section, split in dict.fromkeys((row.section, row.split) for row in result.rows):
        rows = table_rows(result, section, split, columns=SCREEN_COLUMNS)
        print_table(f"{section}, {split}", SCREEN_COLUMNS, rows)
    skipped = dict.fromkeys(f"{trial.model} was skipped. {trial.skipped}" for trial in result.skipped)
    print_result({}, as_json=False, lines=[*skipped, *EXPLANATIONS, *map(str, result.files)])
