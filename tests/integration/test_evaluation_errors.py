"""Errors of ``histosge evaluate`` and ``histosge benchmark``: one sentence, and no scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_spaceranger


def invoke(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small section."""
    path = tmp_path_factory.mktemp("sections")
    write_spaceranger(synthetic(columns=12, rows=12, genes=40).section, path / "one")
    return path


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--models", "histosg"], 2, "Did you mean histosge"),
        (["--models", "histosge:perfect"], 2, "published, paper, corrected"),
        (["--split", "half"], 2, "random:0.5, published, blocks:6"),
        (["--split", "random:1.5"], 2, "between 0 and 1"),
        (["--split", "sections"], 2, "needs further sections"),
        (["--split", "patients"], 2, "needs the patient of every section"),
        (["--split", "patients", "--patients", "A,B"], 2, "the patient of each of 1 sections"),
        (["--split", "published:3"], 2, "random:0.5, published, blocks:6"),
        (["--seeds", "0"], 2, "--seeds must be from 1 to 10000, got 0"),
        (["--models", "histosge", "--presets", "perfect"], 2, "has a preset 'perfect'"),
        (["--models", "histosge:paper", "--presets", "published"], 2, "has a preset 'published'"),
        (["--encoder", ","], 2, "at least one of its encoders"),
        (["--genes", "hvg:many"], 2, "hvg:1000"),
        (["--genes", "nothing.txt"], 2, "no file 'nothing.txt'"),
        (["--encoder", "eyes"], 2, "encoder"),
        (["--set", "epoks=3"], 2, "has an option 'epoks'"),
        (["--set", "epochs"], 2, "FIELD=VALUE"),
        (["--jobs", "0"], 2, "--jobs must be 1 or more"),
        (["--device", "toaster"], 2, "toaster"),
    ],
)
def test_bad_options_are_one_sentence(
    folder: Path, tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    """Options that cannot be evaluated end in one sentence that helps, and no scores are written."""
    result = invoke("evaluate", folder / "one", *words, "--out", tmp_path / "out")
    assert result.exit_code == code
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "scores.json").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sections = [", "Expected TOML"),
        ("sections = []", "at least one of its sections"),
        ('sections = "one"', "is a list"),
        ('sections = ["one"]\nseeds = ["0"]', "whole numbers"),
        ('sections = ["one"]\nseeds = []', "at least one of its seeds"),
        ('sections = ["one"]\nsplit = ["random:0.5"]', "has no 'split'"),
        ('sections = ["one"]\nhvg_scope = "some"', "'training' or 'all'"),
        ('sections = ["one"]\nbaselines = false', "needs models"),
        ('sections = ["one"]\nbaselines = "no"', "true or false"),
        ('sections = [{ name = "one" }]', "A section in a plan is a path"),
        ('sections = ["one"]\nmodels = [3]', "'name:preset'"),
        ('sections = ["one"]\nmodels = [{ model = "idw", neighbours = 0 }]', "positive"),
        ('sections = ["one"]\nmodels = [{ model = "idw", epochs = 5 }]', "no option"),
        ('sections = ["nowhere"]', "nowhere"),
    ],
)
def test_a_bad_plan_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """Plans that make no sense are refused before any work is done."""
    path = tmp_path / "plan.toml"
    path.write_text(text)
    result = invoke("benchmark", path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "scores.json").exists()


def test_a_missing_plan_is_one_sentence(tmp_path: Path) -> None:
    """A missing plan ends in one sentence."""
    result = invoke("benchmark", tmp_path / "nothing.toml", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "found none" in result.stderr


def test_a_file_in_the_way_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    """Where the folder for scores would be a file, the error says so and the file stays."""
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    result = invoke("evaluate", folder / "one", "--models", "mean", "--out", blocked)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert blocked.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Expected SECTION…, or cells or fine bins as --truth; got none"),
        (["one", "--truth", "one"], "Expected a truth of cells or of Visium HD bins"),
        (["--truth", "one", "--split", "blocks:6"], "--split has no meaning with --truth"),
        (["--truth", "one"], "Expected a truth of cells or of Visium HD bins"),
        (["--truth", "nothing"], "Expected a finer truth, got nothing"),
        (["--truth", "one", "--widths-um", "a"], "Expected --widths-um as numbers"),
    ],
)
def test_a_finer_truth_is_named_alone(folder: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    """Options that have no meaning with ``--truth`` are refused before anything is computed."""
    known = {"one": folder / "one", "nothing": tmp_path / "nothing"}
    result = invoke("evaluate", *(known.get(word, word) for word in words), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
