"""A section of which there is an image and nothing else, from the command line to its report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import histosge as hs
from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.io.writers import factors
from histosge.metrics.pearson import pearson

GENES, MPP = 30, 2.0
TISSUE = synthetic(columns=12, rows=14, genes=GENES)


def call(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


def output_of(result: Any) -> str:
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sections with counts, and the image of a third one, and a slide without tissue."""
    path = tmp_path_factory.mktemp("sections")
    for name, seed in (("one", 1), ("two", 2)):
        write_spaceranger(synthetic(columns=12, rows=14, genes=GENES, seed=seed).section, path / name)
    slide = TISSUE.section.slide
    assert slide is not None
    rgb = slide.thumbnail(MPP)
    Image.fromarray(rgb).save(path / "third.png")
    Image.new("RGB", (1500, 1500), (242, 240, 241)).save(path / "glass.png")
    return path


@pytest.fixture(scope="module")
def out(room: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run on the image wrote, at a grid, with a report."""
    path = tmp_path_factory.mktemp("results")
    words = ("--mpp", MPP, "--with", room / "one", "--with", room / "two", "--genes", "all")
    result = call("run", room / "third.png", *words, "--spacing-um", 50, "--out", path)
    assert result.exit_code == 0, result.output
    assert (
        "nothing measured in this section: predicted from its H&E image, with a fit to one, two"
        in output_of(result)
    )
    assert call("report", path).exit_code == 0
    return path


def test_an_image_is_predicted_with_a_fit_to_other_sections(out: Path) -> None:
    """The maps follow the truth, of which no count was read, at every location of the grid."""
    prediction = factors.read(out / "factors.h5ad")
    assert len(prediction) > 300
    inside = TISSUE.section.spots.xy.min(0), TISSUE.section.spots.xy.max(0)
    xy = prediction.locations.xy
    rows = np.flatnonzero(((xy > inside[0]) & (xy < inside[1])).all(axis=1))
    column = {str(name): index for index, name in enumerate(TISSUE.section.genes)}
    truth = TISSUE.truth(xy[rows])[:, [column[str(name)] for name in prediction.genes]]
    means = prediction.means(np.arange(len(prediction.genes)))[rows]
    kinds = ("TUMOUR", "STROMA", "IMMUNE")
    driven = [index for index, name in enumerate(prediction.genes) if str(name).startswith(kinds)]
    assert np.mean(pearson(truth[:, driven], means[:, driven].astype(float))) > 0.35


def test_all_files_say_that_nothing_was_measured(out: Path) -> None:
    """Record, tables and report: no spot, no measured value, no parent, and where it was learnt."""
    record = json.loads((out / "run.json").read_text())
    assert record["section"]["measured"] is False
    assert (record["section"]["spots"], record["section"]["genes"]) == (0, 0)
    assert record["basis"].startswith("nothing measured in this section")
    assert [section["name"] for section in record["auxiliary"]] == ["one", "two"]
    for name in ("prediction.h5ad", "factors.h5ad"):
        adata = anndata.read_h5ad(out / name)
        assert not adata.obs["observed"].astype(bool).any()
        assert adata.obs["parent"].isna().all()
        assert adata.uns["histosge"]["basis"] == record["basis"]
    assert anndata.read_h5ad(out / "prediction.h5ad").layers["measured"].nnz == 0
    var = anndata.read_h5ad(out / "factors.h5ad").var
    moving = var["from_auxiliary"] > 0
    assert np.allclose(var.loc[moving, "from_auxiliary"], 1.0)
    assert moving.any()
    page = (out / "report.html").read_text()
    assert "<dd>H&amp;E image only</dd>" in page
    assert "Measured: nothing in this section." in page
    assert "by a model fitted to the sections one, two" in page
    assert "spots measured" not in page.split("<script")[0]
    kept = factors.section(out / "factors.h5ad")
    assert not kept.has_counts
    assert (out / "figures" / "section.png").stat().st_size > 10_000
    assert (out / "figures" / "markers.png").stat().st_size > 10_000


def test_genes_say_how_they_fare_in_sections_left_out(out: Path, room: Path, tmp_path: Path) -> None:
    """r_loo is that of each section predicted from the other, in table, record, page and words; kept with the fit."""
    skill = anndata.read_h5ad(out / "factors.h5ad").var["r_loo"]
    record = json.loads((out / "run.json").read_text())["leave_one_section_out"]
    assert record["sections"] == 2
    assert record["r"] == pytest.approx(float(skill.mean()), abs=1e-6)
    # levels of the synthetic sections differ, which no image shows
    assert record["coverage"] < 0.6
    flat = skill.index.str.startswith("FLAT")
    assert skill[~flat].mean() > 0.4
    assert skill[flat].abs().max() < 0.25
    page = (out / "report.html").read_text()
    assert "Each measured section was left out and predicted from its image" in page
    assert "This section was not among them." in page
    words = ("--mpp", MPP, "--fit", out, "--spacing-um", 100, "--no-figures", "--out", tmp_path)
    result = call("predict", room / "third.png", *words)
    assert "each of the 2 sections predicted from the others: mean correlation" in output_of(result)
    assert np.array_equal(anndata.read_h5ad(tmp_path / "factors.h5ad").var["r_loo"], skill)


def test_a_single_auxiliary_section_has_no_cross_validation(room: Path, tmp_path: Path) -> None:
    """Where a single section is fitted none can be left out: r_loo is unknown, and the page says how to measure it."""
    words = ("--mpp", MPP, "--with", room / "one", "--genes", "all", "--no-figures", "--out", tmp_path)
    assert call("run", room / "third.png", *words).exit_code == 0
    assert anndata.read_h5ad(tmp_path / "factors.h5ad").var["r_loo"].isna().all()
    assert json.loads((tmp_path / "run.json").read_text())["leave_one_section_out"] is None
    assert call("report", tmp_path).exit_code == 0
    assert "with two or more `--with`" in (tmp_path / "report.html").read_text()


def test_the_report_takes_the_image_itself(out: Path, room: Path) -> None:
    """``--section IMAGE`` adds its own resolution; another image is refused."""
    result = call("report", out, "--section", room / "third.png", "--mpp", MPP)
    assert result.exit_code == 0, result.output
    assert "Measured: nothing in this section." in (out / "report.html").read_text()
    result = call("report", out, "--section", room / "third.png", "--mpp", 2 * MPP)
    assert result.exit_code == 2
    assert "other data or another image than section" in output_of(result)


def test_reading_the_files_again_gives_the_locations(out: Path) -> None:
    """Locations come back where they were, without a parent spot."""
    locations = factors.read(out / "factors.h5ad").locations
    assert (locations.parent == -1).all()
    assert not locations.observed.any()
    assert np.array_equal(locations.xy, anndata.read_h5ad(out / "prediction.h5ad").obsm["spatial_um"])


def test_a_fit_kept_before_predicts_it_to_the_same_bits(out: Path, room: Path, tmp_path: Path) -> None:
    """``histosge predict`` with a folder of a fit needs no auxiliary section, and predicts what ``run`` did."""
    fit = call("fit", room / "one", "--with", room / "two", "--genes", "all", "--out", tmp_path)
    assert fit.exit_code == 0, fit.output
    words = ("--mpp", MPP, "--fit", tmp_path, "--spacing-um", 50, "--no-figures", "--out", tmp_path / "there")
    result = call("predict", room / "third.png", *words)
    assert result.exit_code == 0, result.output
    first, second = (anndata.read_h5ad(path / "prediction.h5ad") for path in (out, tmp_path / "there"))
    assert np.array_equal(np.asarray(first.X), np.asarray(second.X))
    # accuracy is known where sections were left out in turn, as the run did and the fit did not
    assert first.var["gene_ids"].equals(second.var["gene_ids"])
    assert np.isfinite(first.var["r_loo"]).any()
    assert second.var["r_loo"].isna().all()
    assert json.loads((tmp_path / "there" / "run.json").read_text())["auxiliary"] == [
        *json.loads((out / "run.json").read_text())["auxiliary"]
    ]
    # the fitted section is still predicted from its own spots
    own = call("predict", room / "one", "--fit", tmp_path, "--upsample", 1, "--no-figures", "--out", tmp_path)
    assert own.exit_code == 0, own.output
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["section"]["measured"] is True
    assert [section["name"] for section in record["auxiliary"]] == ["two"]


def test_models_without_factors_predict_an_image_too(room: Path, tmp_path: Path) -> None:
    """By default a grid of 100 µm; cells where they are given; a report with both."""
    words = ("--mpp", MPP, "--with", room / "one", "--genes", "hvg:10", "--model", "ridge", "--no-figures")
    result = call("run", room / "third.png", *words, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    adata = anndata.read_h5ad(tmp_path / "prediction.h5ad")
    gaps = np.diff(np.unique(adata.obsm["spatial_um"][:, 0]))
    assert np.allclose(gaps, 100.0)
    assert np.isfinite(np.asarray(adata.X)).all()
    assert np.asarray(adata.X).std(axis=0).max() > 0.05
    assert call("report", tmp_path).exit_code == 0
    assert "Measured: nothing in this section." in (tmp_path / "report.html").read_text()
    cells = tmp_path / "cells.csv"
    cells.write_text("id,x_um,y_um\na,500,500\nb,620,510\n")
    result = call("run", room / "third.png", *words, "--cells", cells, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert list(anndata.read_h5ad(tmp_path / "prediction.h5ad").obs_names) == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("run", "third.png", "--with", "one"), 2, "Give it as --mpp"),
        (("run", "third.png", "--mpp", "2"), 2, "Give sections of similar tissue as"),
        (
            ("run", "third.png", "--mpp", "2", "--with", "one", "--upsample", "4"),
            2,
            "an image without spots to upsample. Use --spacing-um",
        ),
        (
            ("run", "third.png", "--mpp", "2", "--with", "one", "--model", "kriging"),
            2,
            "Choose a model that reads the image",
        ),
        (
            ("run", "third.png", "--mpp", "2", "--with", "one", "--preset", "positions"),
            2,
            "Choose a model that reads the image",
        ),
        (("run", "third.png", "--mpp", "-2", "--with", "one"), 2, "mpp must be positive"),
        (("run", "third.png", "--mpp", "200", "--with", "one"), 3, "a glass slide is 25 × 75 mm"),
        (("run", "glass.png", "--mpp", "2", "--with", "one"), 3, "Expected tissue in the image 'glass'"),
        (
            ("run", "third.png", "--mpp", "2", "--with", "one", "--image", "third.png"),
            2,
            "an image itself",
        ),
        (("fit", "third.png", "--mpp", "2"), 2, "Section 'third' has no counts to fit"),
        (("evaluate", "third.png", "--mpp", "2"), 2, "Section 'third' has no counts to fit"),
        (("predict", "third.png", "--mpp", "2", "--fit", "one"), 2, "Fit a section first"),
        (("run", "third.png", "--mpp", "2", "--with", "one", "--show", "NONE"), 2, "'NONE' is not among"),
    ],
)
def test_wrong_input_is_a_sentence(
    room: Path, tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    """Wrong input ends with a sentence and its exit code, and leaves no prediction."""
    paths = ("third.png", "glass.png", "one")
    result = call(*(room / word if word in paths else word for word in words), "--out", tmp_path)
    assert result.exit_code == code, result.output
    assert sentence in output_of(result)
    assert not (tmp_path / "prediction.h5ad").exists()


def test_a_fit_of_positions_or_a_damaged_fit_does_not_predict_an_image(room: Path, tmp_path: Path) -> None:
    """A fit of positions alone, and one without its description, are refused in a sentence each."""
    words = ("--genes", "hvg:10", "--out", tmp_path)
    assert call("fit", room / "one", "--preset", "positions", *words).exit_code == 0
    there = ("predict", room / "third.png", "--mpp", MPP, "--fit", tmp_path, "--out", tmp_path / "there")
    result = call(*there)
    assert result.exit_code == 2
    assert "Choose a model that reads the image" in output_of(result)
    (tmp_path / "fit" / "fit.json").unlink()
    result = call(*there)
    assert result.exit_code == 2
    assert "Fit a section first" in output_of(result)
    (tmp_path / "fit" / "fit.json").write_text("{")
    result = call(*there)
    assert result.exit_code == 3
    assert "damaged" in output_of(result)


def test_counts_that_are_not_there_are_not_shared_out(out: Path, tmp_path: Path) -> None:
    """Export writes predicted genes as ever, and refuses counts that add up to nothing."""
    assert (
        call("export", out, "--genes", "all", "--to", "h5ad", "--out", tmp_path / "all.h5ad").exit_code == 0
    )
    assert not anndata.read_h5ad(tmp_path / "all.h5ad").obs["observed"].astype(bool).any()
    result = call("export", out, "--genes", "all", "--conserve", "real", "--out", tmp_path / "counts.h5ad")
    assert result.exit_code == 2
    assert "no measured counts" in output_of(result)


def test_the_same_from_python(room: Path) -> None:
    """``hs.read`` takes the image, and ``hs.predict_from_image`` its locations; counts make a section measured."""
    section = hs.read(room / "third.png", mpp=MPP)
    assert not section.has_counts
    assert "Nothing was measured" in section.messages[0].text
    fitted = hs.fit(hs.read(room / "one"), hs.Recipe(genes="hvg:10"))
    locations = hs.grid(section, 60.0)
    prediction = hs.predict_from_image(fitted, section, locations)
    assert prediction.mean.shape == (len(locations), 10)
    assert np.array_equal(prediction.locations.xy, locations.xy)
    assert TISSUE.section.has_counts
    assert not replace(TISSUE.section, counts=TISSUE.section.counts * 0).has_counts
