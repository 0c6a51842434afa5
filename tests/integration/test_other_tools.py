"""QuPath, GeoPandas, SpatialData, napari, Squidpy and others read the written files with positions and values."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen
from uuid import UUID

import numpy as np
import pytest

import histosge as hs
from histosge.geometry.polygons import read_polygons
from histosge.io.writers import WriteOptions, geojson, h5ad
from histosge.io.writers import spatialdata as store_writer
from histosge.prediction.prediction import Prediction
from histosge.segmentation.sources import CellOptions, read_cells

SECTION = hs.synthetic(columns=10, rows=10, genes=12).section
LOCATIONS = hs.upsampled(SECTION, 4)
MEAN = np.random.default_rng(0).gamma(2.0, 1.0, (len(LOCATIONS), 12)).astype(np.float32)
PREDICTION = Prediction(LOCATIONS, SECTION.genes, MEAN, None, {"seed": 0})
GENES = ["TUMOUR1", "ZONE1"]
# what QuPath 0.4 and later read of a feature (qupath-core, QuPathTypeAdapters)
KNOWN_PROPERTIES = {"objectType", "name", "color", "classification", "isLocked", "measurements", "metadata"}


@pytest.fixture(scope="module")
def qupath(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file for QuPath."""
    path = tmp_path_factory.mktemp("qupath") / "prediction.geojson"
    return geojson.write(path, SECTION, PREDICTION, WriteOptions(tuple(GENES)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the SpatialData store."""
    return store_writer.write(tmp_path_factory.mktemp("store") / "prediction.zarr", SECTION, PREDICTION)


def test_features_are_what_qupath_reads(qupath: Path) -> None:
    """Features are detections with a UUID, a class and measurements, and no property unknown to QuPath."""
    content = json.loads(qupath.read_text())
    assert set(content) == {"type", "features"}
    assert content["type"] == "FeatureCollection"
    for feature in content["features"]:
        properties = feature["properties"]
        assert feature["type"] == "Feature"
        assert str(UUID(feature["id"])) == feature["id"]
        assert set(properties) <= KNOWN_PROPERTIES
        assert properties["objectType"] == "detection"
        assert all(0 <= part <= 255 for part in properties["classification"]["color"])
        assert list(properties["measurements"]) == GENES
        assert all(isinstance(value, float) for value in properties["measurements"].values())
    classes = [feature["properties"]["classification"]["name"] for feature in content["features"]]
    assert classes.count("measured spot") == int(LOCATIONS.observed.sum()) == len(SECTION)


def test_objects_keep_their_identity(qupath: Path, tmp_path: Path) -> None:
    """Each location has the same UUID in every export; cells from QuPath keep theirs."""
    ids = [feature["id"] for feature in json.loads(qupath.read_text())["features"]]
    assert len(set(ids)) == len(ids)
    few = geojson.write(
        tmp_path / "few.geojson", SECTION, PREDICTION.take(np.array([7, 3])), WriteOptions(("ZONE1",))
    )
    assert [feature["id"] for feature in json.loads(few.read_text())["features"]] == [ids[7], ids[3]]
    cells = np.array(["49069bbb-a0ac-4343-96fe-15af45c30634", "cell_1"])
    locations = hs.at_cells(SECTION, hs.Cells(cells, SECTION.spots.xy[:2]))
    prediction = Prediction(locations, SECTION.genes, MEAN[:2])
    path = geojson.write(tmp_path / "cells.geojson", SECTION, prediction, WriteOptions(("ZONE1",)))
    first, second = json.loads(path.read_text())["features"]
    assert first["id"] == cells[0]
    assert UUID(second["id"])


def test_geometries_are_closed_disks_in_pixels(qupath: Path) -> None:
    """GeoPandas reads valid, counter-clockwise, closed rings with the bounding box of the circle."""
    import geopandas
    import shapely

    frame = geopandas.read_file(qupath)
    assert len(frame) == len(LOCATIONS)
    assert frame.geometry.is_valid.all()
    assert frame.geometry.exterior.is_closed.all()
    assert shapely.is_ccw(frame.geometry.exterior).all()
    assert all(feature["geometry"]["isEllipse"] for feature in json.loads(qupath.read_text())["features"])
    box = frame.geometry.bounds.to_numpy()
    diameter_px = LOCATIONS.points.diameter_um / SECTION.mpp
    assert np.allclose(box[:, 2:] - box[:, :2], diameter_px, atol=0.02)
    assert np.allclose((box[:, 2:] + box[:, :2]) / 2, LOCATIONS.xy / SECTION.mpp, atol=0.02)


def test_our_own_readers_take_what_was_written_for_qupath(qupath: Path) -> None:
    """Our readers of cells and regions return the same positions in µm."""
    cells = read_cells(qupath, CellOptions(SECTION.mpp))
    ids, xy_um = cells.ids, cells.xy_um
    assert len(ids) == len(LOCATIONS)
    assert np.allclose(xy_um, LOCATIONS.xy, atol=0.01)
    names = [region.name for region in read_polygons(qupath, mpp=SECTION.mpp)]
    assert names == [str(name) for name in LOCATIONS.points.ids]


@pytest.mark.parametrize(("system", "unit_um"), [("global", 1.0), ("fullres_px", SECTION.mpp)])
def test_spatialdata_has_everything_in_both_frames(store: Path, system: str, unit_um: float) -> None:
    """Circles and image have their positions in µm and in full-resolution pixels."""
    import spatialdata

    data = spatialdata.read_zarr(store)
    circles = spatialdata.transform(data["locations"], to_coordinate_system=system)
    xy = np.column_stack([circles.geometry.x, circles.geometry.y])
    assert np.allclose(xy * unit_um, LOCATIONS.xy)
    assert np.allclose(circles["radius"] * 2 * unit_um, LOCATIONS.points.diameter_um)
    assert SECTION.slide is not None
    extent: dict[str, Any] = spatialdata.get_extent(data["image"], coordinate_system=system)
    size_um = np.array([extent["x"][1], extent["y"][1]]) * unit_um
    assert np.allclose(size_um, SECTION.slide.size_um, atol=1.0)


def test_spatialdata_queries_and_joins(store: Path) -> None:
    """A bounding-box query in µm returns the image, circles and rows of the table inside."""
    import spatialdata

    data = spatialdata.read_zarr(store)
    low, high = np.array([300.0, 300.0]), np.array([700.0, 600.0])
    part = data.query.bounding_box(
        axes=("x", "y"), min_coordinate=low, max_coordinate=high, target_coordinate_system="global"
    )
    inside = ((LOCATIONS.xy > low) & (LOCATIONS.xy < high)).all(axis=1)
    assert set(LOCATIONS.points.ids[inside]) <= set(part["table"].obs["location_id"])
    # circles that only touch the box are cut out too, so there may be a rim
    assert inside.sum() <= len(part["locations"]) == part["table"].n_obs < 2 * inside.sum()
    values = spatialdata.get_values("ZONE1", element_name="locations", sdata=data, table_name="table")
    column = int(np.flatnonzero(SECTION.genes == "ZONE1")[0])
    assert np.array_equal(values.loc[LOCATIONS.points.ids, "ZONE1"].to_numpy(), MEAN[:, column])


def test_two_frames_do_not_mislead_the_reader(store: Path, tmp_path: Path) -> None:
    """`histosge.read` returns the positions of such a store in µm, not in pixels."""
    import spatialdata

    with pytest.raises(hs.DataError, match="got a prediction of histosge"):
        hs.read(store, mpp=1.0)
    data = spatialdata.read_zarr(store)
    data["table"].X = np.rint(100 * np.asarray(data["table"].X))
    # a prediction is refused as a section: this is a table of another tool
    data["table"].layers.clear()
    del data["table"].uns["histosge"]
    # subspots have fractions of the array's columns and rows, which no section has
    data["table"].obs = data["table"].obs.drop(columns=["array_col", "array_row"])
    data.write(tmp_path / "counts.zarr")
    found = hs.read(tmp_path / "counts.zarr", mpp=1.0)
    by_name = np.argsort(LOCATIONS.points.ids)
    assert np.array_equal(found.spots.ids, LOCATIONS.points.ids[by_name])
    assert np.allclose(found.spots.xy, LOCATIONS.xy[by_name], atol=0.01)
    assert found.slide is not None
    assert np.allclose(found.slide.size_um, SECTION.slide.size_um if SECTION.slide else 0, atol=2.0)


_NAPARI = """
import sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, spatialdata
from napari_spatialdata import Interactive
from napari_spatialdata._widgets import AListWidget
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

viewer = Interactive(spatialdata.read_zarr(sys.argv[1]), headless=True)
viewer.switch_coordinate_system("global")
for name in ("image", "locations"):
    viewer.add_element(name, "global")
    until = time.monotonic() + 60
    while viewer.get_layer(name) is None and time.monotonic() < until:
        QApplication.processEvents()
locations, image = viewer.get_layer("locations"), viewer.get_layer("image")
rows_and_columns = np.array([locations.data_to_world(point) for point in locations.data])
table = locations.metadata["adata"]
(genes,) = [box for box in QApplication.allWidgets() if isinstance(box, AListWidget) and box._attr == "var"]
QTest.keyClicks(genes, "zone1")
QTest.keyClick(genes, Qt.Key_Return)
QApplication.processEvents()
np.savez(sys.argv[2], xy=rows_and_columns[:, ::-1], far=image.extent.world[1][::-1], rows=table.n_obs,
         colours=viewer.get_layer("locations").face_color)
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("napari_spatialdata") is None, reason="pip install 'histosge[napari]'")
def test_napari_shows_the_store(store: Path, tmp_path: Path) -> None:
    """napari-spatialdata makes layers of image and locations in µm; typing a gene's name and ↵ colours them by it."""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", _NAPARI, str(store), str(tmp_path / "seen.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (tmp_path / "seen.npz").exists(), done.stderr[-2000:]
    seen = np.load(tmp_path / "seen.npz")
    assert np.allclose(seen["xy"], LOCATIONS.xy)
    assert SECTION.slide is not None
    assert np.allclose(seen["far"], SECTION.slide.size_um, atol=10.0)
    assert seen["rows"] == len(LOCATIONS)
    # the green of viridis grows with the value
    values = MEAN[:, int(np.flatnonzero(SECTION.genes == "ZONE1")[0])]
    green = seen["colours"][np.argsort(values, kind="stable"), 1]
    assert (np.diff(green) >= -1e-6).all()
    assert green[-1] > green[0]


@pytest.mark.slow
def test_cellxgene_serves_positions_and_a_gene(tmp_path: Path) -> None:
    """`cellxgene launch` takes the file as it is, shows `spatial`, and sends the predicted values of a gene."""
    command = os.environ.get("HISTOSGE_CELLXGENE") or shutil.which("cellxgene")
    if command is None:
        pytest.skip("in an environment of its own: pip install cellxgene; then set HISTOSGE_CELLXGENE")
    path = h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/api/v0.2"
    options = [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--disable-annotations",
        "--disable-gene-sets-save",
    ]
    with (tmp_path / "printed.txt").open("w") as log:
        server = subprocess.Popen([command, "launch", str(path), *options], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 180
        while True:
            try:
                schema = json.loads(urlopen(f"{address}/schema").read())["schema"]
                break
            except URLError:
                assert server.poll() is None, (tmp_path / "printed.txt").read_text()
                assert time.monotonic() < until
                time.sleep(0.5)
        index = schema["annotations"]["var"]["index"]
        # as browsers ask: cellxgene 1.3 fails to send what is not compressed
        headers = {"Accept": "application/octet-stream", "Accept-Encoding": "gzip"}
        sent = urlopen(Request(f"{address}/data/var?var:{index}=ZONE1", headers=headers)).read()
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert [layout["name"] for layout in schema["layout"]["obs"]] == ["spatial"]
    assert schema["dataframe"]["nObs"] == len(LOCATIONS)
    values = MEAN[:, int(np.flatnonzero(SECTION.genes == "ZONE1")[0])]
    assert values.astype("<f4").tobytes() in gzip.decompress(sent)


def test_squidpy_draws_each_location_on_its_tissue(tmp_path: Path) -> None:
    """`spatial_scatter` draws one circle a location, of its diameter, at its position on the image."""
    import anndata
    import matplotlib
    import squidpy

    matplotlib.use("Agg")
    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    axes = squidpy.pl.spatial_scatter(adata, color="ZONE1", return_ax=True)
    (circles,) = axes.collections
    assert len(circles.get_paths()) == len(LOCATIONS)
    boxes = np.array([path.get_extents().get_points() for path in circles.get_paths()])
    picture = np.asarray(axes.images[0].get_array())
    assert SECTION.slide is not None
    shown_um = SECTION.slide.size_um[0] / picture.shape[1]
    assert np.allclose(boxes.mean(axis=1) * shown_um, LOCATIONS.xy, atol=0.5)
    assert np.allclose(np.ptp(boxes, axis=1) * shown_um, LOCATIONS.points.diameter_um, atol=0.5)
    column, row = (boxes.mean(axis=1)[LOCATIONS.in_tissue]).astype(int).T
    assert picture[row, column].mean() < 0.9 * picture[0, 0].mean()


def test_squidpy_builds_graphs_of_the_locations(tmp_path: Path) -> None:
    """`spatial_neighbors` by radius returns the neighbours that a k-d tree returns."""
    import anndata
    import squidpy
    from scipy.spatial import cKDTree

    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    squidpy.gr.spatial_neighbors(adata, spatial_key="spatial_um", coord_type="generic", radius=60.0)
    tree = cKDTree(LOCATIONS.xy)
    expected = np.array([len(found) - 1 for found in tree.query_ball_point(LOCATIONS.xy, 60.0)])
    assert np.array_equal(np.diff(adata.obsp["spatial_connectivities"].indptr), expected)
    squidpy.gr.spatial_neighbors(adata, n_neighs=6, coord_type="generic")
    assert (np.diff(adata.obsp["spatial_connectivities"].indptr) == 6).all()


@pytest.mark.slow
def test_scanpy_draws_genes_and_categories_and_ranks_genes(tmp_path: Path) -> None:
    """scanpy draws a gene and `observed` at every location, and its own steps run on the counts of measured spots."""
    import anndata
    import matplotlib
    import scanpy

    matplotlib.use("Agg")
    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    figure = scanpy.pl.embedding(
        adata, basis="spatial", color=["ZONE1", "observed"], show=False, return_fig=True
    )
    panels = [axes for axes in figure.axes if axes.get_title() in ("ZONE1", "observed")]
    assert [sum(len(points.get_offsets()) for points in axes.collections) for axes in panels] == [
        len(LOCATIONS)
    ] * 2
    spots = adata[(adata.obs["observed"].astype(str) == "True").to_numpy()].copy()
    spots.X = spots.layers["counts"].copy()
    assert spots.n_obs == len(SECTION)
    scanpy.pp.normalize_total(spots, target_sum=1e4)
    scanpy.pp.log1p(spots)
    spots.obs["side"] = np.where(
        spots.obsm["spatial"][:, 0] > np.median(spots.obsm["spatial"][:, 0]), "r", "l"
    )
    scanpy.tl.rank_genes_groups(spots, "side")
    assert len(spots.uns["rank_genes_groups"]["names"]) == spots.n_vars


@pytest.mark.slow
def test_spatialdata_plot_draws_the_store(store: Path) -> None:
    """`pl.render_images` and `pl.render_shapes` draw a gene and `observed` over the image."""
    import matplotlib

    matplotlib.use("Agg")
    import spatialdata

    pytest.importorskip("spatialdata_plot")
    from matplotlib import pyplot

    data = spatialdata.read_zarr(store)
    for colour in ("ZONE1", "observed"):
        _, axes = pyplot.subplots()
        drawn = data.pl.render_images("image").pl.render_shapes("locations", color=colour)
        drawn.pl.show(coordinate_systems="global", ax=axes)
        assert axes.images or axes.collections
        pyplot.close("all")


def test_vitessce_is_given_paths_that_the_store_has(store: Path) -> None:
    """A Vitessce configuration of the store names arrays and tables that are there."""
    vitessce = pytest.importorskip("vitessce", reason="pip install --no-deps vitessce; pip install black")
    paths = {
        "image_path": "images/image",
        "table_path": "tables/table",
        "obs_feature_matrix_path": "tables/table/X",
        "obs_spots_path": "shapes/locations",
    }
    wrapper = vitessce.SpatialDataWrapper(
        sdata_url="http://localhost/prediction.zarr",
        region="locations",
        coordinate_system="global",
        coordination_values={"obsType": "spot"},
        **paths,
    )
    config = vitessce.VitessceConfig(schema_version="1.0.16", name="section")
    config.add_dataset("section").add_object(wrapper)
    (file,) = config.to_dict(base_url="http://localhost")["datasets"][0]["files"]
    named = json.dumps(file["options"])
    for path in paths.values():
        assert path in named
        assert (store / path).exists()
    # without it the values would belong to cells, and the spots be of one colour
    assert file["coordinationValues"] == {"obsType": "spot"}
