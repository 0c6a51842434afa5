"""The paper's Tables II and III for the sections of a benchmark: printed values beside the scores here.

histosge benchmark benchmarks/papers_table.toml --out runs/papers_table
python benchmarks/papers_table.py runs/papers_table
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from histosge.evaluation.tables import markdown_table, model_label

EXPLANATION = (
    "Values of the paper are those printed in its Tables II and III. `pooled` is scored as its code does (training and "
    "test spots together, undefined genes dropped), `test` at test spots. Genes, features, epochs and images differ "
    "from the paper's, so equal values are not to be expected: see the plan's description and docs/deviations.md."
)
# not systems of the paper, but what its values must be compared with
_COMPARED = ("memorisation", "kriging")
_METRICS = {"pcc": "PCC", "mse": "MSE", "mae": "MAE"}
# undefined correlations are dropped in the pooled score, as published, and count as 0 at test spots
_COLUMNS = {"pcc": {"pooled": "pcc_defined", "test": "pcc"}}

Row = Mapping[str, Any]


@cache
def published() -> dict[tuple[str, str, str], tuple[float, ...]]:
    """Return the paper's values by (model, metric, section).

    The paper's own system has two: in Table II and, as "w/ Transformer", in Table III.
    """
    values: dict[tuple[str, str, str], tuple[float, ...]] = {}
    with Path(__file__).with_name("paper.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            model, metric = row.pop("model"), row.pop("metric")
            for section in row.keys() - {"system", "table"}:
                key = (model, metric, section)
                values[key] = (*values.get(key, ()), float(row[section]))
    return values


def pages(
    rows: Iterable[Row], initialisations: Mapping[str, str]
) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Return header and rows of a table per metric and split, by title; none where no section is the paper's.

    Parameters
    ----------
    rows
        Rows of ``scores.json``.
    initialisations
        As :func:`histosge.evaluation.tables.model_label` takes them.
    """
    sections = {section for _, _, section in published()}
    by_split: dict[str, list[Row]] = {}
    for row in rows:
        if row["section"] in sections:
            by_split.setdefault(row["split"], []).append(row)
    printed = {(model, section) for model, _, section in published()}
    tables = {}
    for split, part in by_split.items():
        if any((row["model"], row["section"]) in printed for row in part):
            for metric, name in _METRICS.items():
                tables[f"{name}, {split}"] = _table(metric, part, initialisations)
    return tables


def _table(
    metric: str, rows: list[Row], initialisations: Mapping[str, str]
) -> tuple[list[str], list[list[str]]]:
    sections = list(dict.fromkeys(row["section"] for row in rows))
    by_key = {(row["section"], *_system(row), row["set"]): row for row in rows}
    models = {model for model, _, _ in published()} | set(_COMPARED)
    header, lines = [""], []
    for section in sections:
        header += [f"{section} paper", "pooled", "test"]
    for system in dict.fromkeys(_system(row) for row in rows if row["model"] in models):
        cells = [model_label(system, initialisations)]
        for section in sections:
            values = published().get((system[0], metric, section), ())
            cells.append(" / ".join(dict.fromkeys(f"{value:.4f}" for value in values)) or "–")
            for name in ("pooled", "test"):
                row = by_key.get((section, *system, name), {})
                value = row.get(_COLUMNS.get(metric, {}).get(name, metric))
                cells.append("–" if value is None else f"{value:.4f}")
        lines.append(cells)
    return header, lines


def _system(row: Row) -> tuple[str, str, str]:
    return row["model"], row["preset"], row["encoder"]


def markdown(content: Mapping[str, Any]) -> str:
    """Return all tables of a ``scores.json``."""
    tables = pages(content["rows"], content["initialisations"])
    lines = [line for title, (header, rows) in tables.items() for line in markdown_table(title, header, rows)]
    return "\n".join([*lines, f"* {EXPLANATION}", ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="that `histosge benchmark` filled")
    folder = parser.parse_args().folder
    text = markdown(json.loads((folder / "scores.json").read_text(encoding="utf-8")))
    (folder / "papers_table.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
