"""``histosge detect``: a table, detected tiles and a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_spaceranger


def invoke(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a section and its fit."""
    path = tmp_path_factory.mktemp("detect")
    write_spaceranger(synthetic(columns=10, rows=11, genes=12, seed=1).section, path / "outs")
    words = ("--preset", "positions", "--genes", "all", "--out", path / "run")
    assert invoke("fit", path / "outs", *words).exit_code == 0
    return path


def test_three_files_say_the_same(folder: Path) -> None:
    """Twice into the same folder; the table, the squares for QuPath and the printed sentence agree."""
    out = folder / "detection"
    words = ("detect", folder / "outs", "TUMOUR1", "ZONE1", "--fit", folder / "run", "--above", "q0.4")
    words += ("--tile-um", 100, "--fdr", 0.2, "--out", out)
    assert invoke(*words).exit_code == 0
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    table = pd.read_csv(out / "detection.tsv", sep="\t")
    squares = json.loads((out / "detection.geojson").read_text())["features"]
    for gene in ("TUMOUR1", "ZONE1"):
        number = int(table.loc[table["gene"] == gene, "detected"].sum())
        assert number == record["genes"][gene]["detected"]
        assert number == sum(part["properties"]["classification"]["name"].endswith(gene) for part in squares)
    assert table["detected"].any()
    # a square of 100 µm, at 0.5 µm a pixel
    corners = squares[0]["geometry"]["coordinates"][0]
    assert corners[2][0] - corners[0][0] == pytest.approx(200, abs=0.1)
    assert (out / "detection.png").stat().st_size > 1000
    (out / "detection.geojson").write_text("my notes")
    assert invoke(*words).exit_code == 2
    assert (out / "detection.geojson").read_text() == "my notes"


def test_a_section_without_a_fit_is_fitted(folder: Path) -> None:
    """With the genes asked for, though the panel lacks them."""
    words = ("--above", "1x", "--tile-um", 100, "--preset", "positions", "--genes", "hvg:3")
    section = synthetic(columns=10, rows=11, genes=12, seed=1).section
    result = invoke("detect", folder / "outs", *section.genes[:4], *words, "--out", folder / "fitted")
    assert result.exit_code == 0, result.output
    assert " is above " in result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["NO_GENE"], "'NO_GENE'"),
        (["ZONE1", "--above", "much"], "Expected --above as a number"),
        (["ZONE1", "--above", "-2"], "Expected --above of 0 or more"),
        (["ZONE1", "--above", "30"], "No spot has more ZONE1"),
        (["ZONE1", "--tile-um", "20"], "Expected a --tile-um of at least 49 µm"),
        (["ZONE1", "--fdr", "1"], "--fdr must be between 0 and 1"),
    ],
)
def test_wrong_options_get_a_sentence(folder: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    """Nothing is written."""
    usual = ["--fit", folder / "run", "--out", tmp_path / "out"]
    if "--above" not in words:
        usual += ["--above", "1x"]
    if "--tile-um" not in words:
        usual += ["--tile-um", "100"]
    result = invoke("detect", folder / "outs", *words, *usual)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
