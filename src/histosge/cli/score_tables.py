"""The tables that ``evaluate`` and ``benchmark`` print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .screen import print_result, print_table

__all__ = ["run_plan"]


def run_plan(plan: Any, out: Path, compute: Any, jobs: int, *, as_json: bool) -> None:
    """Run a plan and print its scores, as JSON or as tables."""
    from histosge.evaluation.benchmark import benchmark as run
    from histosge.evaluation.tables import COLUMNS, NOTES, ON_SCREEN, further, rows

    content = run(plan, out, compute, jobs=jobs)
    if as_json:
        print_result(content, as_json=True, lines=())
        return
    for section, split in dict.fromkeys((row["section"], row["split"]) for row in content["rows"]):
        short = [COLUMNS.index(name) for name in ON_SCREEN]
        cells = [tuple(row[column] for column in short) for row in rows(content, section, split)]
        print_table(f"{section}, {split}", ON_SCREEN, cells)
    for page, _ in further(content):
        print_table(page.title, page.header, page.lines)
    messages = dict.fromkeys([*NOTES, *(message for _, message in further(content))])
    passed_over = [f"{row['model']}: {row['passed_over']}" for row in content["passed_over"]]
    files = [str(out / name) for name in content["files"]]
    print_result({}, as_json=False, lines=[*dict.fromkeys(passed_over), *messages, *files])
