"""Names in tables that people open in spreadsheets, which run a text that begins like a formula."""

from __future__ import annotations

__all__ = ["as_cell", "of_cell"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_cell(name: object) -> str:
    """Return a name as a cell of a table: one that begins like a formula gets an apostrophe, as spreadsheets have it.

    Numbers stay as they are.

    Examples
    --------
    >>> as_cell("=1+1"), as_cell("-2.5"), as_cell("AACG-1")
    ("'=1+1", '-2.5', 'AACG-1')
    """
    text = str(name)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def of_cell(text: object) -> str:
    """Return the name that :func:`as_cell` turned into a cell."""
    cell = str(text)
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
