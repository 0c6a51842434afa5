"""From factors.h5ad alone, any genes reach other tools, and counts add up there."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from typer.testing import CliRunner

from histosge import Prediction, cells, conserve, grid, upsampled
from histosge.cli import commands
from histosge.datasets import synthetic
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points
from histosge.io.export import export
from histosge.io.layout.raster import Raster
from histosge.io.writers import WriteOptions, factors, omezarr
from histosge.prediction.count_allocation import Kind
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.expression import log_cp10k
from histosge.section.locations import Locations

TISSUE = synthetic(columns=10, rows=10, genes=30)
SECTION = TISSUE.section
PLACES = upsampled(SECTION, 4)
K = 4


def predicted(places: Locations, genes: int = 24) -> FactoredPrediction:
    rng = np.random.default_rng(0)
    draw = [rng.uniform(0.2, 1.5, genes).astype(np.float32) for _ in range(4)]
    basis = Basis(SECTION.genes[:genes], draw[0], rng.normal(size=(genes, K)).astype(np.float32), *draw[1:])
    # smooth fields, as fields are
    waves = np.column_stack([TISSUE.zone(places.xy), *(w(places.xy) for w in TISSUE.compartments)])
    sd = rng.uniform(0.1, 1.0, waves.shape)
    return FactoredPrediction(places, basis, waves.astype(np.float32), sd.astype(np.float16), {"seed": 1})


WHOLE = predicted(PLACES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    factors.write(folder / "factors.h5ad", SECTION, WHOLE)
    return folder


def test_h5ad_holds_the_genes_asked_for(run: Path, tmp_path: Path) -> None:
    """Predicted, measured and how sure, in the order asked for, as if the matrix had been there from the start."""
    result = export(run, tmp_path / "p.h5ad", genes="ZONE2,TUMOUR1")
    adata = anndata.read_h5ad(result.path)
    assert tuple(adata.var_names) == ("ZONE2", "TUMOUR1") == result.genes
    expected = WHOLE.whole(["ZONE2", "TUMOUR1"], observation=True)
    assert np.allclose(np.asarray(adata.X), expected.mean, atol=1e-6)
    assert np.allclose(np.asarray(adata.layers["sd"]), np.asarray(expected.sd), rtol=2e-3)
    columns = [int(np.flatnonzero(SECTION.genes == name)[0]) for name in result.genes]
    measured = log_cp10k(SECTION.counts)[:, columns].toarray()
    assert np.allclose(adata.layers["measured"].toarray()[: len(SECTION)], measured, atol=1e-6)
    assert adata.uns["histosge"]["seed"] == 1
    assert adata.uns["spatial"]["synthetic"]["images"]["hires"].ndim == 3


@pytest.mark.parametrize("kind", ["real", "rounded", "drawn"])
def test_conserved_counts_add_up_in_the_file(run: Path, tmp_path: Path, kind: Kind) -> None:
    """The layer holds what conserve() returns, and sums to the counts that were measured."""
    counts = export(run, tmp_path / "p.h5ad", conserve=kind, seed=3).conserved
    adata = anndata.read_h5ad(tmp_path / "p.h5ad")
    layer = adata.layers["conserved"].toarray()
    sums = np.zeros((len(SECTION), 24))
    np.add.at(sums, PLACES.parent, layer)
    assert np.allclose(sums, SECTION.counts[:, :24].toarray(), rtol=1e-9, atol=1e-12)
    assert np.allclose(layer, conserve(WHOLE, SECTION, kind=kind, seed=3).toarray())
    assert counts is not None
    assert counts.counts == SECTION.counts[:, :24].sum()
    assert counts.counts_without_location == 0


def test_spots_without_places_are_accounted_for(tmp_path: Path) -> None:
    """Where places cover a part of the tissue, what lies outside is counted and said."""
    part = predicted(PLACES.take(PLACES.xy[:, 0] < np.median(PLACES.xy[:, 0])))
    factors.write(tmp_path / "factors.h5ad", SECTION, part)
    counts = export(tmp_path, tmp_path / "p.h5ad", conserve="rounded").conserved
    assert counts is not None
    assert counts.counts > 0
    assert counts.counts_without_location > 0
    assert counts.counts + counts.counts_without_location == SECTION.counts[:, :24].sum()
    layer = anndata.read_h5ad(tmp_path / "p.h5ad").layers["conserved"]
    assert layer.sum() == counts.counts


def test_spatialdata_is_multiplied_out_while_it_is_written(run: Path, tmp_path: Path) -> None:
    """The table holds the matrix, made of pieces."""
    import spatialdata

    export(run, tmp_path / "p.zarr", to="spatialdata")
    table = spatialdata.read_zarr(tmp_path / "p.zarr")["table"]
    assert np.allclose(np.asarray(table.X), WHOLE.whole().mean, atol=1e-6)
    assert np.allclose(
        np.asarray(table.layers["sd"]), np.asarray(WHOLE.whole(observation=True).sd), rtol=2e-3
    )
    assert list(table.var_names) == list(WHOLE.genes)


def test_geojson_has_the_measurements(run: Path, tmp_path: Path) -> None:
    """One detection a place."""
    export(run, tmp_path / "p.geojson", genes="ZONE1", to="geojson")
    features = json.loads((tmp_path / "p.geojson").read_text())["features"]
    assert features[5]["properties"]["measurements"]["ZONE1"] == pytest.approx(
        WHOLE.gene("ZONE1")[5], abs=1e-3
    )


def image_of(path: Path) -> tuple[list[np.ndarray], dict]:
    nodes = list(Reader(parse_url(path))())
    return [np.asarray(level) for level in nodes[0].data], nodes[0].metadata


def test_omezarr_opens_in_micrometres(tmp_path: Path) -> None:
    """Read by ome-zarr: each place's value is where the scale says, channels are genes, contrast has a width."""
    places = grid(SECTION, 7.0)
    whole = predicted(places)
    factors.write(tmp_path / "factors.h5ad", SECTION, whole)
    export(tmp_path / "factors.h5ad", tmp_path / "p.ome.zarr", genes="ZONE1,TUMOUR2", to="omezarr")
    levels, about = image_of(tmp_path / "p.ome.zarr")
    assert about["channel_names"] == ["ZONE1", "TUMOUR2"]
    assert [axis["name"] for axis in about["axes"]] == ["c", "y", "x"]
    assert {axis.get("unit") for axis in about["axes"][1:]} == {"micrometer"}
    assert len(levels) > 2
    for level, moves in zip(levels, about["coordinateTransformations"], strict=True):
        scale, shift = np.array(moves[0]["scale"]), np.array(moves[1]["translation"])
        column, row = np.rint((places.xy - shift[:0:-1]) / scale[:0:-1]).astype(int).T
        for channel, gene in enumerate(about["channel_names"]):
            shown, values = level[channel, row, column], whole.gene(gene)
            # a pixel of a coarser level is the mean of its places, which are smooth
            error = np.abs(shown - values).max()
            assert error < 1e-6 if level is levels[0] else error < 0.12 * np.ptp(values) * len(levels)
            assert np.corrcoef(shown, values)[0, 1] > 0.97
    for channel, gene in enumerate(about["channel_names"]):
        low, high = about["contrast_limits"][channel]
        assert low < high <= whole.gene(gene).max()
    root = zarr.open_group(str(tmp_path / "p.ome.zarr"), mode="r")
    assert root.attrs["multiscales"][0]["version"] == "0.4"  # type: ignore[index,call-overload]


def test_the_edge_of_the_tissue_does_not_fade() -> None:
    """A gene that is the same everywhere is so at every level of the pyramid."""
    raster = Raster.of(grid(SECTION, 20.0), spacing_um=20.0)
    image, weight = raster.image(np.full(int(raster.row.max()) + 1, 3.0)), raster.shown
    for _ in range(4):
        image, weight = raster.halved(image, weight)
        assert np.allclose(image[weight > 0], 3.0)
        assert not image[weight == 0].any()


def test_labels_tell_the_places(run: Path, tmp_path: Path) -> None:
    """Label k is row k − 1 of the prediction, and every place of a lattice is seen."""
    export(run, tmp_path / "p.zarr", genes="ZONE1", to="omezarr")
    root = zarr.open_group(str(tmp_path / "p.zarr"), mode="r")
    labels, image = np.asarray(root["labels/locations/0"]), np.asarray(root["0"])[0]  # type: ignore[index]
    assert set(np.unique(labels)) == set(range(len(PLACES) + 1))
    assert np.allclose(image[labels > 0], WHOLE.gene("ZONE1")[labels[labels > 0] - 1], atol=1e-6)
    assert not image[labels == 0].any()
    # the middle of a place's pixels is the place
    raster = Raster.of(PLACES, spacing_um=1.0)
    row, column = np.nonzero(labels == 1 + 40)
    middle = raster.first_um + raster.pixel_um * np.array([column.mean(), row.mean()])
    assert np.linalg.norm(middle - PLACES.xy[40]) < raster.pixel_um


def test_cells_and_single_places_make_images_too(tmp_path: Path) -> None:
    """Places anywhere, one place alone, places on a line."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 500, (80, 2))
    for name, some in (
        ("cells", xy),
        ("one", xy[:1]),
        ("line", np.column_stack([np.arange(9) * 10.0, np.ones(9)])),
    ):
        places = cells(SECTION, some, np.array([f"c{i}" for i in range(len(some))]))
        prediction = Prediction(places, SECTION.genes[:1], np.ones((len(some), 1), np.float32))
        levels, _ = image_of(
            omezarr.write(tmp_path / name, SECTION, prediction, WriteOptions((str(SECTION.genes[0]),)))
        )
        assert levels[0].max() == 1.0


def test_bad_images_are_sentences(tmp_path: Path) -> None:
    """No genes, unknown ones, NaN, places too far apart for an image; and nothing half-written stays."""
    prediction = WHOLE.whole(["ZONE1"])
    with pytest.raises(UsageError, match="got none"):
        omezarr.write(tmp_path / "p", SECTION, prediction, WriteOptions(()))
    with pytest.raises(UsageError, match="TUMOUR1"):
        omezarr.write(tmp_path / "p", SECTION, prediction, WriteOptions(("TUMOUR1",)))
    broken = replace(prediction, mean=prediction.mean * np.float32("nan"))
    with pytest.raises(DataError, match="NaN"):
        omezarr.write(tmp_path / "p", SECTION, broken, WriteOptions(("ZONE1",)))
    far = Points(np.array([[0.0, 0.0], [1e-3, 0.0], [1e5, 1e5], [1e5 + 1e-3, 1e5]]), np.array(list("abcd")))
    places = cells(SECTION, far.xy, far.ids)
    with pytest.raises(UsageError, match="pixels"):
        omezarr.write(
            tmp_path / "p",
            SECTION,
            Prediction(places, prediction.genes, np.ones((4, 1))),
            WriteOptions(("ZONE1",)),
        )
    assert not list(tmp_path.iterdir())


def test_genes_come_from_files_too(run: Path, tmp_path: Path) -> None:
    """One name a line; those that were not predicted are named, and others of the section are no genes."""
    (tmp_path / "genes.txt").write_text("ZONE1\nFLAT1\nNoSuch\n")
    result = export(run, tmp_path / "p.h5ad", genes=str(tmp_path / "genes.txt"))
    assert sorted(result.genes) == ["FLAT1", "ZONE1"]
    assert result.missing_genes == ("NoSuch",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"genes": "ZONE"}, "Did you mean"),
        ({"genes": " , "}, "got none"),
        ({"to": "xls"}, "no writer named"),
        ({"to": "geojson", "conserve": "real"}, "Choose h5ad"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(run: Path, tmp_path: Path, options: dict, said: str) -> None:
    """Unknown genes and formats, counts in files that have no place for them."""
    with pytest.raises(UsageError, match=said):
        export(run, tmp_path / "p", **options)
    assert not list(tmp_path.iterdir())


def test_runs_without_factors_are_a_sentence(tmp_path: Path) -> None:
    """Missing folders, folders of other models, kinds of counts that are none."""
    with pytest.raises(UsageError, match="nothing at"):
        export(tmp_path / "nowhere", tmp_path / "p.h5ad")
    with pytest.raises(UsageError, match=r"has no factors\.h5ad"):
        export(tmp_path, tmp_path / "p.h5ad")
    with pytest.raises(UsageError, match="drawn"):
        export(tmp_path, tmp_path / "p.h5ad", conserve="integer")


def test_the_command_exports(run: Path, tmp_path: Path) -> None:
    """``histosge export``: lines for people, one JSON object for programs, sentences for mistakes."""
    runner = CliRunner()
    out = str(tmp_path / "p.h5ad")
    told = runner.invoke(
        commands(), ["export", str(run), "--out", out, "--genes", "ZONE1", "--conserve", "rounded"]
    )
    assert told.exit_code == 0, told.output
    assert "counts allocated" in told.output
    told = runner.invoke(commands(), ["export", str(run), "--out", out, "--genes", "ZONE1", "--json"])
    assert json.loads(told.stdout)["genes"] == ["ZONE1"]
    told = runner.invoke(commands(), ["export", str(run), "--out", out, "--genes", "ZONEX"])
    assert told.exit_code == 2
    assert "Did you mean" in told.output


@pytest.mark.slow
def test_streaming_needs_little_memory(tmp_path: Path) -> None:
    """2000 genes at 40 000 places, 320 MB as a matrix, are written to h5ad in a fraction of that."""
    section = synthetic(columns=60, rows=60, genes=2000).section
    places = grid(section, 25.0)
    rng = np.random.default_rng(0)
    ones = np.ones(2000, np.float32)
    basis = Basis(section.genes, ones, rng.normal(size=(2000, 5)).astype(np.float32), ones, ones, ones)
    whole = FactoredPrediction(places, basis, rng.normal(size=(len(places), 5)).astype(np.float32))
    factors.write(tmp_path / "factors.h5ad", section, whole)
    matrix = 4 * len(places) * 2000
    tracemalloc.start()
    export(tmp_path, tmp_path / "p.h5ad", conserve="rounded")
    assert tracemalloc.get_traced_memory()[1] < 0.6 * max(matrix, 3e8)
    tracemalloc.stop()
