"""The command ``run`` and its single steps, from a folder to the files they write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

import histosge as hs
from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_legacy_st, write_spaceranger
from histosge.io.writers.h5ad import provenance
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.section.inputs import Inputs

SMALL = ["--set", "factors=5", "--genes", "hvg:20"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Space Ranger folder."""
    path = tmp_path_factory.mktemp("sections") / "outs"
    write_spaceranger(synthetic(columns=8, rows=10, genes=40).section, path)
    return path


@pytest.fixture(scope="module")
def results(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder that one run wrote, and its record."""
    out = tmp_path_factory.mktemp("results")
    result = call("run", folder, "--out", out, *SMALL, "--upsample", 4, "--also", "geojson", "--json")
    assert result.exit_code == 0, result.stderr
    return out, json.loads(result.stdout)


def call(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


def test_run_writes_predictions_figures_and_the_record(results: tuple[Path, dict[str, Any]]) -> None:
    """``histosge run`` leaves what README promises, and nothing unfinished."""
    out, record = results
    names = {
        "prediction.h5ad",
        "factors.h5ad",
        "prediction.geojson",
        "figures",
        "run.json",
        "features",
        "fit",
    }
    assert {path.name for path in out.iterdir()} == names
    assert {path.name for path in (out / "figures").iterdir()} == {"markers.png", "section.png"}
    assert json.loads((out / "run.json").read_text()) == record
    assert record["encoder"]["licence"]
    assert record["recipe"]["seed"] == 0


def test_the_record_has_a_key_for_everything_that_made_the_result(
    results: tuple[Path, dict[str, Any]],
) -> None:
    """What identifies the result, which all files hold too; then what was written, noticed and spent."""
    record = results[1]
    identity = {
        "section",
        "basis",
        "leave_one_section_out",
        "auxiliary",
        "programs",
        "recipe",
        "model",
        "fit",
        "fit_key",
    }
    identity |= {"encoder", "target", "locations", "device", "precision", "accuracy", "total_counts"}
    cost = {"environment", "stages", "seconds", "peak_memory_bytes"}
    assert set(record) == identity | cost | {
        "genes",
        "genes_written",
        "unmeasured",
        "genes_shown",
        "missing_genes",
        "messages",
        "files",
        "checksum",
    }
    reliable, image = record["accuracy"]
    assert reliable.startswith(
        f"{record['fit']['reliable_genes']} of {record['fit']['expressed_genes']} expressed"
    )
    assert image.startswith("The image")
    assert set(record["model"]) == {"name", "config", "uses_image", "uses_position"}
    assert record["locations"] == 4 * record["section"]["spots"]
    assert set(provenance(results[0] / "prediction.h5ad")) == identity


def test_the_prediction_says_which_locations_were_measured(
    results: tuple[Path, dict[str, Any]], folder: Path
) -> None:
    """Four locations a spot, one of them the spot itself; pixels and µm agree through the scale."""
    out, record = results
    adata = anndata.read_h5ad(out / "prediction.h5ad")
    spots = record["section"]["spots"]
    assert len(adata) == 4 * spots
    assert adata.var["fitted"].sum() == 20
    assert adata.obs["observed"].astype(bool).sum() == spots
    assert (adata.obs.loc[adata.obs["observed"].astype(bool), "subspot"] == 0).all()
    assert np.isfinite(adata.X).all()
    assert np.allclose(adata.obsm["spatial"] * record["section"]["mpp"], adata.obsm["spatial_um"])


def test_the_same_command_gives_the_same_bits(folder: Path, tmp_path: Path) -> None:
    """Two runs with one seed agree bit for bit on a CPU; another seed does not."""
    values = []
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        out = tmp_path / name
        result = call("run", folder, "--out", out, *SMALL, "--upsample", 2, "--seed", seed, "--no-figures")
        assert result.exit_code == 0, result.stderr
        values.append(np.asarray(anndata.read_h5ad(out / "prediction.h5ad").X))
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_single_steps_give_the_same_as_a_run(folder: Path, tmp_path: Path) -> None:
    """``embed``, ``fit`` and ``predict`` together equal ``run``."""
    whole, steps = tmp_path / "whole", tmp_path / "steps"
    assert call("run", folder, "--out", whole, *SMALL, "--upsample", 2, "--no-figures").exit_code == 0
    assert call("embed", folder, "--out", steps, "--upsample", 2).exit_code == 0
    assert call("fit", folder, "--out", steps, *SMALL).exit_code == 0
    result = call("predict", folder, "--fit", steps, "--out", steps, "--upsample", 2, "--no-figures")
    assert result.exit_code == 0, result.stderr
    first, second = (anndata.read_h5ad(path / "prediction.h5ad").X for path in (whole, steps))
    assert np.array_equal(np.asarray(first), np.asarray(second))


def test_a_grid_replaces_the_upsampled_lattice(folder: Path, tmp_path: Path) -> None:
    """``--spacing-um`` predicts on a square grid of that spacing."""
    result = call("run", folder, "--out", tmp_path, *SMALL, "--spacing-um", 80, "--no-figures")
    assert result.exit_code == 0, result.stderr
    xy_um = anndata.read_h5ad(tmp_path / "prediction.h5ad").obsm["spatial_um"]
    steps = np.unique(np.round(np.diff(np.unique(np.round(xy_um[:, 0], 3))), 3))
    assert (steps >= 80 - 1e-3).all()


def test_legacy_sections_run_too(tmp_path: Path) -> None:
    """The same command takes a legacy ST folder."""
    write_legacy_st(synthetic(columns=7, rows=7, genes=30, lattice="square").section, tmp_path / "st")
    result = call("run", tmp_path / "st", "--out", tmp_path / "out", *SMALL, "--upsample", 2, "--no-figures")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("words", "exit_code", "sentence"),
    [
        (["--model", "histosg"], 2, "Did you mean histosge"),
        (["--encoder", "textur"], 2, "Did you mean texture"),
        (["--preset", "perfect"], 2, "preset"),
        (["--set", "factors"], 2, "FIELD=VALUE"),
        (["--set", "faktors=3"], 2, "factors"),
        (["--upsample", "4", "--spacing-um", "20"], 2, "exactly one"),
        (["--upsample", "9"], 2, "8"),
        (["--spacing-um", "-1"], 2, "positive"),
        (["--genes", "no-such-file.txt"], 2, "no-such-file"),
        (["--image", "no-such-image.tif"], 2, "no-such-image"),
        (["--device", "abacus"], 2, "--device"),
        (["--precision", "fp7"], 2, "fp32"),
        (["--encoder", "uni", "--weights", "no-such-weights.bin"], 4, "no-such-weights"),
        (["--show", "NoSuchGene"], 2, "NoSuchGene"),
        (["--also", "xlsx"], 2, "geojson"),
        (["--regions", "r.geojson"], 2, "--spacing-um"),
        (["--cells", "no-such-cells.csv"], 2, "no-such-cells"),
    ],
)
def test_a_wrong_option_is_a_sentence_and_writes_nothing(
    folder: Path, tmp_path: Path, words: list[str], exit_code: int, sentence: str
) -> None:
    """Wrong words end with the documented exit code, say what to do, and leave no prediction behind."""
    out = tmp_path / "out"
    result = call("run", folder, "--out", out, *SMALL, *words)
    assert result.exit_code == exit_code, result.stderr
    assert sentence in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr
    assert not (out / "prediction.h5ad").exists()
    assert not (out / "run.json").exists()


def test_an_error_is_json_when_json_was_asked_for(tmp_path: Path) -> None:
    """Programs read errors from standard output too."""
    result = call("run", tmp_path / "nothing", "--json")
    assert json.loads(result.stdout)["exit_code"] == result.exit_code == 2, result.stdout


def test_an_output_folder_without_permission_is_refused(folder: Path, tmp_path: Path) -> None:
    """A folder that cannot be written is refused before any work is done."""
    blocked = tmp_path / "file"
    blocked.touch()
    result = call("run", folder, "--out", blocked, *SMALL)
    assert result.exit_code == 2
    assert "Choose another --out" in result.stderr.replace("\n", " ")


def test_a_killed_run_goes_on_and_gives_the_same_result(folder: Path, tmp_path: Path) -> None:
    """After ``kill -9`` in the middle of the fit the same command resumes, with the same bits at the end."""
    words = [
        "run",
        str(folder),
        "--model",
        "histosge",
        "--genes",
        "hvg:20",
        "--set",
        "epochs=40",
        "--upsample",
        "2",
        "--no-figures",
    ]
    command = [sys.executable, "-m", "histosge", *words, "--out"]
    quiet = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "env": os.environ | {"OMP_NUM_THREADS": "1"},
    }
    process = subprocess.Popen([*command, str(tmp_path / "killed")], **quiet)  # type: ignore[call-overload]
    fit = tmp_path / "killed" / "fit"
    while process.poll() is None and not (fit.exists() and any(fit.glob("*.checkpoint/*"))):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "run.json").exists()
    for name in ("killed", "whole"):
        subprocess.run([*command, str(tmp_path / name)], check=True, **quiet)  # type: ignore[call-overload]
    first, second = (anndata.read_h5ad(tmp_path / name / "prediction.h5ad").X for name in ("killed", "whole"))
    assert np.array_equal(np.asarray(first), np.asarray(second))


def test_doctor_says_that_image_and_coordinates_match(tmp_path: Path) -> None:
    """``histosge doctor SECTION`` names scale and alignment, and draws the spots on the image."""
    write_spaceranger(synthetic(columns=10, rows=12, genes=40).section, tmp_path / "outs")
    result = call("doctor", tmp_path / "outs", "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.stderr
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["alignment"]["verdict"] == "ok"
    assert "100.0 µm" in checks["scale"]["finding"]
    assert (tmp_path / "section.png").stat().st_size > 0


def test_doctor_says_that_too_few_spots_cannot_be_checked(folder: Path, tmp_path: Path) -> None:
    """The orientation of 80 spots is not called ok."""
    result = call("doctor", folder, "--out", tmp_path, "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["alignment"]["verdict"] == "note"
    assert "not checked" in checks["alignment"]["finding"]


@pytest.mark.parametrize("kind", ["encoders", "models", "readers"])
def test_registered_names_are_listed(kind: str) -> None:
    """``histosge list`` shows every registered name."""
    result = call("list", kind)
    assert result.exit_code == 0
    name = {"encoders": "uni2", "models": "histosge", "readers": "visium"}[kind]
    assert name in result.stdout


def test_cite_prints_the_entries_of_what_was_used() -> None:
    """The paper's entry always, the encoder's when named."""
    result = call("cite", "uni")
    assert result.exit_code == 0
    assert result.stdout.count("@") >= 2


def test_a_run_predicts_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, figures and further formats come from one prediction of the locations asked for."""
    section, sizes = hs.read(folder), []
    factored = CokrigingPredictor.factored

    def counting(self: CokrigingPredictor, inputs: Inputs) -> hs.FactoredPrediction:
        sizes.append(len(inputs))
        return factored(self, inputs)

    monkeypatch.setattr(CokrigingPredictor, "factored", counting)
    recipe, outputs = hs.Recipe(genes="all", options={"factors": 3}), hs.Outputs(also=["geojson"])
    result = hs.run(section, recipe, target=hs.Target(upsample=2), out=tmp_path, outputs=outputs)
    assert sizes == [2 * len(section)]
    assert len(result.figures) == 2
    assert (tmp_path / "prediction.geojson").exists()
