"""Scores as a table for people: one row a model, the headline first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import deviations, papers_table
from .scores import row_name

__all__ = ["COLUMNS", "NOTES", "ON_SCREEN", "further", "markdown", "rows"]

COLUMNS = (
    "model",
    "PCC test",
    "top-50",
    "MSE",
    "MAE",
    "undefined",
    "skill",
    "of ceiling",
    "PCC training",
    "PCC pooled",
    "fit s",
)

# those that a terminal has room for
ON_SCREEN = (
    "model",
    "PCC test",
    "MSE",
    "undefined",
    "skill",
    "of ceiling",
    "PCC pooled",
    "fit s",
)

NOTES = (
    "`test`: spots that nothing fitted has seen; mean over genes, undefined correlations counted as 0, "
    "± standard deviation over seeds.",
    "Skill: 1 − MSE / MSE of kriging on positions, mean over genes. Of ceiling: share of the correlation that the "
    "noise of the measurement allows.",
    "`pooled` takes training and test spots together, as published tables do: it is in part in-sample, and drops "
    "undefined genes. The row `memorisation` shows how high that score is without any prediction.",
)

Row = Mapping[str, Any]


def rows(content: Row, section: str, split: str) -> list[tuple[str, ...]]:
    """Return the cells of a section's table, best correlation first.

    Parameters
    ----------
    content
        What :func:`histosge.evaluation.benchmark.benchmark` returns.
    section, split
        Which.
    """
    mine = [row for row in content["rows"] if row["section"] == section and row["split"] == split]
    by: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in mine:
        by.setdefault((row["model"], row["preset"], row["encoder"]), {})[row["set"]] = row
    order = sorted(by, key=lambda key: -(by[key]["test"].get("pcc") or 0.0))
    seconds = _seconds(content, section, split)
    return [_cells(key, by[key], content, seconds.get(key)) for key in order]


def markdown(content: Row) -> str:
    """Return all tables as Markdown, with what a reader must know of them."""
    lines = [*(["> " + content["note"], ""] if content["note"] else [])]
    if content["leaks_declared"]:
        lines += [f"> Declared leak: {leak}" for leak in content["leaks_declared"]] + [""]
    for section, split in _pages(content["rows"]):
        lines += _table(f"{section}, {split}", COLUMNS, rows(content, section, split))
    for page, note in further(content):
        lines += [*_table(page.title, page.header, page.lines), f"* {note}", ""]
    for record in _passed_over(content):
        lines.append(f"* {record}")
    return "\n".join([*lines, *(f"* {note}" for note in NOTES), ""])


def further(content: Row) -> list[tuple[papers_table.Page, str]]:
    """Return the tables beside the scores, each with what a reader must know: deviations, and the paper's own form.

    Parameters
    ----------
    content
        What :func:`histosge.evaluation.benchmark.benchmark` returns.
    """
    by: dict[str, list[Row]] = {}
    for record in content["deviations"]:
        encoder = f", {record['encoder']}" if record["encoder"] else ""
        by.setdefault(f"{record['title']}: {record['section']}, {record['split']}{encoder}", []).append(
            record
        )
    switched = [
        papers_table.Page(title, deviations.COLUMNS, tuple(deviations.rows(mine)))
        for title, mine in by.items()
    ]
    beside = papers_table.pages(content["rows"], content["remarks"])
    return [
        *((page, deviations.NOTE) for page in switched),
        *((page, papers_table.NOTE) for page in beside),
    ]


def _table(title: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Return a table of Markdown under its title."""
    rule = "|" + "---|" * len(header)
    body = ["| " + " | ".join(cells) + " |" for cells in (header, *lines)]
    return [f"### {title}", "", body[0], rule, *body[1:], ""]


def _pages(records: Sequence[Row]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["section"], row["split"]) for row in records))


def _passed_over(content: Row) -> list[str]:
    said = (
        f"{record['section']}: {record['model']} was passed over: {record['passed_over']}"
        for record in content["passed_over"]
    )
    return list(dict.fromkeys(said))


def _seconds(content: Row, section: str, split: str) -> dict[tuple[str, str, str], float]:
    """Return the mean time to fit of each model."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for record in content["costs"]:
        if record["section"] == section and record["split"] == split:
            key = (record["model"], record["preset"], record["encoder"])
            found.setdefault(key, []).append(record["cost"]["fit_wall_s"])
    return {key: sum(values) / len(values) for key, values in found.items()}


def _cells(
    key: tuple[str, str, str], sets: Mapping[str, Row], content: Row, seconds: float | None
) -> tuple[str, ...]:
    test = sets["test"]
    return (
        row_name(key, content["remarks"]),
        _plus_minus(test, "pcc"),
        _number(test, "pcc_top50"),
        _number(test, "mse"),
        _number(test, "mae"),
        _percent(test, "pcc_undefined"),
        _number(test, "skill", 3),
        _percent(test, "of_ceiling"),
        _number(sets.get("training", {}), "pcc"),
        _number(sets.get("pooled", {}), "pcc_defined"),
        "" if seconds is None else f"{seconds:.1f}",
    )


def _number(row: Row, name: str, digits: int = 4) -> str:
    value = row.get(name)
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(row: Row, name: str) -> str:
    value = row.get(name)
    return "–" if value is None else f"{100 * value:.0f} %"


def _plus_minus(row: Row, name: str) -> str:
    sd = row.get(f"{name}_sd")
    return _number(row, name) + ("" if sd is None else f" ± {sd:.4f}")
