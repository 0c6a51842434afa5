"""Kriging, inverse distances and the memoriser score on real sections what an independent script scores."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.entry import Entry
from histosge.evaluation.plan import Plan, SectionSpec
from histosge.workflow.compute import Compute

pytestmark = [pytest.mark.real, pytest.mark.slow]

COLUMNS = ("pcc", "pcc_top50", "mse", "mae", "pcc_defined")
LARGE = 1000


def reference() -> dict[str, dict[str, list[float]]]:
    """What a script of NumPy, SciPy and scikit-learn gave, means of three seeds: section → model → figures.

    On removed spots PCC (undefined counted as 0), the mean of the best 50 genes, MSE, MAE; then PCC by the published
    protocol.
    """
    found: dict[str, dict[str, list[float]]] = {}
    with Path(__file__).with_name("reference_numbers.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["section"], {})[row["model"]] = [float(row[name]) for name in COLUMNS]
    return found


REFERENCE = reference()


def entry_of(row: str, spots: int) -> Entry:
    """The model of a row; that script's kriging has longer ranges on large sections."""
    if row.startswith("idw"):
        return Entry("idw", options={"neighbours": int(row[3:])})
    if row == "kriging" and spots > LARGE:
        return Entry("kriging", options={"ranges_pitches": (3.0, 12.0)})
    return Entry(row)


@pytest.mark.parametrize("name", REFERENCE)
def test_simple_baselines_score_what_an_independent_script_does(
    name: str, real_data: Path, tmp_path: Path
) -> None:
    """Every figure is within 5 %, or 0.005 where it is small; splits are other ones, the protocol is the same."""
    import histosge

    spots = len(histosge.read(real_data / name))
    rows = {row: entry_of(row, spots) for row in REFERENCE[name]}
    seeds = (0, 1, 2) if spots < LARGE else (0,)
    plan = Plan((SectionSpec(real_data / name),), tuple(rows.values()), seeds=seeds, baselines=False)
    content = benchmark(plan, tmp_path, Compute())
    found = {(each["model"], each["preset"], each["set"]): each for each in content["rows"]}
    for row, entry in rows.items():
        here: Any = [found[entry.model, entry.variant, "test"][column] for column in COLUMNS[:-1]]
        here.append(found[entry.model, entry.variant, "pooled"]["pcc_defined"])
        assert here == pytest.approx(REFERENCE[name][row], rel=0.05, abs=0.005), (name, row)
