"""Annotated domains of a section: a table of places and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError

__all__ = ["read_annotation"]

_NOTHING = ("", "na", "nan", "none", "unknown")


def read_annotation(path: Path, ids: Array) -> Sequence[str]:
    """Return the label of each place, empty where there is none.

    Parameters
    ----------
    path
        Table of two columns, place and label, with a header; tabs, or commas where the name ends in ``.csv``.
    ids
        Names of the places wanted. Places of the table that are not among them are passed over.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is no such table, names none of the places, or labels fewer than two domains.
    """
    import pandas as pd

    if not path.is_file():
        raise UsageError(f"Expected annotated domains at '{path}', found no file. Check --truth.")
    try:
        table = pd.read_csv(
            path, sep="," if path.suffix == ".csv" else "\t", dtype=str, keep_default_na=False
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"Expected a table of places and labels in '{path}': {error}.") from error
    if table.shape[1] < 2:
        raise DataError(f"Expected two columns, place and label, in '{path}'; got {table.shape[1]}.")
    label_of = dict(zip(table.iloc[:, 0], table.iloc[:, 1].str.strip(), strict=True))
    found = [label_of.get(str(name), "") for name in ids]
    found = ["" if label.lower() in _NOTHING else label for label in found]
    if not any(str(name) in label_of for name in ids):
        begins = next(iter(label_of), "")
        raise DataError(
            f"None of the {len(ids)} places is named in '{path}', which begins with '{begins}'. "
            "Is it the annotation of this section?"
        )
    if len(set(found) - {""}) < 2:
        raise DataError(f"Expected at least two domains in '{path}', got {len(set(found) - {''})}.")
    return found
