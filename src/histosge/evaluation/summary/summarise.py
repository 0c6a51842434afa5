"""Summarise benchmarks: read their folders, and write one page, one table and one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from histosge._runtime.atomic_files import atomic_path, writable_folder
from histosge._runtime.messages import emit
from histosge.errors import UsageError
from histosge.io.own_files import refuse_foreign_outputs

from .cell import Cell
from .coverage_rows import coverage_rows
from .finer_truth_rows import finer_truth_rows
from .over_sections import disagreements, pooled_rows, without_repeats
from .page import render
from .read_folder import BenchmarkFolder, FineTruthFolder, message_of, read_folder
from .section_rows import section_rows
from .sentences import sentences_of
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
    messages
        What was left out or not recorded.
    sources
        Names of the folders.
    files
        The files written.
    """

    tables: tuple[Table, ...]
    messages: tuple[str, ...]
    sources: tuple[str, ...]
    files: tuple[Path, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return all rows as one table of values: NaN where there is none, with the reasons in ``absent``."""
        import pandas as pd

        return pd.DataFrame(
            [_values(table, index) for table in self.tables for index in range(len(table.rows))]
        )

    def markdown(self) -> str:
        """Return the tables as Markdown."""
        return markdown(self.tables, self.messages)


def summarise(folders: Sequence[Path | str], out: Path | str) -> Summary:
    """Write ``summary.html``, ``summary.parquet`` and ``summary.md`` of the benchmarks in some folders.

    Parameters
    ----------
    folders
        That ``histosge benchmark``, or ``histosge evaluate`` with or without a finer truth, filled.
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
    read = [read_folder(path) for path in paths]
    outputs = [out / name for name in _FILES]
    refuse_foreign_outputs(outputs, out)
    emit(tuple(message for folder in read for message in message_of(folder)))
    summary = _summary(read)
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
    return Summary(summary.tables, summary.messages, summary.sources, tuple(outputs))


def _summary(read: Sequence[BenchmarkFolder | FineTruthFolder]) -> Summary:
    benchmarks = [folder for folder in read if isinstance(folder, BenchmarkFolder)]
    rows = [row for folder in benchmarks for row in section_rows(folder)]
    finer = finer_truth_rows([folder for folder in read if isinstance(folder, FineTruthFolder)])
    shown_rows = without_repeats(rows)
    own = {(row.benchmark, row.section, row.split, row.system, row.encoder) for row in shown_rows}
    coverage = [row for folder in benchmarks for row in coverage_rows(folder) if _key_of(row) in own]
    tables = (
        over_sections(pooled_rows(rows)),
        section_table(shown_rows),
        finer_truth_table(finer),
        coverage_table(coverage),
    )
    messages = [*(text for folder in read for text in sentences_of(folder)), *disagreements(rows)]
    shown = tuple(table for table in tables if table.rows)
    return Summary(
        shown, tuple(dict.fromkeys(messages)), tuple(dict.fromkeys(folder.name for folder in read))
    )


def _key_of(row: Mapping[str, Cell]) -> tuple[str, ...]:
    """Return which row of the table by section a row of coverage belongs to."""
    names = ("benchmark", "section", "split", "system", "encoder")
    return tuple(str(row[name].value or "") for name in names)


def _values(table: Table, index: int) -> dict[str, object]:
    row = table.rows[index]
    values: dict[str, object] = {"level": table.name}
    for column in table.columns:
        cell = row[column.key]
        is_number = column.is_number and not isinstance(cell.value, str)
        values[column.key] = cell.value if is_number else None if column.is_number else (cell.value or "")
        if column.key in ("r", "difference"):
            values[f"{column.key}_error"] = cell.error
        # numbers that are shown as text, such as a range of epochs
        if column.is_number and isinstance(cell.value, str):
            values[f"{column.key}_text"] = cell.value
    reasons = {column.key: row[column.key].text for column in table.columns if row[column.key].is_absent}
    return values | {"absent": "; ".join(f"{name}: {text}" for name, text in reasons.items())}
