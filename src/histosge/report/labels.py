"""Domains, or other labels of locations, in the folder of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from histosge._runtime.records import refuse_changed
from histosge._runtime.spreadsheet import of_cell
from histosge._runtime.types import Array, Int
from histosge.errors import DataError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Labels", "labels_in"]

# most labels with distinct colours; columns with more are not domains
_MAX_LABELS = 40
# columns of `histosge domains` without labels
_POSITIONS = ("x_um", "y_um", "domain_confidence")


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """One label for each location or spot.

    Parameters
    ----------
    name
        Name of the column: the method.
    of
        Whether the labels are of locations or of spots.
    codes
        Row of ``names`` of each location; −1 without a label.
    names
        Names of the labels.
    """

    name: str
    of: Literal["locations", "spots"]
    codes: Int[np.ndarray, " n"]
    names: tuple[str, ...]


def labels_in(folder: Path, locations: Array, spots: Array) -> tuple[Labels, ...]:
    """Return the labels in ``domains*.tsv`` and ``.csv``, as `histosge domains` writes them.

    They stand in the folder of the run, or one folder below: there those of other locations, and of other runs, are
    passed over. The first column has the names of locations or spots.

    Raises
    ------
    DataError
        For a file that is no such table, or has names of other locations.
    """
    result = []
    for path in (*_tables(folder), *_tables_below(folder)):
        table, method = _table(path), _method(path)
        ids = table.index.to_numpy(dtype=str)
        if path.parent != folder and not (np.isin(ids, locations).any() or np.isin(ids, spots).any()):
            continue
        of, own = _owner(path, ids, locations, spots)
        for column in table.columns.difference(_POSITIONS, sort=False):
            name = (
                f"{method}, seed {column[4:]}" if method and str(column).startswith("seed") else str(column)
            )
            if (labels := _labels(name, of, column=table[column], ids=ids, own=own)) is not None:
                result.append(labels)
    return tuple(result)


def _tables(folder: Path) -> list[Path]:
    return sorted((*folder.glob("domains*.tsv"), *folder.glob("domains*.csv")))


def _tables_below(folder: Path) -> list[Path]:
    """Return the tables that `histosge domains` wrote into folders of this one: they have a record beside them."""
    within = sorted(path for path in folder.iterdir() if path.is_dir() and not (path / "run.json").is_file())
    return [path for below in within for path in _tables(below) if path.with_suffix(".json").is_file()]


def _table(path: Path) -> DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index_col=0)
    except (OSError, ValueError) as error:
        raise DataError(
            f"'{path}' is no table of domains ({error}). Make it again with `histosge domains`."
        ) from error
    table = table.set_axis([of_cell(name) for name in table.index], axis=0)
    if table.index.has_duplicates or table.columns.has_duplicates:
        again = [*table.index[table.index.duplicated()], *table.columns[table.columns.duplicated()]]
        raise DataError(f"'{path}' names '{again[0]}' twice. Make it again with `histosge domains`.")
    return table


def _method(path: Path) -> str:
    """Return the method from the JSON file beside the table, where there is one."""
    record = path.with_suffix(".json")
    if not record.is_file():
        return ""
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        refuse_changed(content)
        return str(content["method"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"'{record}' is damaged ({error}). Make it again with `histosge domains`.") from error


def _owner(
    path: Path, ids: Array, locations: Array, spots: Array
) -> tuple[Literal["locations", "spots"], Array]:
    """Return whether labels are of locations or of spots: of which they name more, and these names."""
    shared = {"locations": len(np.intersect1d(ids, locations)), "spots": len(np.intersect1d(ids, spots))}
    if not max(shared.values()):
        raise DataError(
            f"'{path}' names none of the locations of this run. Make it again with `histosge domains`."
        )
    # a table of the spots alone also names those locations that are spots
    if shared["spots"] == len(ids) or shared["spots"] > shared["locations"]:
        return "spots", spots
    return "locations", locations


def _labels(
    name: str, of: Literal["locations", "spots"], column: object, ids: Array, own: Array
) -> Labels | None:
    import pandas as pd

    words = pd.Series(np.asarray(column, dtype=object), index=ids).reindex(own)
    # locations missing from the table have no label
    words = words.where(words.notna(), None)
    names = sorted({str(word) for word in words if word is not None and str(word)}, key=_natural)
    if not 1 < len(names) <= _MAX_LABELS:
        return None
    where = {word: index for index, word in enumerate(names)}
    codes = np.array([-1 if word is None else where.get(str(word), -1) for word in words], dtype=np.intp)
    return Labels(name, of, codes, tuple(names))


def _natural(word: str) -> tuple[float, str]:
    try:
        return float(word), word
    except ValueError:
        return float("inf"), word
