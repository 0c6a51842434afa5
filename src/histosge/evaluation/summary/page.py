"""The page of a summary: one HTML file whose tables are sorted and filtered in the browser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from .cell import Cell
from .tables import EXPLANATIONS, Table

__all__ = ["render"]

# columns by whose values rows can be chosen
_CHOICES = ("reference", "split", "section", "scale", "genes")


def render(tables: Sequence[Table], messages: Sequence[str], *, sources: Sequence[str]) -> str:
    """Return the page; it needs no network and no other file.

    Parameters
    ----------
    tables
        One after the other.
    messages
        What was left out or not recorded.
    sources
        Names of the benchmarks.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        _asset("template.html")
    )
    return template.render(
        title=", ".join(sources),
        version=version("histosge"),
        style=Markup(_asset("style.css")),
        script=Markup(_asset("sort.js")),
        tables=[_table(index, table) for index, table in enumerate(tables)],
        explanations=[_with_code(text) for text in EXPLANATIONS],
        messages=[_with_code(text) for text in messages],
    )


def _table(index: int, table: Table) -> dict[str, Any]:
    rows = [
        [
            {
                "text": row[column.key].text,
                "key": _key(row[column.key]),
                "absent": row[column.key].is_absent,
            }
            for column in table.columns
        ]
        for row in table.rows
    ]
    choices = [
        {"column": position, "name": column.heading, "values": values}
        for position, column in enumerate(table.columns)
        if column.key in _CHOICES
        and len(values := list(dict.fromkeys(row[column.key].text for row in table.rows))) > 1
    ]
    columns = [{"heading": column.heading, "number": column.is_number} for column in table.columns]
    return {
        "id": f"table-{index}",
        "title": table.title,
        "caption": table.caption,
        "columns": columns,
        "rows": rows,
        "choices": choices,
    }


def _key(cell: Cell) -> str:
    """Return what a cell is sorted by; missing values, which come last whichever way rows are sorted, have none."""
    if cell.is_absent:
        return ""
    return f"{cell.value:.6g}" if isinstance(cell.value, float) else str(cell.value)


def _with_code(text: str) -> Any:
    """Return text whose words in backticks are set as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _asset(name: str) -> str:
    return files(__package__).joinpath("page").joinpath(name).read_text(encoding="utf-8")
