"""Kriging, inverse distances and memorisation score on real sections what an independent script scores."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import histosge
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.plan import Plan
from histosge.workflow.recipe import Recipe

pytestmark = [pytest.mark.real, pytest.mark.slow]

COLUMNS = ("pcc", "pcc_top50", "mse", "mae", "pcc_defined")
LARGE = 1000


def reference() -> dict[str, dict[str, list[float]]]:
    """Scores by a script of NumPy, SciPy and scikit-learn, means of three seeds: section → model → scores.

    At test spots PCC (undefined counted as 0), the mean of the best 50 genes, MSE, MAE; then the pooled PCC.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    with Path(__file__).with_name("reference_numbers.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scores.setdefault(row["section"], {})[row["model"]] = [float(row[name]) for name in COLUMNS]
    return scores


REFERENCE = reference()


def recipe_of(row: str, spots: int) -> Recipe:
    """The model of a row; that script's kriging has fixed ranges, longer ones on large sections."""
    if row.startswith("idw"):
        return Recipe("idw", options={"neighbours": int(row[3:])})
    if row == "kriging":
        return Recipe("kriging", options={"ranges_pitches": (3.0, 12.0) if spots > LARGE else (2.0, 8.0)})
    return Recipe(row)


@pytest.mark.parametrize("name", REFERENCE)
def test_baselines_score_as_an_independent_script(name: str, real_data: Path, tmp_path: Path) -> None:
    """Every score is within 5 %, or 0.005 where it is small; the splits differ, the protocol is the same."""
    section = histosge.read(real_data / name)
    recipes = {row: recipe_of(row, len(section)) for row in REFERENCE[name]}
    seeds = (0, 1, 2) if len(section) < LARGE else (0,)
    result = benchmark(Plan([section], list(recipes.values()), seeds=seeds, baselines=False), tmp_path)
    for row, recipe in recipes.items():
        sets = {score.set: score for score in result.select(model=recipe.model, preset=recipe.variant)}
        scores: Any = [sets["test"][column] for column in COLUMNS[:-1]]
        scores.append(sets["pooled"]["pcc_defined"])
        assert scores == pytest.approx(REFERENCE[name][row], rel=0.05, abs=0.005), (name, row)
