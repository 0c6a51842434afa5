"""Every writer writes all or nothing, the same content each time, and what independent libraries read back."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import histosge as hs
from histosge._runtime import atomic_files
from histosge.errors import OutputError, UsageError
from histosge.io.writers import WRITERS, WriteOptions, base
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.locations import at_cells as locations_at_cells
from histosge.segmentation.cells import Cells
from histosge.testing.writer_properties import WRITER_PROPERTIES, WriterCase, content

SECTION = hs.synthetic(columns=8, rows=8, genes=12).section
LOCATIONS = hs.upsampled(SECTION, 4)
GENES = ("ZONE1", "TUMOUR1")
OPTIONS = WriteOptions(GENES)
NAMES = sorted(WRITERS)


def factored() -> FactoredPrediction:
    """Return a prediction of all genes by three factors."""
    rng = np.random.default_rng(0)
    offset, noise_sd, calibration, r_loo = (rng.uniform(0.5, 1.5, 12).astype(np.float32) for _ in range(4))
    loadings = rng.normal(size=(12, 3)).astype(np.float32)
    basis = Basis(SECTION.genes, offset, loadings, noise_sd, calibration, r_loo)
    scores = rng.normal(size=(len(LOCATIONS), 3)).astype(np.float32)
    return FactoredPrediction(LOCATIONS, basis, scores, np.full_like(scores, 0.5), {"seed": 1})


def at_cells() -> FactoredPrediction:
    """Return the same scores at cells with outlines, for formats that hold nothing else."""
    import shapely

    ids = np.array([f"cell {row}" for row in range(len(LOCATIONS))])
    squares = shapely.buffer(shapely.points(LOCATIONS.xy), 5.0)
    cells = Cells(ids, LOCATIONS.xy, outlines=squares)
    return replace(FACTORED, locations=locations_at_cells(SECTION, cells))


FACTORED = factored()
MEAN = FACTORED.whole(GENES).mean
CELLS = at_cells()


def prediction_for(writer: base.Writer) -> FactoredPrediction:
    """Return a prediction at locations that a format holds."""
    return FACTORED if writer.refuse is None else CELLS


@pytest.fixture(params=NAMES)
def writer(request: pytest.FixtureRequest) -> base.Writer:
    """Return each writer in turn."""
    return WRITERS[request.param]


def by_anndata(path: Path) -> np.ndarray:
    """Return X of an AnnData file."""
    import anndata

    adata = anndata.read_h5ad(path)
    assert tuple(adata.var_names) == GENES
    return np.asarray(adata.X)


def by_equation(path: Path) -> np.ndarray:
    """Return genes as offset + scores · loadings, as the file's own legend says."""
    import anndata

    adata = anndata.read_h5ad(path)
    assert tuple(adata.var_names) == GENES
    mean = adata.var["offset"].to_numpy() + adata.obsm["factor_scores"] @ adata.varm["loadings"].T
    return np.maximum(mean, 0.0)


def by_json(path: Path) -> np.ndarray:
    """Return the measurements of the features."""
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    return np.array([[feature["properties"]["measurements"][gene] for gene in GENES] for feature in features])


def by_spatialdata(path: Path) -> np.ndarray:
    """Return X of the table of a store."""
    import spatialdata

    table = spatialdata.read_zarr(path)["table"]
    assert tuple(table.var_names) == GENES
    return np.asarray(table.X)


def by_zarr(path: Path) -> np.ndarray:
    """Return the channels at the pixels that carry each location's label."""
    import zarr

    image = np.asarray(zarr.open_array(str(path / "0"), mode="r"))
    labels = np.asarray(zarr.open_array(str(path / "labels" / "locations" / "0"), mode="r"))
    first = [np.argwhere(labels == row + 1)[0] for row in range(len(LOCATIONS))]
    return np.array([image[:, y, x] for y, x in first])


def by_scanpy(path: Path) -> np.ndarray:
    """Return the counts of a folder as scanpy reads them."""
    import scanpy

    adata = scanpy.read_10x_h5(path / "filtered_feature_cell_matrix.h5")
    assert tuple(adata.var_names) == GENES
    return adata.X.toarray()


READ_BACK = {
    "h5ad": by_anndata,
    "factors": by_equation,
    "geojson": by_json,
    "spatialdata": by_spatialdata,
    "omezarr": by_zarr,
    "spaceranger_cells": by_scanpy,
}


def expected(writer: base.Writer, prediction: hs.Prediction | FactoredPrediction = CELLS) -> np.ndarray:
    """Return the values of the chosen genes, or their counts in formats of counts alone."""
    if writer.name != "spaceranger_cells":
        return MEAN
    return hs.conserve_cells(OPTIONS.select(prediction), SECTION, kind="rounded")[0].toarray()


def test_every_format_of_the_package_is_read_back() -> None:
    """A new writer needs a reader of another library in this file."""
    own = {name for name, entry in WRITERS.items() if entry.write.__module__.startswith("histosge.")}
    assert own == set(READ_BACK)


def test_values_are_read_back_by_another_library(writer: base.Writer, tmp_path: Path) -> None:
    """The chosen genes, in their order, at all locations."""
    path = writer.write(tmp_path / writer.filename, SECTION, prediction_for(writer), OPTIONS)
    assert path.is_dir() == (writer.kind == "folder")
    assert path.name.endswith(writer.suffix)
    assert np.allclose(READ_BACK[writer.name](path), expected(writer), atol=1e-4)


def test_a_matrix_is_written_as_factors_are(writer: base.Writer, tmp_path: Path) -> None:
    """A prediction in memory gives the same values; only the format factors refuses it, with a sentence."""
    matrix = prediction_for(writer).whole()
    if writer.name == "factors":
        with pytest.raises(UsageError, match="Choose h5ad"):
            writer.write(tmp_path / "p", SECTION, matrix, OPTIONS)
        return
    path = writer.write(tmp_path / writer.filename, SECTION, matrix, OPTIONS)
    assert np.allclose(READ_BACK[writer.name](path), expected(writer, matrix), atol=1e-4)


@pytest.mark.parametrize("check", WRITER_PROPERTIES)
def test_a_writer_has_the_properties_that_plug_ins_are_held_to(writer: base.Writer, check: str) -> None:
    """Whole files, equal bytes, full disks and unknown genes: the checks of `histosge.testing`."""
    WRITER_PROPERTIES[check](WriterCase(writer, SECTION, prediction_for(writer), GENES))


def test_a_disk_that_fills_at_the_last_step_leaves_the_previous_content(
    writer: base.Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous file or folder is put back, and the error is one sentence."""
    path = writer.write(tmp_path / "p", SECTION, prediction_for(writer), OPTIONS)
    before = content(path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_files, "os", SimpleNamespace(**{**vars(os), "replace": full}))
    with pytest.raises(OutputError, match="disk is full"):
        writer.write(path, SECTION, prediction_for(writer), OPTIONS)
    assert content(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_nothing(
    writer: base.Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens before the last step, no file appears."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic_files, "os", SimpleNamespace(**{**vars(os), "replace": interrupted}))
    with pytest.raises(KeyboardInterrupt):
        writer.write(tmp_path / "p", SECTION, prediction_for(writer), OPTIONS)
    assert not list(tmp_path.iterdir())


def test_unknown_genes_are_refused_with_near_misses(writer: base.Writer, tmp_path: Path) -> None:
    """A mistyped gene is named, and similar names are offered; nothing is written."""
    with pytest.raises(UsageError, match=r"'ZONE' is not among .* Did you mean"):
        writer.write(tmp_path / "p", SECTION, prediction_for(writer), WriteOptions(("ZONE",)))
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_extra(
    writer: base.Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence has the command that installs what a format needs; most formats need nothing."""
    monkeypatch.setattr(base, "find_spec", lambda _: None)
    if writer.package is None:
        writer.require()
        return
    with pytest.raises(UsageError, match=r"pip install 'histosge\[\w+\]'$"):
        writer.require()


def test_one_table_serves_run_export_help_and_list() -> None:
    """The command line knows exactly the formats of the registry."""
    from typer.testing import CliRunner

    from histosge.cli import commands
    from histosge.workflow.outputs import Outputs

    runner = CliRunner()
    for arguments in (["export", "--help"], ["run", "--help"], ["list", "writers"]):
        text = runner.invoke(commands(), arguments, env={"COLUMNS": "400"}).output
        assert all(name in text for name in WRITERS), arguments
    assert Outputs(also=tuple(WRITERS)).also == tuple(WRITERS)
    with pytest.raises(UsageError, match="no writer named"):
        Outputs(also=("xlsx",))
