"""Image features are written in the layouts of TRIDENT, LazySlide and AnnData, and read back where they were."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.io.tiles import FORMATS, EncodedTiles, write_tiles
from histosge.section.target import Target
from histosge.workflow.recipe import Recipe
from histosge.workflow.steps import encode_to_folder

SECTION = replace(synthetic(columns=10, rows=10, genes=12).section, name="A 1")
assert SECTION.slide is not None
SLIDE = SECTION.slide
HEIGHT, WIDTH = SLIDE.backend.shapes[0]
CARD = load_encoder("texture").card


def points(step_px: int = 28) -> tuple[Points, Array]:
    """Return a grid of middles of whole pixels, and features that say where they are."""
    axes = [np.arange(30, length - 30, step_px) for length in (WIDTH, HEIGHT)]
    xy_um = np.stack(np.meshgrid(*axes), axis=2).reshape(-1, 2) * SLIDE.mpp
    features = np.c_[xy_um, np.zeros((len(xy_um), CARD.dim - 2))].astype(np.float32)
    return Points(xy_um, np.array([f"L{i}" for i in range(len(xy_um))])), features


def tiles() -> tuple[EncodedTiles, Array]:
    """Return tiles and the positions in their middle."""
    where, features = points()
    return EncodedTiles.of("A 1", SLIDE, CARD, where, features), where.xy


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_written_is_read_back_in_its_position(name: str, tmp_path: Path) -> None:
    """Our own reader gives each location its features again; encoder and slide are in the file."""
    if name == "lazyslide":
        pytest.importorskip("spatialdata")
    written, xy_um = tiles()
    (path,) = write_tiles(tmp_path, written, [name])
    # written twice: our own files may be replaced
    assert write_tiles(tmp_path, written, [name]) == (path,)
    encoder = load_encoder(f"features:{path}")
    inside = ((xy_um > 100) & (xy_um < 800)).all(axis=1)
    features = np.asarray(embed(SLIDE, xy_um[inside], encoder)[:])
    assert np.abs(features[:, :2] - xy_um[inside]).max() < SLIDE.mpp
    with pytest.raises(Exception, match="another slide"):
        embed(
            SlideImage.from_array(np.zeros((HEIGHT + 40, WIDTH, 3), np.uint8), SLIDE.mpp), xy_um[:1], encoder
        )


def test_files_of_trident_have_its_names_and_attributes(tmp_path: Path) -> None:
    """Folders, data sets and attributes are those that TRIDENT writes; µm per pixel become its magnifications."""
    slide = SlideImage.from_array(np.zeros((900, 1200, 3), np.uint8), mpp=0.5)
    card = replace(CARD, name="timm:x@2", patches=(replace(CARD.patches[0], size_um=112.0, px=224),))
    where = Points(np.array([[112.0, 112.0], [224.0, 112.0]]), np.array(["a", "b"]))
    written = EncodedTiles.of("S", slide, card, where, np.zeros((2, card.dim), np.float32))
    (path,) = write_tiles(tmp_path, written, ["trident"])
    assert path == tmp_path / "20x_224px_0px_overlap" / "features_timm_x_2" / "S.h5"
    with h5py.File(path) as file:
        coordinates = dict(file["coords"].attrs)
        assert file["coords"][:].tolist() == [[112, 112], [336, 112]]
        assert file["features"].attrs["encoder"] == "timm_x_2"
    expected = {
        "patch_size": 224,
        "patch_size_level0": 224,
        "level0_magnification": 20,
        "target_magnification": 20,
        "overlap": 0,
        "level0_width": 1200,
        "level0_height": 900,
        "name": "S",
    }
    assert {key: coordinates[key] for key in expected} == expected
    assert (path.parents[1] / "patches" / "S_patches.h5").is_file()


def test_tiles_beyond_the_image_are_left_out(tmp_path: Path) -> None:
    """Other tools read every tile from the image: one that reaches beyond it would be refused or black."""
    where, features = points()
    corner = Points(np.array([[3.0, 3.0], *where.xy]), np.array(["edge", *where.ids]))
    written = EncodedTiles.of("A 1", SLIDE, CARD, corner, np.r_[features[:1], features])
    assert len(written.rows) == len(where)
    assert "1 locations whose patch reaches beyond the image" in written.messages[1].text
    alone = Points(np.array([[3.0, 3.0]]), np.array(["edge"]))
    with pytest.raises(UsageError, match="no tiles to write"):
        EncodedTiles.of("A 1", SLIDE, CARD, alone, features[:1])


@pytest.mark.parametrize("name", FORMATS)
def test_what_another_program_wrote_is_not_replaced(name: str, tmp_path: Path) -> None:
    """Files and stores without our mark, and stores to which a table was added, stay."""
    if name == "lazyslide":
        pytest.importorskip("spatialdata")
    written, _ = tiles()
    (path,) = write_tiles(tmp_path, written, [name])
    if path.is_dir():
        (path / "tables" / "further").mkdir()
    else:
        path.write_bytes(b"another program's")
    with pytest.raises(UsageError, match="histosge did not write"):
        write_tiles(tmp_path, written, [name])


def test_an_unknown_format_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    """So are features that are those of a file already."""
    with pytest.raises(
        UsageError, match=r"Expected `formats` among trident, lazyslide, anndata, got 'tridend'\. Did"
    ):
        encode_to_folder(SECTION, out=tmp_path / "out", formats=["tridend"])
    assert not (tmp_path / "out").exists()
    where, features = points()
    with pytest.raises(UsageError, match="features of tiles already"):
        EncodedTiles.of("A 1", SLIDE, replace(CARD, patches=()), where, features)


def test_embedding_writes_the_features_of_the_locations(tmp_path: Path) -> None:
    """The vectors are those of the store; the licence stands in the file."""
    result = encode_to_folder(
        SECTION, Recipe(encoder="colour"), out=tmp_path, target=Target(spacing_um=100.0), formats=["anndata"]
    )
    (path,) = result.files
    table = anndata.read_h5ad(path)
    middle = (np.asarray(table.obsm["spatial"]) + 55 / SLIDE.mpp / 2) * SLIDE.mpp
    expected = np.asarray(embed(SLIDE, middle, load_encoder("colour"))[:])
    # corners are whole pixels
    assert np.abs(np.asarray(table.X) - expected).max() < 0.05
    assert table.uns["histosge"]["licence"] == "BSD-3-Clause"
    assert json.loads(json.dumps(result.as_dict()))["files"] == [str(path)]


# reads a store with LazySlide's own package, in the Python of $WSIDATA_PYTHON
_READ = """
import sys, json
from wsidata import open_wsi
slide, store = json.load(sys.stdin)
wsi = open_wsi(slide, store=store)
table = wsi.fetch.features_anndata("texture", "tiles")
spec = wsi.tile_spec("tiles")
image = next(iter(wsi.iter.tile_images("tiles")))
print(json.dumps({
    "shape": table.shape, "first": table.obsm["spatial"][0].tolist(), "x": table.X[:, :2].tolist(),
    "side": spec.base_width, "image": list(image.image.shape), "mpp": wsi.properties.mpp,
}))
"""


@pytest.mark.skipif("WSIDATA_PYTHON" not in os.environ, reason="WSIDATA_PYTHON names a Python with wsidata")
def test_wsidata_opens_the_store(tmp_path: Path) -> None:
    """Tiles, features and images of tiles are those of the package."""
    import tifffile

    image = SLIDE.backend.read(0, (0, 0), (WIDTH, HEIGHT))
    per_cm = (1e4 / SLIDE.mpp, 1e4 / SLIDE.mpp)
    options: dict[str, Any] = {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "A.tiff", image, tile=(256, 256), photometric="rgb", **options)
    written, _ = tiles()
    (path,) = write_tiles(tmp_path, written, ["lazyslide"])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [os.environ["WSIDATA_PYTHON"], "-c", _READ],
        input=json.dumps([str(tmp_path / "A.tiff"), str(path)]),
        text=True,
        check=True,
        env=environment,
        stdout=subprocess.PIPE,
    )
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["shape"] == [len(written.rows), CARD.dim]
    assert read["first"] == written.corners_px[0].tolist()
    assert read["side"] == written.side_px
    assert read["image"] == [CARD.patches[0].px, CARD.patches[0].px, 3]
    assert np.allclose(read["x"], written.vectors()[:, :2])
    assert read["mpp"] == pytest.approx(SLIDE.mpp)
