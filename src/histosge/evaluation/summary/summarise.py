"""Summarise benchmarks: read their folders, or earlier summaries, and write one page, one table and one text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from histosge._runtime.atomic_files import atomic_path, writable_folder
from histosge._runtime.messages import Message, emit
from histosge.errors import UsageError
from histosge.io.own_files import refuse_foreign_outputs, refuse_inputs

from .cell import Cell
from .finer_truth_rows import without_repeated_rows
from .over_sections import disagreements, pooled_rows, without_repeats
from .page import render
from .read_folder import read_folder
from .source_rows import SourceRows, cells_key, read_stored, rows_of, section_key
from .tables import Table, coverage_table, finer_truth_table, markdown, over_sections, section_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Summary", "summarise"]

_FILES = ("summary.html", "summary.parquet", "summary.md")


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """The tables of several benchmarks.

    Parameters
    ----------
    tables
        Over sections, by section, against finer truths, and of intervals; those that have rows.
    sentences
        What the benchmarks say of themselves, left out or did not record.
    disagreements
        Of two benchmarks on one system.
    sources
        Names of the folders.
    files
        The files written.
    """

    tables: tuple[Table, ...]
    sentences: tuple[str, ...]
    disagreements: tuple[str, ...]
    sources: tuple[str, ...]
    files: tuple[Path, ...] = ()

    @property
    def messages(self) -> tuple[str, ...]:
        """All that stands below the tables."""
        return self.sentences + self.disagreements

    def to_frame(self) -> pd.DataFrame:
        """Return all rows as one table of values: NaN where there is none, with the reasons in ``absent``."""
        import pandas as pd

        rows = [_values(table, index) for table in self.tables for index in range(len(table.rows))]
        frame = pd.DataFrame(rows)
        frame.attrs = {"sentences": list(self.sentences), "sources": list(self.sources)}
        return frame

    def markdown(self) -> str:
        """Return the tables as Markdown."""
        return markdown(self.tables, self.messages)


def summarise(folders: Sequence[Path | str], out: Path | str) -> Summary:
    """Write ``summary.html``, ``summary.parquet`` and ``summary.md`` of the benchmarks in some folders.

    Parameters
    ----------
    folders
        That ``histosge benchmark``, or ``histosge evaluate`` with or without a finer truth, filled; or the
        ``summary.parquet`` of earlier summaries. A row of theirs gives way to that of a folder of the same benchmark.
    out
        Receives the files.

    Raises
    ------
    UsageError
        For no folder, one of another kind, one that is given twice, and a benchmark that has not finished.
    DataError
        For a damaged folder.
    """
    paths, out = [Path(folder) for folder in folders], Path(out)
    if not paths:
        raise UsageError("Expected folders of benchmarks to summarise, got none.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("One folder is given twice. Name each benchmark once.")
    sources = [read_stored(path) if path.is_file() else rows_of(read_folder(path)) for path in paths]
    outputs = [out / name for name in _FILES]
    refuse_inputs(outputs, [path for path in paths if path.is_file()])
    refuse_foreign_outputs(outputs, out)
    emit((*(message for source in sources for message in source.messages), *_replaced(sources)))
    summary = _summary(sources)
    texts = {
        outputs[0]: render(summary.tables, summary.messages, sources=summary.sources),
        outputs[2]: summary.markdown(),
    }
    writable_folder(out)
    with atomic_path(outputs[1]) as draft:
        summary.to_frame().to_parquet(draft, index=False)
    for path, text in texts.items():
        with atomic_path(path) as draft:
            draft.write_text(text, encoding="utf-8")
    return replace(summary, files=tuple(outputs))


def _replaced(sources: Sequence[SourceRows]) -> tuple[Message, ...]:
    """Return a warning where folders replace rows of an earlier summary: another benchmark may have the same name."""
    stored, measured = (
        {key for source in sources if source.is_stored == is_stored for key in source.fits()}
        for is_stored in (True, False)
    )
    if not (again := stored & measured):
        return ()
    names = ", ".join(sorted({key[0] for key in again}))
    text = f"Rows of the earlier summary that the folders have too are those of the folders: {len(again)} of {names}."
    return (Message("warning", f"{text} Rename a folder that is another benchmark."),)


def _summary(sources: Sequence[SourceRows]) -> Summary:
    measured = {key for source in sources if not source.is_stored for key in source.fits()}
    sources = [source.without(measured) if source.is_stored else source for source in sources]
    rows = [row for source in sources for row in source.sections]
    shown_rows = without_repeats(rows)
    own = {section_key(row) for row in shown_rows}
    coverage: dict[tuple[str, ...], Mapping[str, Cell]] = {}
    for row in (row for source in sources for row in source.coverage if cells_key(row) in own):
        coverage.setdefault(cells_key(row), row)
    tables = (
        over_sections(pooled_rows(rows)),
        section_table(shown_rows),
        finer_truth_table(without_repeated_rows([row for source in sources for row in source.finer])),
        coverage_table(list(coverage.values())),
    )
    return Summary(
        tuple(table for table in tables if table.rows),
        tuple(dict.fromkeys(text for source in sources for text in source.sentences)),
        tuple(dict.fromkeys(disagreements(rows))),
        tuple(dict.fromkeys(name for source in sources for name in source.names)),
    )


def _values(table: Table, index: int) -> dict[str, object]:
    row = table.rows[index]
    values: dict[str, object] = {"level": table.name}
    for column in (*table.columns, *table.unseen):
        cell = row[column.key]
        is_number = column.is_number and not isinstance(cell.value, str)
        values[column.key] = cell.value if is_number else None if column.is_number else (cell.value or "")
        if column.key in ("r", "difference"):
            values[f"{column.key}_error"] = cell.error
    reasons = {column.key: row[column.key].text for column in table.columns if row[column.key].is_absent}
    return values | {
        "absent": "; ".join(f"{name}: {text}" for name, text in reasons.items()),
        "shown": json.dumps(
            {column.key: row[column.key].text for column in table.columns}, ensure_ascii=False
        ),
    }
