"""The workflow files of docs/cluster, run by the tools that they are for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import pytest

from histosge.datasets.synthetic import synthetic, write_spaceranger

FILES = Path(__file__).parents[2] / "docs" / "cluster"
OPTIONS = "--model kriging --genes all --refine 2 --no-figures"


@pytest.fixture
def sheet(tmp_path) -> Path:
    """Two small sections as Space Ranger folders, and their sheet, in folders with spaces."""
    folder = tmp_path / "my slides"
    folder.mkdir()
    rows = ["sample,path"]
    for seed in range(2):
        section = synthetic(columns=8, rows=8, genes=12, seed=seed).section
        rows.append(f"S{seed},{write_spaceranger(section, folder / str(seed)).relative_to(folder)}")
    (folder / "sheet.csv").write_text("\n".join(rows) + "\n")
    return folder / "sheet.csv"


def run(command: list[str], folder: Path) -> None:
    """Run a tool whose shell finds the command of this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def check(out: Path) -> None:
    assert (out / "cohort.html").is_file()
    every = anndata.read_h5ad(out / "cohort.h5ad")
    assert every.obs["library_id"].astype(str).unique().tolist() == ["S0", "S1"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("snakemake") is None, reason="Snakemake is not installed")
def test_snakemake_runs_a_cohort_of_two_sections(sheet, tmp_path):
    """One job a sample and one for the summary make the files of a cohort; paths have spaces."""
    out = tmp_path / "the results"
    config = [f"sheet={sheet}", f"out={out}", f"options={OPTIONS}"]
    run(
        ["snakemake", "-s", str(FILES / "Snakefile"), "--cores", "2", "--config", *config],
        tmp_path,
    )
    check(out)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nextflow") is None, reason="Nextflow is not installed")
def test_nextflow_runs_a_cohort_of_two_sections(sheet, tmp_path):
    """One task a sample and one for the summary make the files of a cohort; paths have spaces."""
    out = tmp_path / "the results"
    values = ["--sheet", str(sheet), "--out", str(out), "--options", OPTIONS]
    run(["nextflow", "run", str(FILES / "main.nf"), *values], tmp_path)
    check(out)
