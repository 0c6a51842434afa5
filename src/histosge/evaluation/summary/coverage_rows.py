"""Rows of the coverage of 90 % intervals: of all values, by expression of the genes, by distance of the spots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .cell import Cell, percent, words
from .read_folder import BenchmarkFolder
from .section_rows import system_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TERCILES", "coverage_rows"]

#: of genes by mean expression, and of test spots by the distance to the nearest training spot
TERCILES = ("low", "middle", "high")
_LABELS = ("section", "split", "model", "preset", "encoder")


def coverage_rows(folder: BenchmarkFolder) -> list[dict[str, Cell]]:
    """Return a row for each section, split and system that gives intervals."""
    by_expression = _by_expression(folder.coverage, folder.genes)
    return [
        {
            "system": words(system_name(row["model"], row["preset"]), ""),
            **{name: words(str(row[name]), "") for name in ("section", "split")},
            "coverage": percent(row["coverage90"], digits=1),
            **{
                f"expression_{name}": percent(
                    by_expression.get((*_key(row), index)), "expression not recorded", digits=1
                )
                for index, name in enumerate(TERCILES)
            },
            **{
                f"distance_{name}": percent(
                    row.get(f"coverage90_distance_{name}"), "no spots: equal distances", digits=1
                )
                for name in TERCILES
            },
            "encoder": words(str(row["encoder"]), "no features"),
            "benchmark": words(folder.name, ""),
        }
        for row in folder.record["rows"]
        if row["set"] == "test" and row.get("coverage90") is not None
    ]


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in _LABELS)


def _by_expression(coverage: pd.DataFrame, genes: pd.DataFrame) -> dict[tuple[Any, ...], float]:
    """Return the mean coverage by section, split, system and tercile of expression."""
    keys = ["section", "split", "seed", "gene"]
    left, right = (
        frame.astype(dict.fromkeys(["section", "split", "gene"], str)) for frame in (coverage, genes)
    )
    joined = left.astype(dict.fromkeys(["model", "preset", "encoder"], str)).merge(
        right[[*keys, "expression"]], on=keys
    )
    rank = joined.groupby([*_LABELS, "seed"])["expression"].rank(pct=True)
    tercile = np.minimum((3 * (rank - 1e-9)).astype(int), 2)
    means = joined["value"].groupby([*(joined[name] for name in _LABELS), tercile]).mean()
    return {tuple(key): float(value) for key, value in means.items()}
