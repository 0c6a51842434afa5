"""Domains, or any labels of places, that stand beside a prediction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from histosge._runtime.types import Array, Int
from histosge.errors import DataError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Labels", "labels_in"]

# colours that remain apart; more domains than that are no domains
_MOST = 40
# columns of `histosge domains` that are no labels
_POSITIONS = ("x_um", "y_um")


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """One label a place or a spot.

    Parameters
    ----------
    name
        Of the column: the method.
    of
        What the labels belong to.
    codes
        Row of ``names`` of each place; −1 where it has no label.
    names
        Of the labels.
    """

    name: str
    of: Literal["places", "spots"]
    codes: Int[np.ndarray, " n"]
    names: tuple[str, ...]


def labels_in(folder: Path, places: Array, spots: Array) -> tuple[Labels, ...]:
    """Return the labels in ``domains*.tsv`` and ``.csv``, as `histosge domains` writes them.

    The first column names the places or the spots that the others label.

    Raises
    ------
    DataError
        For a file that is no such table, or that is about other places.
    """
    found = []
    for path in sorted((*folder.glob("domains*.tsv"), *folder.glob("domains*.csv"))):
        table, method = _table(path), _method(path)
        ids = table.index.to_numpy(dtype=str)
        of, own = _owner(path, ids, places, spots)
        for column in table.columns.difference(_POSITIONS, sort=False):
            name = (
                f"{method}, seed {column[4:]}" if method and str(column).startswith("seed") else str(column)
            )
            if (labels := _labels(name, of, table[column], ids, own)) is not None:
                found.append(labels)
    return tuple(found)


def _table(path: Path) -> DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index_col=0)
    except (OSError, ValueError) as error:
        raise DataError(
            f"'{path}' is no table of domains ({error}). Make it again with `histosge domains`."
        ) from error


def _method(path: Path) -> str:
    """Return how the domains were found, where the record beside them says it."""
    record = path.with_suffix(".json")
    if not record.is_file():
        return ""
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["method"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{record}' is damaged ({error}). Make it again with `histosge domains`.") from error


def _owner(path: Path, ids: Array, places: Array, spots: Array) -> tuple[Literal["places", "spots"], Array]:
    """Tell whether labels are of places or of spots: of those of whom they name more."""
    known = {"places": len(np.intersect1d(ids, places)), "spots": len(np.intersect1d(ids, spots))}
    if not max(known.values()):
        raise DataError(f"'{path}' names none of this run's places. Make it again with `histosge domains`.")
    # a table of the spots alone also names those places that are spots
    if known["spots"] == len(ids) or known["spots"] > known["places"]:
        return "spots", spots
    return "places", places


def _labels(
    name: str, of: Literal["places", "spots"], column: object, ids: Array, own: Array
) -> Labels | None:
    import pandas as pd

    words = pd.Series(np.asarray(column, dtype=object), index=ids).reindex(own)
    words = words.where(words.notna(), None)
    names = sorted({str(word) for word in words if word is not None and str(word)}, key=_natural)
    if not 1 < len(names) <= _MOST:
        return None
    where = {word: index for index, word in enumerate(names)}
    codes = np.array([-1 if word is None else where.get(str(word), -1) for word in words], dtype=np.intp)
    return Labels(name, of, codes, tuple(names))


def _natural(word: str) -> tuple[float, str]:
    try:
        return float(word), word
    except ValueError:
        return float("inf"), word
