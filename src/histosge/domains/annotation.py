"""Annotated domains of a section: a table of locations and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError

__all__ = ["read_annotation"]

_UNLABELLED = ("", "na", "nan", "none", "unknown")


def read_annotation(path: Path, ids: Array) -> Sequence[str]:
    """Return the label of each location, empty where there is none.

    Parameters
    ----------
    path
        Table of two columns, location and label, with a header; tabs, or commas where the name ends in ``.csv``.
    ids
        Names of the locations. Other locations of the table are ignored.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is no such table, names none of the locations, or labels fewer than two domains.
    """
    import pandas as pd

    if not path.is_file():
        raise UsageError(f"Expected annotated domains at '{path}', found no file. Check `truth`.")
    try:
        table = pd.read_csv(
            path, sep="," if path.suffix == ".csv" else "\t", dtype=str, keep_default_na=False
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"Expected a table of locations and labels in '{path}': {error}.") from error
    if table.shape[1] < 2:
        raise DataError(f"Expected two columns, location and label, in '{path}'; got {table.shape[1]}.")
    label_of = dict(zip(table.iloc[:, 0], table.iloc[:, 1].str.strip(), strict=True))
    labels = [label_of.get(str(name), "") for name in ids]
    labels = ["" if label.lower() in _UNLABELLED else label for label in labels]
    if not any(str(name) in label_of for name in ids):
        first = next(iter(label_of), "")
        raise DataError(
            f"Expected locations of this section in '{path}', got none of its {len(ids)}; the first row is '{first}'. "
            "Check that it annotates this section."
        )
    if len(set(labels) - {""}) < 2:
        raise DataError(f"Expected at least two domains in '{path}', got {len(set(labels) - {''})}.")
    return labels
