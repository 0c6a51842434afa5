"""Rows over all sections: paired differences to cokriging with an interval over sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cell import Cell, absent, mean_of, number, percent, standard_error, words
from .section_rows import REFERENCE, SectionRow

__all__ = ["LEAST_SECTIONS", "PooledRow", "disagreements", "interval", "pooled_rows", "without_repeats"]

#: fewer differences than this say nothing of another section
LEAST_SECTIONS = 3
_LEVEL = 0.95
_LEAST_CORRELATION = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class PooledRow:
    """A system on one split, over the sections on which it was measured.

    Parameters
    ----------
    rows
        Of each section; their split, genes and system are the same.
    cells
        What a reader sees, by column.
    """

    rows: tuple[SectionRow, ...]
    cells: dict[str, Cell]

    @property
    def split(self) -> str:
        """Of all rows."""
        return self.rows[0].split

    @property
    def genes(self) -> str:
        """Of all rows."""
        return self.rows[0].genes

    @property
    def system(self) -> str:
        """The name in tables."""
        return self.rows[0].system


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of some differences, by Student's t; ``None`` of fewer than three.

    Examples
    --------
    >>> low, high = interval([0.01, 0.02, 0.03])
    >>> round(low, 4), round(high, 4)
    (-0.0048, 0.0448)
    """
    from scipy.stats import t

    error = standard_error(values)
    if error is None or len(values) < LEAST_SECTIONS:
        return None
    half = float(t.ppf(0.5 + _LEVEL / 2, len(values) - 1)) * error
    mean = float(np.mean(values))
    return mean - half, mean + half


def pooled_rows(rows: Sequence[SectionRow]) -> list[PooledRow]:
    """Return the rows over sections, split by split, best difference to cokriging first.

    A system that is compared with cokriging on several encoders has a row for each of them. A section that two
    benchmarks have is that of the benchmark with more seeds, of equals that of the first.
    """
    groups: dict[tuple[str, ...], dict[str, SectionRow]] = {}
    for row in rows:
        sections = groups.setdefault((row.split, row.genes, row.reference, *_system(row)), {})
        other = sections.get(row.section)
        if other is None or len(row.by_seed) > len(other.by_seed):
            sections[row.section] = row
    pooled = [PooledRow(rows, _cells(rows)) for rows in (tuple(part.values()) for part in groups.values())]
    position = {
        key: index for index, key in enumerate(dict.fromkeys((row.split, row.genes) for row in pooled))
    }
    return sorted(pooled, key=lambda row: (position[row.split, row.genes], -_order(row)))


def without_repeats(rows: Sequence[SectionRow]) -> list[SectionRow]:
    """Return the rows without those that an earlier benchmark has too: of the same system, seeds and scores.

    Baselines run with every benchmark, so that several benchmarks of one section repeat them.
    """
    known: dict[tuple[object, ...], SectionRow] = {}
    for row in rows:
        scores = tuple((seed, f"{value:.4f}") for seed, value in sorted(row.by_seed.items()))
        known.setdefault((row.section, row.split, row.genes, *_system(row), row.reference, scores), row)
    return list(known.values())


def disagreements(rows: Sequence[SectionRow]) -> list[str]:
    """Return a sentence for each system that two benchmarks scored differently on one section, split and seed."""
    known: dict[tuple[str, ...], list[SectionRow]] = {}
    sentences = []
    for row in rows:
        others = known.setdefault((row.section, row.split, row.genes, *_system(row)), [])
        for other in others:
            seeds = [seed for seed in row.by_seed if seed in other.by_seed]
            pair = [f"{np.mean([part.by_seed[seed] for seed in seeds] or 0):.4f}" for part in (other, row)]
            if pair[0] != pair[1]:
                sentences.append(
                    f"{row.system} on {row.section}, {row.split}: r is {pair[0]} in {other.benchmark} and {pair[1]} in "
                    f"{row.benchmark}, of the same seeds. {_what_differs(other, row)} Over sections the one with more "
                    "seeds counts, of equals the first."
                )
                break
        others.append(row)
    return sentences


def _what_differs(first: SectionRow, second: SectionRow) -> str:
    """Return what the rows record of two scores as different; where that is nothing, all that it can be."""
    texts = {
        "device": [_words(row, "device") for row in (first, second)],
        "version": [row.version for row in (first, second)],
        "width of the windows": [_words(row, "windows_um") for row in (first, second)],
    }
    different = [f"{name} ({a}; {b})" for name, (a, b) in texts.items() if _is_different(a, b)]
    if different:
        return f"Recorded as different: {', '.join(different)}."
    # what is not recorded, or a processor without its name, may differ
    unknown = [name for name in ("device", "version") if {"", "cpu"} & set(texts[name])]
    is_network = first.cells["epochs"] != absent("no network")
    rounding = "rounding, which training amplifies" if is_network else "rounding"
    reasons = ["another section of that name", *(f"another {name}" for name in unknown)]
    return f"Nothing is recorded as different: it is {', '.join(reasons)}, or {rounding}."


def _is_different(first: str, second: str) -> bool:
    """Return whether two texts are known to be of different things: a processor may have no name."""
    is_nameless = "cpu" in (first, second) and first.startswith("cpu") and second.startswith("cpu")
    return bool(first and second and first != second and not is_nameless)


def _words(row: SectionRow, name: str) -> str:
    return str(row.cells[name].value or "")


def _system(row: SectionRow) -> tuple[str, str, str]:
    return row.model, row.preset, row.encoder


def _order(row: PooledRow) -> float:
    value = row.cells["difference"].value
    # cokriging itself differs from itself by nothing
    is_reference = row.system == REFERENCE
    return float(value) if isinstance(value, float) else 0.0 if is_reference else -np.inf


def _cells(rows: tuple[SectionRow, ...]) -> dict[str, Cell]:
    def mean(name: str) -> float | None:
        return mean_of(row.scores.get(name) for row in rows)

    def listed(name: str) -> Cell:
        # as of a section: the reason why there is none, or all that differ
        cells = [row.cells[name] for row in rows]
        known = list(dict.fromkeys(cell.text for cell in cells if not cell.is_absent))
        return words(" / ".join(known), "") if known else cells[0]

    compared = [_mean_difference(row) for row in rows if row.differences]
    return {
        "sections": Cell(f"{len(rows)}: {', '.join(row.section for row in rows)}", float(len(rows))),
        "difference": _difference(rows, compared),
        "reference": rows[0].cells["reference"],
        "ahead": _ahead(rows, compared),
        "gain": _gain(rows),
        "r": _correlation(rows),
        "given_depth": number(mean("pcc_given_depth"), "not recorded"),
        "of_ceiling": percent(mean("of_ceiling"), "no noise ceiling"),
        "skill": _mean_or_reason(rows, "skill", mean("skill")),
        "coverage": _mean_or_reason(rows, "coverage", mean("coverage90")),
        "cpu_s": number(mean_of(_value(row.cells["cpu_s"]) for row in rows), "not recorded", digits=1),
        "seeds": Cell(listed("seeds").text, float(min(row.seeds for row in rows))),
        **{name: listed(name) for name in ("epochs", "initialisation", "encoder", "windows_um")},
    }


def _correlation(rows: tuple[SectionRow, ...]) -> Cell:
    """Return the mean over sections, with its error over seeds: divisions of one section say nothing of another's."""
    errors = [standard_error(list(row.by_seed.values())) for row in rows]
    known = [error for error in errors if error is not None]
    # the error of a mean of independent values
    error = float(np.sqrt(np.sum(np.square(known)))) / len(rows) if len(known) == len(rows) else None
    reason = "" if error is not None else "one seed" if not known else "one seed of a section"
    return number(mean_of(row.scores.get("pcc") for row in rows), error=error, no_error=reason)


def _difference(rows: tuple[SectionRow, ...], compared: list[float]) -> Cell:
    if not compared:
        return rows[0].cells["difference"]
    mean, limits = float(np.mean(compared)), interval(compared)
    if limits is None:
        number_of = "1 section" if len(compared) == 1 else f"{len(compared)} sections"
        return Cell(f"{mean:+.4f} ({number_of}: no interval)", mean)
    return Cell(f"{mean:+.4f} [{limits[0]:+.4f}, {limits[1]:+.4f}]", mean, (limits[1] - limits[0]) / 2)


def _ahead(rows: tuple[SectionRow, ...], compared: list[float]) -> Cell:
    if not compared:
        return rows[0].cells["difference"]
    ahead = sum(value > 0 for value in compared)
    return Cell(f"{ahead} of {len(compared)}", ahead / len(compared))


def _gain(rows: tuple[SectionRow, ...]) -> Cell:
    """Return cokriging's correlation relative to a system's: the mean over sections, and the least of any."""
    compared = [row for row in rows if row.differences]
    if not compared:
        return rows[0].cells["difference"]
    mine = [float(np.mean([row.by_seed[seed] for seed in row.differences])) for row in compared]
    # models without any correlation, such as the mean, have no relative gain
    if min(mine) <= _LEAST_CORRELATION:
        return absent("r is about 0")
    gains = [-_mean_difference(row) / value for row, value in zip(compared, mine, strict=True)]
    return Cell(f"{np.mean(gains):+.1%} ({min(gains):+.1%})", float(np.mean(gains)))


def _mean_difference(row: SectionRow) -> float:
    return float(np.mean(list(row.differences.values())))


def _mean_or_reason(rows: tuple[SectionRow, ...], name: str, value: float | None) -> Cell:
    if value is None:
        return rows[0].cells[name]
    return percent(value, digits=1) if name == "coverage" else number(value, digits=3, signed=True)


def _value(cell: Cell) -> float | None:
    return cell.value if isinstance(cell.value, float) else None
