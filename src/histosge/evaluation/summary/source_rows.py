"""Rows that a folder of a benchmark gives to a summary, or an earlier summary does.

A row of an earlier summary needs no folder, so that a benchmark can join a table whose folders are elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histosge._runtime.messages import Message
from histosge.errors import DataError, UsageError

from .cell import Cell, absent
from .coverage_rows import coverage_rows
from .finer_truth_rows import finer_truth_rows
from .read_folder import BenchmarkFolder, FineTruthFolder, message_of
from .section_rows import SectionRow, initialisation, section_rows
from .sentences import sentences_of
from .tables import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SourceRows", "cells_key", "read_stored", "rows_of", "section_key"]

# levels of the rows that no other row decides; those over sections are computed anew
_LEVELS = ("section", "finer truth", "coverage")
_NEEDED = ("level", "system", "shown")
# what a score of a section is called in the columns of the table
_SCORES = {
    "pcc": "r",
    "pcc_given_depth": "given_depth",
    "of_ceiling": "of_ceiling",
    "skill": "skill",
    "coverage90": "coverage",
}
# what names the fit of a row
_FIT = ("benchmark", "section", "split", "system", "encoder")
_FINE_FIT = ("benchmark", "truth", "scale", "system", "encoder")


@dataclass(frozen=True, slots=True, eq=False)
class SourceRows:
    """What one folder or one earlier summary gives.

    Parameters
    ----------
    sections
        Rows by section.
    finer, coverage
        Rows against finer truths, and of intervals.
    sentences
        What its benchmarks say of themselves.
    names
        Of its benchmarks.
    messages
        What a reader must know before anything else.
    is_stored
        Whether it is an earlier summary.
    """

    sections: tuple[SectionRow, ...]
    finer: tuple[Mapping[str, Cell], ...]
    coverage: tuple[Mapping[str, Cell], ...]
    sentences: tuple[str, ...]
    names: tuple[str, ...]
    messages: tuple[Message, ...] = ()
    is_stored: bool = False

    def fits(self) -> Iterator[tuple[str, ...]]:
        """Yield what names the fits of its rows."""
        yield from (section_key(row) for row in self.sections)
        yield from (cells_key(row, _FINE_FIT) for row in self.finer)

    def without(self, fits: Collection[tuple[str, ...]]) -> SourceRows:
        """Return the rows of all other fits."""
        return replace(
            self,
            sections=tuple(row for row in self.sections if section_key(row) not in fits),
            finer=tuple(row for row in self.finer if cells_key(row, _FINE_FIT) not in fits),
            coverage=tuple(row for row in self.coverage if cells_key(row) not in fits),
        )


def section_key(row: SectionRow) -> tuple[str, ...]:
    """Return what names the fit of a row by section."""
    return tuple(str(getattr(row, name)) for name in _FIT)


def cells_key(row: Mapping[str, Cell], names: tuple[str, ...] = _FIT) -> tuple[str, ...]:
    """Return the same of a row of cells."""
    return tuple(str(row[name].value or "") for name in names)


def rows_of(folder: BenchmarkFolder | FineTruthFolder) -> SourceRows:
    """Return what a folder gives."""
    sections: list[SectionRow] = []
    finer, coverage = [], []
    if isinstance(folder, FineTruthFolder):
        finer = finer_truth_rows(folder)
    else:
        sections, coverage = section_rows(folder), coverage_rows(folder)
    sentences, names = tuple(sentences_of(folder)), (folder.name,)
    return SourceRows(tuple(sections), tuple(finer), tuple(coverage), sentences, names, message_of(folder))


def read_stored(path: Path) -> SourceRows:
    """Read the ``summary.parquet`` of an earlier summary.

    Raises
    ------
    UsageError
        For another table, and for a summary of an earlier version, which does not hold what a row shows.
    DataError
        For a damaged one.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    # pyarrow raises errors of its own, and those of Python
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"'{path}' is missing or damaged ({reason}). Give the `summary.parquet` of a summary, or folders that "
            "benchmarks filled."
        ) from error
    if not set(_NEEDED) <= set(frame.columns):
        raise UsageError(
            f"Expected a `summary.parquet` of this version, got '{path}', whose table lacks the columns "
            f"{', '.join(name for name in _NEEDED if name not in frame.columns)}. Summarise its folders again."
        )
    try:
        return _stored(frame)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"'{path}' is damaged ({error!r}). Summarise its folders again.") from error


def _stored(frame: pd.DataFrame) -> SourceRows:
    rows: dict[str, list[tuple[dict[str, Any], dict[str, Cell]]]] = {level: [] for level in _LEVELS}
    # columns that the version which wrote it did not have
    lacking = {level: {column.key: absent("not recorded") for column in COLUMNS[level]} for level in _LEVELS}
    for values in frame[frame["level"].isin(_LEVELS)].to_dict("records"):
        rows[values["level"]].append((values, lacking[values["level"]] | _cells(values)))
    finer, coverage = (tuple(cells for _, cells in rows[level]) for level in _LEVELS[1:])
    sentences, names = (tuple(frame.attrs[name]) for name in ("sentences", "sources"))
    sections = tuple(_section_row(values, cells) for values, cells in rows["section"])
    return SourceRows(sections, finer, coverage, sentences, names, is_stored=True)


def _cells(values: Mapping[str, Any]) -> dict[str, Cell]:
    """Return the cells of a row: texts as they were shown, and what they are sorted by."""
    cells = {
        name: Cell(text, _known(values.get(name)), _known(values.get(f"{name}_error")))
        for name, text in json.loads(values["shown"]).items()
    }
    if started := _known(values.get("initialisation")):
        # earlier versions had two words for random weights
        cells["initialisation"] = initialisation(started, is_network=True)
    return cells


def _known(value: Any) -> Any:
    """Return a value of a table; ``None`` for what stands for none there."""
    return None if value is None or value == "" or value != value else value


def _section_row(values: Mapping[str, Any], cells: Mapping[str, Cell]) -> SectionRow:
    model, _, preset = values["system"].partition(" (")
    by_seed, differences = (
        {int(seed): float(value) for seed, value in json.loads(values[name]).items()}
        for name in ("r_by_seed", "difference_by_seed")
    )
    return SectionRow(
        *(values[name] for name in ("benchmark", "genes", "section", "split")),
        model=model,
        preset=preset.removesuffix(")"),
        encoder=str(cells["encoder"].value or ""),
        seeds=int(values["seeds"]),
        by_seed=by_seed,
        differences=differences,
        reference=_encoder_of(cells["reference"]),
        scores={score: cells[name].value for score, name in _SCORES.items()},
        cells=cells,
        version=_known(values.get("version")) or "",
    )


def _encoder_of(reference: Cell) -> str:
    """Return the encoder of the cokriging that a row is compared with."""
    return "" if reference.is_absent else str(reference.value).partition(", ")[2]
