"""``--with``: further sections from the command line to the record of the run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_legacy_st, write_spaceranger
from histosge.section.section import Section

WORDS = ["--genes", "hvg:12", "--upsample", 2, "--no-figures"]


def call(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


def fewer_genes(section: Section, number: int) -> Section:
    columns = np.arange(number)
    return replace(
        section,
        counts=section.counts[:, columns],
        genes=section.genes[columns],
        gene_ids=section.gene_ids[columns],
    )


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Visium section, one of fewer genes, a legacy one of twice the pitch, and one of another species."""
    path = tmp_path_factory.mktemp("sections")
    first, second = (synthetic(columns=9, rows=10, genes=30, seed=seed).section for seed in (0, 1))
    write_spaceranger(first, path / "one")
    write_spaceranger(fewer_genes(second, 24), path / "two")
    write_legacy_st(synthetic(columns=7, rows=7, genes=30, seed=2, lattice="square").section, path / "three")
    foreign = np.array([f"ENSMUSG{number}" for number in range(30)])
    write_spaceranger(replace(second, genes=foreign, gene_ids=foreign), path / "foreign")
    return path


@pytest.fixture(scope="module")
def out(room: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run with two auxiliary sections wrote."""
    path = tmp_path_factory.mktemp("results")
    auxiliary = ("--with", room / "two", "--with", room / "three")
    result = call("run", room / "one", *auxiliary, *WORDS, "--out", path)
    assert result.exit_code == 0, result.stderr
    assert "24 genes in common; 6 genes of the section are not in it" in " ".join(result.stdout.split())
    return path


def test_the_record_names_auxiliary_sections_and_the_genes_they_lack(out: Path) -> None:
    """``run.json`` says which sections were fitted, and of how many genes that costs the target the fit."""
    record = json.loads((out / "run.json").read_text())
    fields = ("name", "genes", "missing", "further")
    described = [tuple(section[field] for field in fields) for section in record["auxiliary"]]
    assert described == [("two", 24, 6, 0), ("three", 30, 0, 0)]
    assert len({section["fingerprint"] for section in record["auxiliary"]}) == 2
    common = set(fewer_genes(synthetic(columns=9, rows=10, genes=30).section, 24).genes)
    var = anndata.read_h5ad(out / "prediction.h5ad").var
    assert set(var.index[var["fitted"]]) <= common


def test_the_prediction_is_of_the_target_alone(out: Path) -> None:
    """Spots of auxiliary sections are in no file; genes they lack are predicted from the target's factors."""
    adata = anndata.read_h5ad(out / "prediction.h5ad")
    record = json.loads((out / "run.json").read_text())
    assert adata.obs["observed"].astype(bool).sum() == record["section"]["spots"]
    assert np.isfinite(np.asarray(adata.X)).all()
    factors = anndata.read_h5ad(out / "factors.h5ad")
    assert len(factors.var_names) == 30


def test_predict_and_a_second_run_need_no_second_fit(out: Path, room: Path, tmp_path: Path) -> None:
    """``histosge predict`` reads the target alone; the same run again loads the fit and gives the same bits."""
    before = np.asarray(anndata.read_h5ad(out / "prediction.h5ad").X)
    fits = {path: path.stat().st_mtime_ns for path in (out / "fit").glob("*/*")}
    result = call(
        *("predict", room / "one", "--fit", out, "--upsample", 2, "--no-figures"),
        *("--out", tmp_path / "again"),
    )
    assert result.exit_code == 0, result.stderr
    again = anndata.read_h5ad(tmp_path / "again" / "prediction.h5ad")
    assert np.array_equal(before, np.asarray(again.X))
    assert len(json.loads((tmp_path / "again" / "run.json").read_text())["auxiliary"]) == 2
    auxiliary = ("--with", room / "two", "--with", room / "three")
    result = call("run", room / "one", *auxiliary, *WORDS, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert {path: path.stat().st_mtime_ns for path in (out / "fit").glob("*/*")} == fits
    assert np.array_equal(before, np.asarray(anndata.read_h5ad(out / "prediction.h5ad").X))


def test_predict_uses_the_latest_fit_in_a_folder(room: Path, tmp_path: Path) -> None:
    """Fitted with an auxiliary section, then without, then predicted: the record has none."""
    words = ("--genes", "hvg:12", "--out", tmp_path)
    for further in (("--with", room / "two"), ()):
        result = call("fit", room / "one", *further, *words)
        assert result.exit_code == 0, result.stderr
    result = call(
        *("predict", room / "one", "--fit", tmp_path, "--upsample", 1, "--no-figures"), *("--out", tmp_path)
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "run.json").read_text())["auxiliary"] == []


@pytest.mark.parametrize(
    ("auxiliary_section", "sentence"),
    [("foreign", "no gene in common"), ("one", "given twice"), ("nowhere", "nowhere")],
)
def test_an_unsuitable_auxiliary_section_is_a_sentence(
    room: Path, tmp_path: Path, auxiliary_section: str, sentence: str
) -> None:
    """Without common genes, the section itself, or no section at all: exit code 2 and what to do, and no prediction."""
    result = call("run", room / "one", "--with", room / auxiliary_section, *WORDS, "--out", tmp_path)
    assert result.exit_code == 2, result.stderr
    assert sentence in " ".join(result.stderr.split())
    assert not (tmp_path / "prediction.h5ad").exists()


def test_evaluations_can_fit_auxiliary_sections(room: Path, tmp_path: Path) -> None:
    """``--auxiliary`` fits all other sections beside the training spots; the table names that, and the audit passes."""
    sections = [room / name for name in ("one", "two", "three")]
    words = ("--models", "cokriging,ridge", "--seeds", 1, "--genes", "hvg:12", "--json")
    result = call("evaluate", *sections, "--auxiliary", *words, "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    content = json.loads(result.stdout)
    assert {row["split"] for row in content["rows"]} == {"random:0.5+auxiliary"}
    assert content["declared_leaks"] == []
    scored = [row for row in content["rows"] if (row["model"], row["set"]) == ("cokriging", "test")]
    assert len(scored) == 3
    assert all(np.isfinite(row["mse"]) and row["pcc"] > 0.1 for row in scored)
    result = call("evaluate", sections[0], "--auxiliary", *words, "--out", tmp_path)
    assert result.exit_code == 2
    assert "needs further sections" in result.stdout


def test_splits_of_whole_sections_fit_the_others(room: Path, tmp_path: Path) -> None:
    """``sections`` fits the others already; asking for it twice is refused by name."""
    sections = [room / name for name in ("one", "two")]
    words = ("--models", "cokriging", "--seeds", 1, "--genes", "hvg:12", "--json", "--out", tmp_path)
    result = call("evaluate", *sections, "--split", "sections+auxiliary", *words)
    assert result.exit_code == 2
    assert "Remove '+auxiliary'" in result.stdout
    result = call("evaluate", *sections, "--split", "sections", *words)
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)["rows"]
    (scored,) = [
        row for row in rows if (row["model"], row["set"], row["section"]) == ("cokriging", "test", "one")
    ]
    assert np.isfinite(scored["mse"])
    assert scored["pcc"] > 0.1
