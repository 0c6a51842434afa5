"""The paper's own table, for the sections at hand: its figures, beside what its systems reach here."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from .scores import row_name

__all__ = ["NOTE", "Page", "pages", "published"]

NOTE = (
    "Beside the paper: its Tables II and III as printed. `pooled` here is scored as its code does (fitted and removed "
    "spots pooled, undefined genes dropped), `test` on spots not seen. Genes, features, epochs and images differ "
    "from the paper's, so equal figures are not to be expected: see the plan's note and docs/deviations.md."
)
# no system of the paper's, but what its figures must be read against
_BESIDE = ("memorisation", "kriging")
_METRICS = {"pcc": "PCC", "mse": "MSE", "mae": "MAE"}
# undefined correlations are dropped in-sample, as published, and counted as 0 on removed spots
_OURS = {"pcc": {"pooled": "pcc_defined", "test": "pcc"}}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One metric on one split.

    Parameters
    ----------
    title
        Metric and split.
    header, lines
        Cells.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@cache
def published() -> dict[tuple[str, str, str], tuple[tuple[str, float], ...]]:
    """Return the paper's figures: (model, metric, section) → the table's name for the system, and the figure.

    The system that the paper calls its own stands in Table II and, as "w/ Transformer", in Table III.
    """
    text = (files("histosge.evaluation") / "paper.csv").read_text(encoding="utf-8")
    found: dict[tuple[str, str, str], tuple[tuple[str, float], ...]] = {}
    for row in csv.DictReader(text.splitlines()):
        system, model, metric = (
            f"{row.pop('system')} ({row.pop('table')})",
            row.pop("model"),
            row.pop("metric"),
        )
        for section, value in row.items():
            key = (model, metric, section)
            found[key] = (*found.get(key, ()), (system, float(value)))
    return found


def pages(records: Iterable[Row], remarks: Mapping[str, str]) -> list[Page]:
    """Return a table a metric and split; none where no section or no system is the paper's.

    Parameters
    ----------
    records
        What :func:`histosge.evaluation.scores.summary` returns.
    remarks
        As :func:`histosge.evaluation.scores.row_name` takes them.
    """
    ours = {(model, section) for model, _, section in published()}
    by: dict[str, list[Row]] = {}
    for record in records:
        if any(section == record["section"] for _, section in ours):
            by.setdefault(record["split"], []).append(record)
    found = []
    for split, mine in by.items():
        if any((record["model"], record["section"]) in ours for record in mine):
            found += [_page(metric, split, mine, remarks) for metric in _METRICS]
    return found


def _page(metric: str, split: str, records: list[Row], remarks: Mapping[str, str]) -> Page:
    sections = list(dict.fromkeys(record["section"] for record in records))
    by = {_key(record): record for record in records}
    models = {model for model, _, _ in published()} | set(_BESIDE)
    systems = list(dict.fromkeys(_system(record) for record in records if record["model"] in models))
    header = [""]
    for section in sections:
        header += [f"{section} paper", "pooled", "test"]
    lines = []
    for system in systems:
        cells = [row_name(system, remarks)]
        for section in sections:
            said = published().get((system[0], metric, section), ())
            cells.append(" / ".join(dict.fromkeys(f"{value:.4f}" for _, value in said)) or "–")
            for scored in ("pooled", "test"):
                record = by.get((section, *system, scored), {})
                value = record.get(_OURS.get(metric, {}).get(scored, metric))
                cells.append("–" if value is None else f"{value:.4f}")
        lines.append(tuple(cells))
    return Page(f"{_METRICS[metric]}, {split}", tuple(header), tuple(lines))


def _key(record: Row) -> tuple[str, ...]:
    return (record["section"], *_system(record), record["set"])


def _system(record: Row) -> tuple[str, str, str]:
    return (record["model"], record["preset"], record["encoder"])
