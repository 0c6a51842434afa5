"""``histosge programs`` and ``--programs``, from the command line to the record of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_spaceranger

WORDS = ["--genes", "hvg:12", "--upsample", 1, "--no-figures"]


def call(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A section, the counts of another one as a table, and gene programs built of it."""
    path = tmp_path_factory.mktemp("programs")
    first, second = (synthetic(columns=9, rows=10, genes=30, seed=seed).section for seed in (0, 1))
    write_spaceranger(first, path / "one")
    counts = pd.DataFrame(second.counts.toarray().astype(int), index=second.spots.ids, columns=second.genes)
    counts.to_csv(path / "two.tsv", sep="\t")
    words = ("--licence", "CC0", "--source", "simulated", "--out", path / "two.programs.h5")
    result = call("programs", "build", path / "two.tsv", *words)
    assert result.exit_code == 0, result.output
    return path


def test_what_was_built_can_be_shown(room: Path) -> None:
    """`programs show` prints sources, profiles, species and licence, for people and as JSON."""
    result = call("programs", "show", room / "two.programs.h5")
    assert result.exit_code == 0
    for words in ("'two'", "human", "licence: CC0", "source: simulated"):
        assert words in result.stdout
    record = json.loads(call("programs", "show", room / "two.programs.h5", "--json").stdout)
    assert record["sources"][0]["profiles"] == record["profiles"] > 80


def test_a_run_takes_programs_and_names_them(room: Path, tmp_path: Path) -> None:
    """`run --programs` prints and records what was used; the page of the run has it too."""
    words = ("--preset", "positions", "--programs", room / "two.programs.h5", *WORDS)
    result = call("run", room / "one", *words, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "with gene programs of" in result.stdout
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["programs"]["names"] == ["two"]
    assert record["programs"]["common"] == 12
    assert record["fit"]["programs"]["given"] > 0
    assert any("gene programs" in sentence.lower() for sentence in record["accuracy"])
    assert call("report", tmp_path / "out").exit_code == 0


def test_a_model_that_uses_no_programs_says_so(room: Path, tmp_path: Path) -> None:
    """Inverse distances learn nothing of other data, and a warning names the option."""
    words = ("--model", "idw", "--programs", room / "two.programs.h5", "--genes", "hvg:12")
    result = call("fit", room / "one", *words, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "Not used: gene programs" in result.output


def test_an_evaluation_refuses_programs_of_the_scored_section(room: Path, tmp_path: Path) -> None:
    """The audit ends an evaluation with exit code 3 where the programs hold the section itself."""
    words = (
        "--models",
        "idw",
        "--seeds",
        1,
        "--genes",
        "all",
        "--programs",
        room / "one",
        "--out",
        tmp_path / "out",
    )
    result = call("evaluate", room / "one", *words)
    assert result.exit_code == 3
    assert "hold the section that is scored" in " ".join(result.output.split())


def test_a_plan_takes_programs(room: Path) -> None:
    """Paths of programs in a plan are relative to its file."""
    from histosge.evaluation.plan_file import parse_plan

    plan = parse_plan({"sections": ["one"], "models": ["idw"], "programs": ["two.programs.h5"]}, room)
    assert plan.programs == (room / "two.programs.h5",)


@pytest.mark.parametrize("words", [("nothing.h5ad",), ("two.tsv", "two.tsv")])
def test_bad_sources_end_with_a_sentence(room: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    """A missing file, and one file twice, leave nothing behind."""
    result = call("programs", "build", *(room / word for word in words), "--out", tmp_path / "a.programs.h5")
    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_inputs_are_not_overwritten(room: Path) -> None:
    """A source as output is refused, and stays as it is."""
    before = (room / "two.tsv").read_bytes()
    result = call("programs", "build", room / "two.tsv", "--out", room / "two.tsv")
    assert result.exit_code == 2
    assert (room / "two.tsv").read_bytes() == before
