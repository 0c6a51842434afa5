"""Rows against a finer truth in a summary: the columns of sections, or the reason why there is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fine_truth_samples import cells_of, small_tissue

from histosge.evaluation.fine_truth.evaluate import evaluate_fine_truth
from histosge.evaluation.summary.summarise import summarise
from histosge.evaluation.summary.tables import COLUMNS
from histosge.workflow.recipe import Recipe


def row_of(table: pd.DataFrame, system: str, scale: str) -> Any:
    (index,) = table.index[(table["system"] == system) & (table["scale"] == scale)]
    return table.loc[index]


@pytest.fixture(scope="module")
def fine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells and bins of 50 µm, one seed, a network of one epoch."""
    out = tmp_path_factory.mktemp("finer") / "fine"
    network = Recipe("histosge", options={"epochs": 1})
    evaluate_fine_truth(
        cells_of(small_tissue(), 1500), ["cokriging", network], seeds=1, widths_um=[50], out=out
    )
    return out


def test_rows_against_a_finer_truth_have_the_columns_of_sections(fine_folder: Path, tmp_path: Path) -> None:
    """Skill, undefined genes, seconds and device are those of the folder; kriging has a skill of 0."""
    table = summarise([fine_folder], tmp_path).to_frame().query("level == 'finer truth'")
    record = json.loads((fine_folder / "fine_truth.json").read_text())["rows"]
    known = {(row["scale"], row["model"], row["preset"]): row for row in record if row["zone"] == "all"}
    assert len(table) == len(known)
    for _, row in table.iterrows():
        model, _, preset = row["system"].removesuffix(")").partition(" (")
        mine = known[row["scale"], model, preset]
        assert row["skill"] == mine["skill"], row["system"]
        assert row["undefined"] == mine["pcc_undefined"]
        assert row["fit_s"] > 0
        assert row["device"].startswith("cpu")
    assert row_of(table, "kriging", "cells")["skill"] == 0.0
    assert row_of(table, "depth", "50 µm")["difference"] < 0
    assert {column.key for column in COLUMNS["section"]} - set(table.columns[table.notna().any()]) == {
        *("section", "split", "genes")
    }


def test_a_finer_truth_of_an_earlier_version_has_reasons_for_what_it_lacks(
    fine_folder: Path, tmp_path: Path
) -> None:
    """Folders and stored tables without skill and device are read: scores are the same, the others not recorded."""
    old, new = (["skill", "undefined", "device"], ["skill", "device"])
    summarise([fine_folder], tmp_path / "now")
    stored = pd.read_parquet(tmp_path / "now" / "summary.parquet")
    shown = [
        json.dumps({name: text for name, text in json.loads(cells).items() if name not in old})
        for cells in stored["shown"]
    ]
    stored.drop(columns=old).assign(shown=shown).to_parquet(tmp_path / "old.parquet")
    folder = tmp_path / "fine"
    shutil.copytree(fine_folder, folder)
    for name, part, keys in (
        ("fine_truth", "rows", ["skill"]),
        ("costs", "trials", ["device", "is_network"]),
    ):
        record = json.loads((folder / f"{name}.json").read_text())
        for row in record[part]:
            for key in keys:
                row.pop(key, None)
        (folder / f"{name}.json").write_text(json.dumps(record))
    for source, lacking in ((tmp_path / "old.parquet", old), (folder, new)):
        table = summarise([source], tmp_path / "summary").to_frame().query("level == 'finer truth'")
        row = row_of(table, "cokriging (positions)", "cells")
        assert row["r"] == row_of(stored, "cokriging (positions)", "cells")["r"]
        assert all(f"{name}: – (not recorded)" in row["absent"] for name in lacking)
