"""Own records are refused once they changed, and remember what a user must know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_spaceranger

QUICK = ("--upsample", "1", "--no-figures")


def call(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words], env={"COLUMNS": "400"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A section, a list of genes with an unknown name, and a run."""
    room = tmp_path_factory.mktemp("made")
    write_spaceranger(synthetic(columns=8, rows=9, genes=20).section, room / "section")
    (room / "genes.txt").write_text("ZONE1\nNOGENE\nTUMOUR1\n")
    assert (
        call("run", room / "section", *QUICK, "--genes", room / "genes.txt", "--out", room / "run").exit_code
        == 0
    )
    return room


@pytest.fixture
def room(made: Path, tmp_path: Path) -> Path:
    """A copy of them for one test."""
    shutil.copytree(made, tmp_path / "room")
    return tmp_path / "room"


def test_a_changed_record_is_refused(room: Path) -> None:
    """One letter of run.json: neither a report nor an export takes it."""
    path = room / "run" / "run.json"
    path.write_text(path.read_text().replace('"measured": true', '"measured": false'))
    for words in (("report", room / "run"), ("export", room / "run", "--out", room / "made.h5ad")):
        result = call(*words)
        assert result.exit_code == 3, result.output
        assert "its checksum is that of another content" in result.output
    assert not (room / "made.h5ad").exists()


def test_factors_without_their_run_are_checked(room: Path) -> None:
    """A flipped bit in a copy of factors.h5ad elsewhere."""
    copy = room / "copy.h5ad"
    content = bytearray((room / "run" / "factors.h5ad").read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    result = call("export", copy, "--out", room / "made.h5ad")
    assert result.exit_code == 3
    assert "is truncated, changed or no h5ad file" in result.output


def test_unknown_genes_are_remembered(room: Path) -> None:
    """By the record of a run, by a fit and by a prediction with it, each with a warning."""
    sentence = "no genes of the section: NOGENE"
    fitted = call("fit", room / "section", "--genes", room / "genes.txt", "--out", room / "fit")
    assert sentence in fitted.output
    (room / "genes.txt").unlink()
    predicted = call("predict", room / "section", "--fit", room / "fit", *QUICK, "--out", room / "predicted")
    assert sentence in predicted.output
    for folder in ("run", "predicted"):
        assert json.loads((room / folder / "run.json").read_text())["missing_genes"] == ["NOGENE"]


def test_options_that_nothing_uses_are_named(room: Path) -> None:
    """Of an encoder with a warning; a boundary without an upsampled lattice and a seed without a draw are refused."""
    words = ("fit", room / "section", "--model", "kriging", "--genes", "all", "--out", room / "fit")
    result = call(*words, "--encoder", "phikon")
    assert result.exit_code == 0, result.output
    assert "Not used: --encoder" in result.output
    result = call("run", room / "section", "--spacing-um", "50", "--boundary", "inner", "--out", room / "out")
    assert result.exit_code == 2
    assert "--boundary belongs to --upsample" in result.output
    result = call("export", room / "run", "--seed", "3", "--out", room / "made.h5ad")
    assert result.exit_code == 2
    assert "--seed would draw nothing" in result.output


def test_a_changed_split_is_not_replaced(room: Path) -> None:
    """A table of training spots that a user edited stays, and the report refuses the mixture."""
    words = (
        "evaluate",
        room / "section",
        "--models",
        "mean",
        "--seeds",
        "1",
        "--genes",
        "all",
        "--out",
        room / "run",
    )
    assert call(*words).exit_code == 0
    assert call(*words).exit_code == 0
    assert call("report", room / "run").exit_code == 0
    (split,) = (room / "run" / "splits").glob("*.tsv")
    edited = split.read_text().replace("training", "neither", 1)
    split.write_text(edited)
    result = call(*words)
    assert result.exit_code == 2
    assert "was changed" in result.output
    assert split.read_text() == edited
    result = call("report", room / "run")
    assert result.exit_code == 3
    assert "is not the file that scores.json lists" in result.output
