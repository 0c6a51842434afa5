"""Features of tiles in LazySlide's stores, in an AnnData and in folders of one file a slide are placed and checked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import shapely
import zarr

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.encoders.tile_folder import TileFolder
from histosge.errors import DataError, HistosgeError
from histosge.images.slide import SlideImage
from histosge.models.base import Needs
from histosge.section.locations import at_spots
from histosge.workflow.encode import encode, encoder_messages

SECTION = replace(synthetic(columns=10, rows=10, genes=12).section, name="A1")
assert SECTION.slide is not None
SLIDE = SECTION.slide
HEIGHT, WIDTH = SLIDE.backend.shapes[0]
SIDE_PX = 28
XY_UM = np.random.default_rng(0).uniform(200, 800, (30, 2))


def tiles() -> tuple[Array, Array]:
    """Return corners all over the slide, and features that say where the middle of each tile is, in µm."""
    axes = [np.arange(0, length - SIDE_PX + 1, SIDE_PX) for length in (WIDTH, HEIGHT)]
    corners = np.stack(np.meshgrid(*axes), axis=2).reshape(-1, 2)
    return corners, ((corners + SIDE_PX / 2) * SLIDE.mpp).astype(np.float32)


def spec() -> dict[str, Any]:
    """Return what LazySlide says of tiles of half the slide's resolution."""
    return {"width": SIDE_PX // 2, "height": SIDE_PX // 2, "base_downsample": 2.0, "mpp": 2 * SLIDE.mpp}


def properties(**changed: Any) -> dict[str, Any]:
    """Return what LazySlide says of the slide."""
    return {"shape": [HEIGHT, WIDTH], "mpp": SLIDE.mpp, **changed}


def store(path: Path, *, models: tuple[str, ...] = ("uni",), slide: dict[str, Any] | None = None) -> Path:
    """Write a store in the layout of LazySlide; rows of its tables are in another order than its tiles."""
    corners, features = tiles()
    group = zarr.open_group(path, mode="w")
    group.attrs.update({"slide_properties": slide or properties(), "tile_spec": {"tiles": spec()}})
    order = np.random.default_rng(1).permutation(len(corners))
    shapes = zarr.open_group(path / "shapes" / "tiles", mode="w")
    shapes.attrs["encoding-type"] = "ngff:shapes"
    boxes = shapely.box(*corners.T, *(corners + SIDE_PX).T)
    frame = pd.DataFrame({"tile_id": np.arange(len(corners)), "geometry": shapely.to_wkb(boxes)})
    frame.to_parquet(path / "shapes" / "tiles" / "shapes.parquet")
    for model in models:
        table = path / "tables" / f"{model}_tiles"
        obs = pd.DataFrame({"tile_id": order}, index=order.astype(str))
        anndata.AnnData(features[order], obs=obs).write_zarr(table)
        zarr.open_group(table).attrs.update({"region": "tiles", "instance_key": "tile_id"})
    return path


def table(path: Path, **changed: Any) -> Path:
    """Write an AnnData of tiles as LazySlide returns it."""
    corners, features = tiles()
    obs = pd.DataFrame(corners, columns=["x", "y"], index=np.arange(len(corners)).astype(str))
    uns = {"tile_spec": spec(), "slide_properties": properties(), **changed}
    anndata.AnnData(features, obs=obs, obsm={"spatial": corners}, uns=uns).write_h5ad(path)
    return path


def read(path: Path, slide: SlideImage = SLIDE) -> Array:
    """Return the features at the locations."""
    return np.asarray(embed(slide, XY_UM, load_encoder(f"features:{path}"))[:])


def test_a_store_of_lazyslide_is_read_by_the_ids_of_its_tiles(tmp_path: Path) -> None:
    """Rows of the table are joined with polygons by id; the encoder's licence is found by its name."""
    path = store(tmp_path / "A1.zarr")
    assert np.allclose(read(path), XY_UM, atol=1e-2)
    assert np.allclose(read(path / "tables" / "uni_tiles"), XY_UM, atol=1e-2)
    assert "CC-BY-NC-ND-4.0" in load_encoder(f"features:{path}").card.licence


def test_the_hash_of_a_store_is_that_of_what_was_read(tmp_path: Path) -> None:
    """Another table changes nothing; other features do."""
    path = store(tmp_path / "A1.zarr")
    name = f"features:{path / 'tables' / 'uni_tiles'}"
    before = load_encoder(name).fingerprint
    shutil.copytree(path / "tables" / "uni_tiles", path / "tables" / "conch_tiles")
    assert load_encoder(name).fingerprint == before
    group = zarr.open_group(path / "tables" / "uni_tiles")
    group["X"][0, 0] = 7.0
    assert load_encoder(name).fingerprint != before


def test_an_anndata_of_tiles_is_read(tmp_path: Path) -> None:
    """Corners and width are those of LazySlide's `features_anndata`, as a file and as a zarr group."""
    path = table(tmp_path / "A1.h5ad")
    assert np.allclose(read(path), XY_UM, atol=1e-2)
    anndata.read_h5ad(path).write_zarr(tmp_path / "A1.zarr")
    assert np.allclose(read(tmp_path / "A1.zarr"), XY_UM, atol=1e-2)


def test_each_section_gets_the_file_of_its_name(tmp_path: Path) -> None:
    """Files are of any layout; which one was taken is said, and a section of another name gets another."""
    table(tmp_path / "A1.h5ad")
    store(tmp_path / "B2.zarr", slide=properties(shape=[HEIGHT + 400, WIDTH]))
    encoder, needs = load_encoder(f"colour+features:{tmp_path}"), Needs(features=True)
    spots = at_spots(SECTION)
    features = encode(SECTION, spots, needs=needs, encoder=encoder).features
    assert features is not None
    assert np.allclose(features[:][:, 3:], spots.xy, atol=1e-2)
    assert any(f"read from '{tmp_path / 'A1.h5ad'}'" in message.text for message in encoder_messages(encoder))
    with pytest.raises(DataError, match="another slide"):
        encode(replace(SECTION, name="B2"), spots, needs=needs, encoder=encoder)


def test_a_folder_that_changed_is_another_encoder(tmp_path: Path) -> None:
    """A fit to it is not used again: a file may hold other features."""
    path, name = table(tmp_path / "A1.h5ad"), f"features:{tmp_path}"
    before = load_encoder(name).fingerprint
    assert load_encoder(name).fingerprint == before
    os.utime(path, ns=(1, 1))
    assert load_encoder(name).fingerprint != before


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("no name", r"one file named C3 .* got none. It has A1.h5ad, A1.zarr"),
        ("two of one name", "'A1.h5ad' and 'A1.zarr'"),
        ("features", "Expected 2 features a tile"),
        ("array in memory", "one file named as the section"),
    ],
)
def test_which_file_of_a_folder_is_meant_must_be_clear(fault: str, sentence: str, tmp_path: Path) -> None:
    """Otherwise the files are listed."""
    table(tmp_path / "A1.h5ad")
    store(tmp_path / "A1.zarr")
    if fault == "features":
        shutil.rmtree(tmp_path / "A1.zarr")
        wide = anndata.read_h5ad(tmp_path / "A1.h5ad")
        wide[:, [0, 1, 1]].copy().write_h5ad(tmp_path / "B2.h5ad")
    folder = load_encoder(f"features:{tmp_path}")
    assert isinstance(folder, TileFolder)
    name = {"no name": "C3", "features": "B2", "array in memory": None}.get(fault, "A1")
    with pytest.raises(HistosgeError, match=sentence):
        folder.of(SLIDE, name)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("several encoders", r"features of 2 encoders. Give one of them: .*conch_tiles"),
        ("another slide", "another slide"),
        ("another scale", r"made at 3 µm per pixel, but the image has 2"),
        ("no table", "no table of features"),
        ("a tile twice", "each tile of the table once"),
        ("other widths", "square tiles of one size"),
        ("damaged", "damaged"),
        ("nan", "not all finite"),
        ("no width", "does not say how wide its tiles are"),
        ("other corners", r"others in obs\['x'\]"),
        ("pickle", "runs code when it is read"),
        ("empty folder", "found none. Files are in its folders h5_files"),
    ],
)
def test_tables_that_do_not_belong_to_the_slide_are_refused(
    fault: str, sentence: str, tmp_path: Path
) -> None:
    """One sentence for each, before anything is fitted."""
    with pytest.raises(HistosgeError, match=sentence):
        read(FAULTS[fault](tmp_path))


def _store_with(path: Path, change: Any) -> Path:
    shapes = store(path / "A1.zarr") / "shapes" / "tiles" / "shapes.parquet"
    frame = pd.read_parquet(shapes)
    change(frame)
    frame.to_parquet(shapes)
    return path / "A1.zarr"


def _repeat_a_tile(frame: pd.DataFrame) -> None:
    frame.loc[1, "tile_id"] = 0


def _widen_a_tile(frame: pd.DataFrame) -> None:
    frame.at[1, "geometry"] = shapely.to_wkb(shapely.box(0, 0, 50, 50))


def _without_tables(path: Path) -> Path:
    shutil.rmtree(store(path / "A1.zarr") / "tables")
    (path / "A1.zarr" / "tables").mkdir()
    return path / "A1.zarr"


def _damaged(path: Path) -> Path:
    (store(path / "A1.zarr") / "shapes" / "tiles" / "shapes.parquet").write_bytes(b"PAR1")
    return path / "A1.zarr"


def _with_nan(path: Path) -> Path:
    file = table(path / "A1.h5ad")
    read_again = anndata.read_h5ad(file)
    read_again.X[3, 1] = np.nan
    read_again.write_h5ad(file)
    return file


def _other_corners(path: Path) -> Path:
    file = table(path / "A1.h5ad")
    read_again = anndata.read_h5ad(file)
    read_again.obsm["spatial"] = np.asarray(read_again.obsm["spatial"]) + 14
    read_again.write_h5ad(file)
    return file


def _in_a_folder(path: Path) -> Path:
    (path / "h5_files").mkdir()
    table(path / "h5_files" / "A1.h5ad")
    return path


FAULTS: dict[str, Any] = {
    "several encoders": lambda path: store(path / "A1.zarr", models=("uni", "conch")),
    "another slide": lambda path: store(path / "A1.zarr", slide=properties(shape=[HEIGHT + 40, WIDTH])),
    "another scale": lambda path: store(path / "A1.zarr", slide=properties(mpp=3.0)),
    "no table": _without_tables,
    "a tile twice": lambda path: _store_with(path, _repeat_a_tile),
    "other widths": lambda path: _store_with(path, _widen_a_tile),
    "damaged": _damaged,
    "nan": _with_nan,
    "no width": lambda path: table(path / "A1.h5ad", tile_spec={}),
    "other corners": _other_corners,
    "pickle": lambda path: path / "A1.pt",
    "empty folder": _in_a_folder,
}

# writes a store with LazySlide's own package, in the Python of $WSIDATA_PYTHON
_WRITE = """
import sys, json, numpy as np
from wsidata import open_wsi, TileSpec
from wsidata.io import add_tiles, add_features
slide, store, corners, features = json.load(sys.stdin)
wsi = open_wsi(slide, store=store)
sizes = dict(height=14, width=14, stride_height=14, stride_width=14, ops_downsample=2.0, base_downsample=2.0)
spec = TileSpec(mpp=4.0, **sizes)
corners = np.array(corners)
add_tiles(wsi, "tiles", corners, spec, np.zeros(len(corners), dtype=int))
add_features(wsi, "uni_tiles", "tiles", np.array(features, dtype=np.float32))
wsi.write()
"""


@pytest.mark.skipif("WSIDATA_PYTHON" not in os.environ, reason="WSIDATA_PYTHON names a Python with wsidata")
def test_a_store_that_wsidata_wrote_is_read(tmp_path: Path) -> None:
    """The layout above is that of the package itself."""
    import tifffile

    image = SLIDE.backend.read(0, (0, 0), (WIDTH, HEIGHT))
    per_cm = 1e4 / SLIDE.mpp
    tifffile.imwrite(
        tmp_path / "A1.tiff",
        image,
        tile=(256, 256),
        photometric="rgb",
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )
    corners, features = tiles()
    inputs = [str(tmp_path / "A1.tiff"), str(tmp_path / "A1.zarr"), corners.tolist(), features.tolist()]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(
        [os.environ["WSIDATA_PYTHON"], "-c", _WRITE],
        input=json.dumps(inputs),
        text=True,
        check=True,
        env=environment,
    )
    assert np.allclose(read(tmp_path / "A1.zarr"), XY_UM, atol=1e-2)
