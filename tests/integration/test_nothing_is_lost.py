"""Commands replace what this program wrote, and nothing else; results of two runs are never mixed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import histosge as hs
from histosge._runtime.hashing import fingerprint_path
from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_spaceranger

QUICK = ("--genes", "all", "--upsample", "1", "--no-figures")


def call(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words], env={"COLUMNS": "400"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A section as a folder and a run of it."""
    room = tmp_path_factory.mktemp("made")
    write_spaceranger(synthetic(columns=10, rows=12, genes=30).section, room / "section")
    assert call("run", room / "section", *QUICK, "--out", room / "run").exit_code == 0
    return room


@pytest.fixture
def room(made: Path, tmp_path: Path) -> Path:
    """A copy of them for one test."""
    shutil.copytree(made, tmp_path / "room")
    return tmp_path / "room"


def state(folder: Path) -> dict[str, str]:
    """All files under a folder, with hashes of their content."""
    return {
        str(path.relative_to(folder)): fingerprint_path(path) for path in folder.rglob("*") if path.is_file()
    }


def user_h5ad(path: Path) -> None:
    """An h5ad of the user's own: the section, in the layout of AnnData."""
    section = synthetic(columns=10, rows=12, genes=30).section
    obs = pd.DataFrame(
        {
            "array_row": section.lattice_xy[:, 1].astype(int),
            "array_col": section.lattice_xy[:, 0].astype(int),
        },
        index=section.spots.ids.astype(str),
    )
    adata = ad.AnnData(
        section.counts.astype("float32"), obs=obs, var=pd.DataFrame(index=section.genes.astype(str))
    )
    adata.obsm["spatial"] = np.array(section.spots.xy / section.mpp)
    path.parent.mkdir(exist_ok=True)
    adata.write_h5ad(path)


@pytest.mark.parametrize("to", ["h5ad", "geojson", "omezarr", "spatialdata", "factors"])
def test_export_deletes_no_folder(room: Path, to: str) -> None:
    """A folder of the user's and the folder of a run are refused as names of an output; all in them stays."""
    (room / "precious" / "sub").mkdir(parents=True)
    (room / "precious" / "sub" / "thesis.txt").write_text("years of work")
    before = state(room)
    for name, sentence in (
        ("precious", "is a folder that histosge did not write"),
        ("run", "folder of a run"),
    ):
        result = call("export", room / "run", "--genes", "ZONE1", "--to", to, "--out", room / name)
        assert result.exit_code == 2
        assert sentence in result.output
        assert "choose another --out" in result.output
    assert state(room) == before


@pytest.mark.parametrize("to", ["h5ad", "geojson", "omezarr", "spatialdata"])
def test_export_replaces_its_own_outputs_alone(room: Path, to: str) -> None:
    """The same command can be repeated; a file of another program of that name is refused."""
    words = ("export", room / "run", "--genes", "ZONE1,TUMOUR1", "--to", to, "--out")
    for _ in range(2):
        assert call(*words, room / "exported").exit_code == 0
    if (room / "exported").is_dir():
        (room / "exported" / "notes.txt").write_text("added later")
    else:
        (room / "exported").write_text("the user's own")
    before = state(room)
    result = call(*words, room / "exported")
    assert result.exit_code == 2
    assert "that histosge did not write" in result.output
    assert state(room) == before


def test_export_overwrites_no_file_of_a_run(room: Path) -> None:
    """Neither the factors that it reads nor the prediction beside them."""
    before = state(room)
    for name in ("factors.h5ad", "prediction.h5ad"):
        result = call("export", room / "run", "--genes", "ZONE1", "--out", room / "run" / name)
        assert result.exit_code == 2
        assert "belongs to the run" in result.output
    assert state(room) == before
    shutil.copy(room / "run" / "factors.h5ad", room / "copy.h5ad")
    result = call("export", room / "copy.h5ad", "--genes", "ZONE1", "--out", room / "copy.h5ad")
    assert result.exit_code == 2
    assert "is an input" in result.output


def test_a_run_overwrites_no_input(room: Path) -> None:
    """A section, an auxiliary section, cells and a folder around an input that have the name of an output."""
    user_h5ad(room / "data" / "prediction.h5ad")
    cells = room / "cells" / "prediction.geojson"
    cells.parent.mkdir()
    assert call("export", room / "run", "--genes", "ZONE1", "--to", "geojson", "--out", cells).exit_code == 0
    inside = room / "inside" / "prediction.zarr" / "section"
    shutil.copytree(room / "section", inside)
    commands_ = {
        "data": (room / "data" / "prediction.h5ad", *QUICK, "--preset", "positions"),
        "cells": (room / "section", "--cells", cells, "--genes", "all", "--no-figures", "--also", "geojson"),
        "inside": (inside, *QUICK, "--also", "spatialdata"),
    }
    for out, words in commands_.items():
        before = state(room)
        result = call("run", *words, "--out", room / out)
        assert result.exit_code == 2, result.output
        assert "is an input that this command would overwrite; choose another --out" in result.output
        assert state(room) == before


def test_a_run_replaces_no_file_of_another_program(room: Path) -> None:
    """Files, figures and folders of the user's with the name of an output are refused, before anything is fitted."""
    out = room / "out"
    user_h5ad(out / "prediction.h5ad")
    shutil.copytree(room / "section", out / "prediction.zarr")
    (out / "figures").mkdir()
    shutil.copy(room / "section" / "spatial" / "tissue_hires_image.png", out / "figures" / "section.png")
    (out / "run.json").write_text('{"sample": 7}')
    for name in ("prediction.h5ad", "prediction.zarr", "figures/section.png", "run.json"):
        before = state(room)
        result = call("run", room / "section", "--genes", "all", "--also", "spatialdata", "--out", out)
        assert result.exit_code == 2
        assert "histosge did not write" in result.output
        assert state(room) == before
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    words = ("run", room / "section", "--genes", "all", "--also", "spatialdata", "--out", out)
    for _ in range(2):
        assert call(*words).exit_code == 0


def test_the_drawing_of_doctor_overwrites_no_image(room: Path) -> None:
    """An image of the section that is named like the drawing is refused; the drawing itself is replaced."""
    image = room / "check" / "section.png"
    image.parent.mkdir()
    shutil.copy(room / "section" / "spatial" / "tissue_hires_image.png", image)
    before = state(room)
    result = call("doctor", room / "section", "--out", room / "check")
    assert result.exit_code == 2
    assert "histosge did not write" in result.output
    assert state(room) == before
    for _ in range(2):
        assert call("doctor", room / "section", "--out", room / "drawn").exit_code == 0


def test_a_fit_replaces_no_file_of_another_program(room: Path) -> None:
    """Another program's fit/fit.json stays."""
    (room / "out" / "fit").mkdir(parents=True)
    (room / "out" / "fit" / "fit.json").write_text('{"slope": 2}')
    result = call("fit", room / "section", "--genes", "all", "--out", room / "out")
    assert result.exit_code == 2
    assert "histosge did not write" in result.output


def test_domains_overwrite_no_input_and_nothing_of_another_program(room: Path) -> None:
    """A section named like an output, and a table of the user's; their own outputs are replaced."""
    user_h5ad(room / "data" / "domains.h5ad")
    (room / "out").mkdir()
    (room / "out" / "domains.tsv").write_text("spot\tlayer\n")
    words = ("--method", "kmeans", "--clusters", "3", "--seeds", "1", "--genes", "all", "--out")
    before = state(room)
    for source, out, sentence in (
        (room / "data" / "domains.h5ad", room / "data", "is an input"),
        (room / "section", room / "out", "histosge did not write"),
    ):
        result = call("domains", source, *words, out)
        assert result.exit_code == 2
        assert sentence in result.output
    assert state(room) == before
    for _ in range(2):
        result = call("domains", room / "section", *words, room / "domains")
        assert result.exit_code == 0, result.output


def test_scores_replace_their_own_tables_alone(room: Path) -> None:
    """A table of the user's with the name of a result is refused before any trial; an evaluation can be repeated."""
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
        room / "out",
    )
    (room / "out").mkdir()
    for name in ("scores.parquet", "scores.md"):
        (room / "out" / name).write_text("the user's own")
        result = call(*words)
        assert result.exit_code == 2
        assert "histosge did not write" in result.output
        assert [path.name for path in (room / "out").iterdir()] == [name]
        (room / "out" / name).unlink()
    for _ in range(2):
        result = call(*words)
        assert result.exit_code == 0, result.output


def test_outputs_of_another_model_are_removed(room: Path) -> None:
    """Factors, further formats, figures and the page of the run before do not stay beside another model's result."""
    out = room / "run"
    assert call("run", room / "section", "--genes", "all", "--also", "geojson", "--out", out).exit_code == 0
    assert call("report", out).exit_code == 0
    (out / "notes.txt").write_text("the user's own")
    assert call("run", room / "section", *QUICK, "--model", "kriging", "--out", out).exit_code == 0
    gone = ("factors.h5ad", "prediction.geojson", "figures/section.png", "report.html")
    assert not [name for name in gone if (out / name).exists()]
    assert (out / "notes.txt").exists()
    assert list(json.loads((out / "run.json").read_text())["files"]) == ["prediction.h5ad"]
    assert call("report", out).exit_code == 0
    assert call("export", out, "--genes", "ZONE1", "--out", room / "g.h5ad").exit_code == 2


def test_further_formats_of_the_same_result_are_kept(room: Path) -> None:
    """A run that is repeated for one more format keeps the others, and lists them."""
    out = room / "run"
    for also in ("geojson", "omezarr"):
        assert call("run", room / "section", *QUICK, "--also", also, "--out", out).exit_code == 0
    files = json.loads((out / "run.json").read_text())["files"]
    assert {"prediction.geojson", "prediction.ome.zarr"} < set(files)
    assert all(fingerprint_path(out / name) == content for name, content in files.items())


def test_a_mixture_of_two_runs_is_refused(room: Path) -> None:
    """After a kill between two files, neither the report nor an export takes files of two runs for one."""
    out = room / "run"
    code = """
import os, sys
from histosge.cli import main
from histosge.io.writers import h5ad
written = h5ad.stream
def stop(*arguments, **options):
    written(*arguments, **options)
    os.kill(os.getpid(), 9)
h5ad.stream = stop
main()
"""
    words = [
        "run",
        str(room / "section"),
        *QUICK,
        "--seed",
        "1",
        "--genes",
        "ZONE1,TUMOUR1",
        "--out",
        str(out),
    ]
    assert subprocess.run([sys.executable, "-c", code, *words], check=False).returncode == -9
    for command in (("report", out), ("export", out, "--genes", "ZONE1", "--out", room / "exported.h5ad")):
        result = call(*command)
        assert result.exit_code == 3, result.output
        assert "run.json lists" in result.output
    assert call(*words).exit_code == 0
    assert call("report", out).exit_code == 0


def test_factors_of_another_run_are_refused(room: Path) -> None:
    """A file that was copied into the folder of a run is not taken for the run's."""
    words = ("run", room / "section", *QUICK, "--model", "kriging", "--out", room / "other")
    assert call(*words).exit_code == 0
    shutil.copy(room / "run" / "factors.h5ad", room / "other" / "factors.h5ad")
    result = call("export", room / "other", "--genes", "ZONE1", "--out", room / "exported.h5ad")
    assert result.exit_code == 3
    assert "is not a file of the run in that folder" in result.output
    shutil.copy(room / "run" / "factors.h5ad", room / "copy.h5ad")
    assert (
        call("export", room / "copy.h5ad", "--genes", "ZONE1", "--out", room / "exported.h5ad").exit_code == 0
    )


def test_a_damaged_fit_ends_a_run_with_a_sentence(room: Path) -> None:
    """One flipped bit in the arrays of the kept fit: exit 3, and what to delete."""
    (arrays,) = (room / "run" / "fit").glob("*/arrays.safetensors")
    content = bytearray(arrays.read_bytes())
    content[-9] ^= 1
    arrays.write_bytes(content)
    result = call("run", room / "section", *QUICK, "--out", room / "run")
    assert result.exit_code == 3
    assert "Delete that folder and fit again" in result.output


def test_a_fit_that_is_only_read_predicts(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of new locations are kept in the output folder where the fit's own takes no files."""
    before = state(room / "run")
    there = str(room / "run")
    access = os.access

    def read_only(path: object, mode: int, **options: Any) -> bool:
        return not (mode & os.W_OK and str(path).startswith(there)) and access(path, mode, **options)

    monkeypatch.setattr(os, "access", read_only)
    words = ("predict", room / "section", "--fit", room / "run", "--spacing-um", "50", "--no-figures")
    result = call(*words, "--out", room / "predicted")
    assert result.exit_code == 0, result.output
    assert state(room / "run") == before
    assert list((room / "predicted" / "features").iterdir())


def test_a_section_names_what_it_was_read_from(room: Path) -> None:
    """Its folder and the image that was loaded; no output may overwrite them."""
    section = hs.read(room / "section")
    assert section.sources[0] == room / "section"
    assert section.sources[1].name == "tissue_hires_image.png"
    assert section.take(np.arange(20)).sources == section.sources
    assert synthetic(columns=8, rows=8, genes=12).section.sources == ()
