"""``histosge resolution``: a table of the widths at which genes are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_spaceranger


def invoke(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a section and its fit."""
    path = tmp_path_factory.mktemp("resolution")
    write_spaceranger(synthetic(columns=9, rows=9, genes=12).section, path / "outs")
    words = ("--preset", "positions", "--genes", "all", "--out", path / "run")
    assert invoke("fit", path / "outs", *words).exit_code == 0
    return path


def test_the_table_has_a_row_for_each_gene(folder: Path) -> None:
    """Twice into the same folder; a file of another program is not replaced."""
    out = folder / "resolution"
    words = ("resolution", folder / "outs", "--fit", folder / "run", "--widths-um", "50,100")
    for _ in range(2):
        result = invoke(*words, "--genes", "TUMOUR1,ZONE1", "--out", out)
        assert result.exit_code == 0, result.output
    assert "of 2 genes are known at 100 µm" in result.output
    table = pd.read_csv(out / "effective_resolution.tsv", sep="\t")
    assert table["gene"].tolist() == ["TUMOUR1", "ZONE1"]
    assert table.columns.tolist() == ["gene", "resolution_um", "reliability_50um", "reliability_100um"]
    (out / "effective_resolution.tsv").write_text("my notes")
    assert invoke(*words, "--out", out).exit_code == 2
    assert (out / "effective_resolution.tsv").read_text() == "my notes"


def test_maps_are_tabulated_and_drawn(folder: Path) -> None:
    """A width, inf or unknown at each location for each gene that is asked for, and a picture."""
    out = folder / "maps"
    words = ("resolution", folder / "outs", "--fit", folder / "run", "--widths-um", "50,200")
    result = invoke(*words, "--maps", "TUMOUR1,NUCLEI1", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "effective_resolution_maps.tsv", sep="\t")
    assert table.columns.tolist() == ["location", "x_um", "y_um", "TUMOUR1", "NUCLEI1"]
    assert len(table) > 100
    assert set(table["TUMOUR1"].astype(str)) <= {"50.0", "200.0", "inf", "unknown", "50", "200"}
    with Image.open(out / "effective_resolution.png") as picture:
        assert min(picture.size) > 300
    assert "effective_resolution_maps.tsv" in result.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--genes", "NO_GENE"], "'NO_GENE'"),
        (["--maps", "NO_GENE"], "'NO_GENE'"),
        (["--widths-um", "wide"], "Expected --widths-um as numbers"),
        (["--widths-um", "0"], "Expected --widths-um of positive numbers"),
    ],
)
def test_wrong_options_get_a_sentence(folder: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    """Nothing is computed or written."""
    result = invoke("resolution", folder / "outs", "--fit", folder / "run", *words, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
