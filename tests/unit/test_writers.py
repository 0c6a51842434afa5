"""What is written is what other tools open, and what comes back is what was written."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import scanpy
import squidpy

from histosge.datasets import synthetic
from histosge.errors import DataError, OutputError, UsageError
from histosge.io.writers import WriteOptions, geojson, h5ad
from histosge.io.writers import spatialdata as spatialdata_writer
from histosge.models.base import Block
from histosge.prediction.prediction import Prediction
from histosge.section.expression import log_cp10k
from histosge.section.locations import cells, upsampled

SECTION = synthetic(columns=8, rows=8, genes=12).section
PLACES = upsampled(SECTION, 4)
MEAN = np.random.default_rng(0).gamma(2.0, 1.0, (len(PLACES), 12)).astype(np.float32)
FACTS = {"seed": 3, "nothing": None, "list": [1, "two", None], "nested": {"a/b": 1.5}, "names": ["x", "y"]}
PREDICTION = Prediction(PLACES, SECTION.genes, MEAN, 0.1 + MEAN / 10, FACTS)


def blocks(order: list[int], size: int = 50) -> Iterator[Block]:
    pieces = np.array_split(np.arange(len(PLACES)), len(PLACES) // size)
    for index in order:
        yield pieces[index], MEAN[pieces[index]], None


def test_a_prediction_comes_back(tmp_path: Path) -> None:
    """Values, places, provenance: reading returns what was written, the hundredth time too."""
    found = h5ad.read(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    assert np.array_equal(found.mean, PREDICTION.mean)
    assert np.allclose(np.asarray(found.sd), np.asarray(PREDICTION.sd))
    assert found.provenance == FACTS == h5ad.provenance(tmp_path / "p.h5ad")
    for name in ("lattice_xy", "parent", "subspot", "observed", "in_tissue"):
        assert np.array_equal(getattr(found.locations, name), getattr(PLACES, name)), name
    assert np.array_equal(found.locations.xy, PLACES.xy)


def test_measured_values_are_beside_the_predicted_ones_and_never_in_their_place(tmp_path: Path) -> None:
    """X is the prediction everywhere; layers["measured"] what was measured, at measured spots and nowhere else."""
    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    assert np.array_equal(np.asarray(adata.X), MEAN)
    measured = adata.layers["measured"].toarray()
    assert np.allclose(measured[: len(SECTION)], log_cp10k(SECTION.counts).toarray(), atol=1e-6)
    assert not measured[len(SECTION) :].any()
    assert list(adata.obs["parent"][: len(SECTION)]) == list(SECTION.spots.ids)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_blocks_may_come_in_any_order(tmp_path: Path, order: list[int]) -> None:
    """Streaming writes the same file whatever the order of the blocks."""
    pieces = list(blocks(list(range(len(PLACES) // 50))))
    reordered = [pieces[index] for index in order] + pieces[3:]
    path = h5ad.stream(tmp_path / "p.h5ad", SECTION, PLACES, SECTION.genes, reordered, provenance={})
    assert np.array_equal(h5ad.read(path).mean, MEAN)
    assert [item.name for item in tmp_path.iterdir()] == ["p.h5ad"]


@pytest.mark.parametrize("fault", ["missing", "repeated", "nan"])
def test_blocks_that_are_wrong_leave_no_file(tmp_path: Path, fault: str) -> None:
    """Rows that are missing, repeated or not finite are refused, and nothing half-written stays."""
    pieces = list(blocks(list(range(len(PLACES) // 50))))
    if fault == "missing":
        pieces.pop()
    elif fault == "repeated":
        pieces.append(pieces[0])
    else:
        pieces[1] = (pieces[1][0], pieces[1][1] * np.float32("nan"), None)
    with pytest.raises(DataError):
        h5ad.stream(tmp_path / "p.h5ad", SECTION, PLACES, SECTION.genes, pieces, provenance={})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """When space runs out the sentence says so and the previous results stand."""
    path = h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION)
    before = path.read_bytes()

    def full() -> Iterator[Block]:
        yield next(blocks([0]))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="disk is full"):
        h5ad.stream(path, SECTION, PLACES, SECTION.genes, full(), provenance={})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_truncated_prediction_is_a_sentence(tmp_path: Path) -> None:
    """Reading what was cut off, or is missing, or is something else."""
    path = h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="truncated"):
        h5ad.read(path)
    with pytest.raises(UsageError, match="no file"):
        h5ad.read(tmp_path / "nothing.h5ad")
    anndata.AnnData(np.ones((2, 2))).write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(DataError, match="Predict again"):
        h5ad.read(tmp_path / "other.h5ad")


def test_scanpy_and_squidpy_work_on_it(tmp_path: Path) -> None:
    """Clustering, spatial graphs, autocorrelation and plots over the image, as users do them."""
    import matplotlib

    matplotlib.use("Agg")
    adata = scanpy.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    scanpy.pp.pca(adata, n_comps=5)
    scanpy.pp.neighbors(adata)
    squidpy.gr.spatial_neighbors(adata, n_neighs=6, coord_type="generic")
    squidpy.gr.spatial_autocorr(adata, mode="moran", n_perms=None, genes=list(adata.var_names[:3]))
    assert len(adata.uns["moranI"]) == 3
    squidpy.pl.spatial_scatter(adata, color=str(adata.var_names[0]), save=str(tmp_path / "map.png"))
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_qupath_gets_detections_in_pixels(tmp_path: Path) -> None:
    """GeoJSON: closed circles around the places in full-resolution pixels, measurements named for genes."""
    path = geojson.write(tmp_path / "p.geojson", SECTION, PREDICTION, WriteOptions(("TUMOUR1", "ZONE1")))
    content = json.loads(path.read_text())
    assert len(content["features"]) == len(PLACES)
    feature = content["features"][7]
    assert feature["properties"]["objectType"] == "detection"
    ring = np.array(feature["geometry"]["coordinates"][0])
    assert np.array_equal(ring[0], ring[-1])
    assert np.allclose(ring[:-1].mean(0) * SECTION.mpp, PLACES.xy[7], atol=0.05)
    column = int(np.flatnonzero(SECTION.genes == "ZONE1")[0])
    assert feature["properties"]["measurements"]["ZONE1"] == pytest.approx(float(MEAN[7, column]), abs=1e-4)
    with pytest.raises(UsageError, match="NoGene"):
        geojson.write(tmp_path / "q.geojson", SECTION, PREDICTION, WriteOptions(("NoGene",)))
    assert not (tmp_path / "q.geojson").exists()


def test_cells_are_points_in_geojson_and_small_circles_in_spatialdata(tmp_path: Path) -> None:
    """Places without extent have no circle to draw."""
    places = cells(SECTION, SECTION.spots.xy[:5] + 7.0, np.array([f"c{i}" for i in range(5)]))
    prediction = Prediction(places, SECTION.genes, MEAN[:5])
    path = geojson.write(tmp_path / "c.geojson", SECTION, prediction, WriteOptions(("ZONE1",)))
    assert json.loads(path.read_text())["features"][0]["geometry"]["type"] == "Point"
    spatialdata_writer.write(tmp_path / "c.zarr", SECTION, prediction)


def test_spatialdata_opens_what_was_written(tmp_path: Path) -> None:
    """Circles, table and image share one frame: a spot's colour in the image is the one under its circle."""
    import spatialdata

    store = spatialdata.read_zarr(spatialdata_writer.write(tmp_path / "p.zarr", SECTION, PREDICTION))
    assert np.array_equal(np.asarray(store["table"].X), MEAN)
    assert len(store["locations"]) == len(PLACES)
    extent: dict[str, Any] = spatialdata.get_extent(store["image"], coordinate_system="global")
    assert SECTION.slide is not None
    assert np.allclose([extent["x"][1], extent["y"][1]], SECTION.slide.size_um, atol=1.0)
    joined = spatialdata.get_values("ZONE1", element_name="locations", sdata=store, table_name="table")
    assert len(joined) == len(PLACES)


def test_sections_without_image_are_written_too(tmp_path: Path) -> None:
    """No image: no picture in the file, everything else as usual."""
    import spatialdata

    blind = replace(SECTION, slide=None)
    assert h5ad.read(h5ad.write(tmp_path / "p.h5ad", blind, PREDICTION)).mean.shape == MEAN.shape
    assert "image" not in spatialdata.read_zarr(
        spatialdata_writer.write(tmp_path / "p.zarr", blind, PREDICTION)
    )


def test_genes_of_another_section_are_refused(tmp_path: Path) -> None:
    """A prediction and a section that do not belong together make no file."""
    strange = replace(PREDICTION, genes=np.array([f"X{i}" for i in range(12)]))
    with pytest.raises(UsageError, match="X0"):
        h5ad.write(tmp_path / "p.h5ad", SECTION, strange)
    assert not list(tmp_path.iterdir())
