"""A file, a path or a value that is at fault ends a command with a sentence that says so, never as a defect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

import histosge as hs
from histosge.cli import commands
from histosge.cli.failures import sentence_of
from histosge.datasets.synthetic import write_spaceranger
from histosge.domains.kmeans import KMeans
from histosge.evaluation.evaluate import evaluate

SECTION = hs.synthetic(columns=8, rows=10, genes=20).section
SMALL = ["--preset", "positions", "--genes", "all", "--upsample", 1, "--no-figures"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Space Ranger folder."""
    return write_spaceranger(SECTION, tmp_path_factory.mktemp("section") / "outs")


def call(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


@pytest.mark.parametrize("name", ["out[/b]", "out[red]", "[bold]", ":smile:"])
def test_square_brackets_in_paths_are_printed_as_they_are(folder: Path, tmp_path: Path, name: str) -> None:
    """A path with brackets is no markup: it is printed, and the files are there."""
    result = call("run", folder, *SMALL, "--out", tmp_path / name)
    assert result.exit_code == 0, result.stderr
    assert f"{tmp_path / name / 'run.json'}" in result.stdout
    assert (tmp_path / name / "run.json").is_file()


@pytest.mark.parametrize("seed", [-1, 2**63, 99999999999999999999])
def test_seeds_out_of_range_are_refused_before_any_work(folder: Path, tmp_path: Path, seed: int) -> None:
    """A seed below 0 or above 2^63-1 ends with 2 and leaves nothing."""
    result = call("run", folder, *SMALL, "--out", tmp_path / "out", f"--seed={seed}")
    assert result.exit_code == 2
    assert "--seed must be a whole number from 0 to 2^63-1" in result.stderr
    assert not (tmp_path / "out").exists()


def test_large_seeds_are_seeds_of_every_model_and_method() -> None:
    """A seed above 2^32, which scikit-learn does not take, fits; a negative one is refused everywhere."""
    expression = SECTION.counts.toarray()
    labels = KMeans().assign(expression, SECTION.spots.xy, pitch_um=100.0, clusters=2, seed=2**40)
    assert len(labels) == len(SECTION)
    with pytest.raises(hs.UsageError, match="seed"):
        evaluate(SECTION, ["ridge"], seeds=(-1,))
    with pytest.raises(hs.UsageError, match="seeds"):
        evaluate(SECTION, ["ridge"], seeds=10**12)


@pytest.mark.parametrize("width", ["1e12", "inf", "nan", "0", "-3"])
def test_patch_widths_out_of_range_are_refused(folder: Path, tmp_path: Path, width: str) -> None:
    """A patch wider than a section is refused by its width, not by the memory it would take."""
    result = call("run", folder, *SMALL, "--out", tmp_path / "out", f"--patch-um={width}")
    assert result.exit_code == 2
    assert "--patch-um must be above 0 and at most" in result.stderr


def test_genes_to_show_that_are_not_fitted_are_refused_before_the_fit(folder: Path, tmp_path: Path) -> None:
    """An unknown name in ``--show`` ends with 2 and leaves no file."""
    result = call("run", folder, *SMALL, "--out", tmp_path / "out", "--show", "NOPE")
    assert result.exit_code == 2
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("option", ["--out", "--image", "--store", "--cells", "--regions"])
def test_empty_paths_are_refused(folder: Path, option: str) -> None:
    """An unset variable of a shell is not the working directory."""
    result = call("run", folder, option, "")
    assert result.exit_code == 2
    assert "it is empty" in result.stderr


@pytest.mark.parametrize("option", ["", "--image", "--out", "--cells", "--regions", "--genes", "--with"])
def test_paths_of_5000_letters_are_refused(folder: Path, tmp_path: Path, option: str) -> None:
    """A path that no file system takes ends with 2 or 3 and a sentence."""
    long = "/" + "z" * 5000
    words = [long] if option == "" else [folder, option, long]
    out = [] if option == "--out" else ["--out", tmp_path / "out"]
    result = call("run", *words, *out)
    assert result.exit_code in (2, 3)
    assert "defect" not in result.stderr


def test_counts_that_no_molecule_count_reaches_are_refused(tmp_path: Path) -> None:
    """A count of 1e30 is none."""
    counts = SECTION.counts.toarray().astype(np.float64)
    counts[0, 0] = 1e30
    data = anndata.AnnData(counts)
    data.obs_names, data.var_names = SECTION.spots.ids.astype(str), SECTION.genes
    data.obsm["spatial"] = SECTION.spots.xy / SECTION.mpp
    data.write_h5ad(tmp_path / "huge.h5ad")
    result = call("run", tmp_path / "huge.h5ad", "--mpp", 0.5, "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "1e+30" in result.stderr


@pytest.mark.parametrize("out", [".", ".."])
def test_the_working_directory_is_no_output_of_export(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    """``--out .`` of a format is refused and leaves nothing."""
    assert call("run", folder, *SMALL, "--out", tmp_path / "run").exit_code == 0
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert call("export", tmp_path / "run", "--out", out).exit_code == 2
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["b"]


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (PermissionError(13, "Permission denied", "spots.csv"), 2),
        (OSError(36, "File name too long", "z" * 5000), 2),
        (OSError(28, "No space left on device"), 3),
        (OSError("Unable to synchronously open file (truncated file)"), 3),
        (EOFError("Compressed file ended"), 3),
        (RecursionError("maximum recursion depth exceeded"), 3),
        (json.JSONDecodeError("Expecting value", "{", 1), 3),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), 3),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), 2),
    ],
)
def test_errors_of_files_are_sentences(error: Exception, exit_code: int) -> None:
    """What the operating system or a decoder refuses is said in a line, with the exit code of its kind."""
    sentence, code = sentence_of(error) or ("", 1)
    assert code == exit_code
    assert len(sentence) < 400
    assert sentence.endswith(".")


def test_other_errors_are_no_fault_of_a_file() -> None:
    """An error of a program stays one."""
    assert sentence_of(ZeroDivisionError("division by zero")) is None


@pytest.mark.parametrize(
    "option",
    [
        "factors=99999999999999999999",
        "factors=0",
        "ranges_pitches=(1e300,)",
        "ranges_pitches=(1,float('nan'))",
    ],
)
def test_options_of_a_model_out_of_range_are_refused_before_the_fit(
    folder: Path, tmp_path: Path, option: str
) -> None:
    """A number that no array or section can have ends with 2 and leaves nothing."""
    result = call("run", folder, "--genes", "all", "--out", tmp_path / "out", "--set", option)
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_format_that_a_folder_does_not_have_is_refused(folder: Path) -> None:
    """A reader that is named for a folder of another format ends with 2 and a sentence."""
    result = call("run", folder, "--reader", "visium_hd")
    assert result.exit_code == 2
    assert "square_" in result.stderr
