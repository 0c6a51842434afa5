"""The tables of a summary: over sections, by section, and against finer truths."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from histosge.evaluation.tables import markdown_table

from .cell import Cell
from .coverage_rows import TERCILES
from .over_sections import LEAST_SECTIONS, PooledRow
from .section_rows import SectionRow

__all__ = [
    "COLUMNS",
    "EXPLANATIONS",
    "Column",
    "Table",
    "coverage_table",
    "finer_truth_table",
    "markdown",
    "over_sections",
    "section_table",
]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    key
        Of the cells, and in ``summary.parquet``.
    heading
        As shown.
    is_number
        Whether rows are sorted by its value as a number, largest first.
    """

    key: str
    heading: str
    is_number: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table for readers.

    Parameters
    ----------
    name
        Its level in ``summary.parquet``.
    title, caption
        Above it.
    columns
        From left to right; the first names the row.
    rows
        A cell for each column.
    unseen
        Columns of ``summary.parquet`` alone.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    unseen: tuple[Column, ...] = ()

    def texts(self) -> list[list[str]]:
        """Return the rows as text, column by column."""
        return [[row[column.key].text for column in self.columns] for row in self.rows]


_SYSTEM, _R = Column("system", "system", is_number=False), Column("r", "r test")
_SPLIT = Column("split", "split", is_number=False)
_SCORES = (
    Column("given_depth", "r given depth"),
    Column("of_ceiling", "of ceiling"),
    Column("skill", "skill"),
    Column("coverage", "90 % interval covers"),
)
_TRAINING = (
    Column("epochs", "epochs trained (kept)"),
    Column("initialisation", "initialisation", is_number=False),
    Column("encoder", "encoder", is_number=False),
    Column("windows_um", "windows, µm", is_number=False),
)
_UNDEFINED, _DEVICE = Column("undefined", "undefined"), Column("device", "device", is_number=False)
_SEEDS = Column("seeds", "seeds")
_GENES, _BENCHMARK = (
    Column("genes", "genes", is_number=False),
    Column("benchmark", "benchmark", is_number=False),
)
_DIFFERENCE = Column("difference", "r less cokriging's")
_REFERENCE = Column("reference", "compared with", is_number=False)

_POOLED = (
    *(_SYSTEM, Column("r", "r test"), Column("difference", "r less cokriging's [95 %]")),
    *(Column("ahead", "sections ahead"), Column("gain", "cokriging's gain over it (least)")),
    *(_REFERENCE, _SPLIT, *_SCORES, *_TRAINING),
    *(Column("cpu_s", "fit, CPU s"), _SEEDS, Column("sections", "sections"), _GENES),
)
_BY_SECTION = (
    *(_SYSTEM, Column("section", "section", is_number=False), _R, _DIFFERENCE, _REFERENCE, _SPLIT, *_SCORES),
    *(_UNDEFINED, *_TRAINING, Column("fit_s", "fit, s"), Column("cpu_s", "fit, CPU s")),
    *(_DEVICE, _SEEDS, _GENES, _BENCHMARK),
)
_UNSEEN = tuple(
    Column(name, name, is_number=False) for name in ("r_by_seed", "difference_by_seed", "version")
)
_FINER = (
    *(_SYSTEM, Column("scale", "scale", is_number=False), Column("r", "r"), _DIFFERENCE, _REFERENCE),
    *(Column("inside", "inside spots"), Column("between", "between spots"), *_SCORES, _UNDEFINED, *_TRAINING),
    *(
        Column("fit_s", "fit and predictions, s"),
        Column("cpu_s", "fit and predictions, CPU s"),
        _DEVICE,
        _SEEDS,
    ),
    *(Column("truth", "truth", is_number=False), _BENCHMARK),
)

_COVERAGE = (
    *(_SYSTEM, Column("section", "section", is_number=False), _SPLIT, Column("coverage", "all")),
    *(Column(f"expression_{name}", f"genes: {name}") for name in TERCILES),
    *(
        Column(f"distance_{name}", f"distance: {words}")
        for name, words in zip(TERCILES, ("near", "middle", "far"), strict=True)
    ),
    *(Column("encoder", "encoder", is_number=False), _BENCHMARK),
)

#: by the level of their rows in ``summary.parquet``
COLUMNS: dict[str, tuple[Column, ...]] = {
    "sections": _POOLED,
    "section": _BY_SECTION,
    "finer truth": _FINER,
    "coverage": _COVERAGE,
}

EXPLANATIONS = (
    "`r test`: Pearson correlation at test spots, which nothing that is fitted has used; mean over genes (an undefined "
    "correlation counts 0) and seeds, ± standard error over seeds. A seed draws the division and the fit anew; spots "
    "of one section are common to all seeds, so that this error says nothing of other tissue.",
    "`r less cokriging's`: the difference on the same section, division and genes, seed by seed, to cokriging on the "
    "same features (`compared with`) of the same benchmark. Over sections it is the mean of the differences of the "
    "sections, with its 95 % interval by Student's t, which takes the sections for a sample; sections of one tumour "
    f"are less than that. It needs {LEAST_SECTIONS} sections.",
    "`given depth`: the correlation over spots of the same log total count. `of ceiling`: share of the correlation "
    "that counting noise allows. `skill`: 1 − MSE / MSE of kriging. `90 % interval covers`: share of the measurements "
    "at test spots. `undefined`: share of the genes without a correlation, which counts 0. Means over sections of "
    "systems that were measured on different sections do not compare; differences to cokriging do.",
    "`cokriging's gain over it`: how much higher its correlation is, relative to the system's; mean over sections, in "
    "brackets the least of any section.",
    "`epochs trained (kept)`: all that were trained, and the one whose weights predict. `windows`: widths of the image "
    "patches that the system reads. Seconds are those of a fit, on the `device`, of the machine "
    "named below.",
)


def over_sections(rows: Sequence[PooledRow]) -> Table:
    """Return the table over sections."""
    cells = [
        dict(row.cells) | {"system": _text(row.system), "split": _text(row.split), "genes": _text(row.genes)}
        for row in rows
    ]
    caption = "Each system over the sections on which it was measured."
    return Table("sections", "Over sections", caption, _POOLED, tuple(cells))


def section_table(rows: Sequence[SectionRow]) -> Table:
    """Return the table by section."""
    names = ("system", "section", "split", "genes", "benchmark", "version")
    cells = [
        dict(row.cells)
        | {name: _text(getattr(row, name)) for name in names}
        | {"r_by_seed": _text(_by_seed(row.by_seed))}
        | {"difference_by_seed": _text(_by_seed(row.differences))}
        for row in rows
    ]
    caption = "Each system on each section and split."
    return Table("section", "By section", caption, _BY_SECTION, tuple(cells), unseen=_UNSEEN)


def finer_truth_table(rows: Sequence[Mapping[str, Cell]]) -> Table:
    """Return the table against finer truths."""
    caption = "Fitted to spots, scored at cells and in bins that are finer."
    return Table("finer truth", "Against a finer truth", caption, _FINER, tuple(rows))


def coverage_table(rows: Sequence[Mapping[str, Cell]]) -> Table:
    """Return the table of intervals."""
    caption = "Share of the measurements at test spots that lie inside 90 % intervals, by thirds of genes and of spots."
    return Table("coverage", "Coverage of 90 % intervals", caption, _COVERAGE, tuple(rows))


def markdown(tables: Sequence[Table], messages: Sequence[str]) -> str:
    """Return the tables as Markdown, with their explanations and what was left out."""
    lines: list[str] = []
    for table in tables:
        lines += markdown_table(table.title, [column.heading for column in table.columns], table.texts())
    return "\n".join([*lines, *(f"* {text}" for text in (*EXPLANATIONS, *messages)), ""])


def _text(text: str) -> Cell:
    return Cell(text, text)


def _by_seed(values: Mapping[int, float]) -> str:
    return json.dumps({str(seed): value for seed, value in values.items()})
