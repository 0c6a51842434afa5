"""A part of the report's panel, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Part", "decimal", "thousands"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the panel: a title, and any of the other fields.

    Parameters
    ----------
    title
        Heading.
    paragraphs, after
        Sentences before and after the chart.
    chart
        Identifier of a chart that the page draws.
    messages
        Warnings and further messages, each with ``level`` and ``text``.
    table
        Rows of cells, the header first.
    summary
        Terms and their values.
    """

    title: str
    paragraphs: Sequence[str] = ()
    chart: str = ""
    after: Sequence[str] = ()
    messages: Sequence[Mapping[str, str]] = ()
    table: Sequence[Sequence[str]] = ()
    summary: Sequence[tuple[str, str]] = field(default=())


def decimal(value: float | None) -> str:
    """Return a number with three decimals, or a dash for none."""
    return "–" if value is None else f"{value:.3f}"


def thousands(value: Any) -> str:
    """Return a whole number with narrow spaces between thousands, or a question mark for none.

    Examples
    --------
    >>> thousands(123)
    '123'
    """
    return "?" if value is None else f"{int(value):,}".replace(",", "\u202f")
