"""Tiles as a store of LazySlide (wsidata): polygons of tiles and a table of features, as SpatialData."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge.errors import UsageError

from .encoded_tiles import MARK, EncodedTiles, plain_name
from .table import as_anndata, slide_properties, tile_spec

__all__ = ["require", "write_store"]

_TILES = "tiles"
_METADATA = {"zarr.json", ".zgroup", ".zattrs", ".zmetadata"}


def require() -> None:
    """Refuse where SpatialData is not installed.

    Raises
    ------
    UsageError
        With the command that installs it.
    """
    if find_spec("spatialdata") is None:
        raise UsageError(
            "A store of LazySlide is SpatialData, an extra. Install it: pip install 'histosge[spatialdata]'"
        )


def write_store(folder: Path, tiles: EncodedTiles) -> Path:
    """Write ``{section}.zarr`` with ``shapes/tiles`` and ``tables/{encoder}_tiles``, and return the path of the store.

    ``open_wsi(IMAGE, store=…)`` of wsidata opens it with the same image.

    Raises
    ------
    UsageError
        Where SpatialData is not installed, another program's store stands there, or the folder cannot be written.
    OutputError
        When the disk is full.
    """
    require()
    import spatialdata
    from spatialdata.models import TableModel

    table = as_anndata(tiles)
    table.obs["library_id"] = _TILES
    table.obs["library_id"] = table.obs["library_id"].astype("category")
    parsed = TableModel.parse(table, region=_TILES, region_key="library_id", instance_key="tile_id")
    attributes = {
        "slide_properties": dict(slide_properties(tiles)),
        "tile_spec": {_TILES: {**tile_spec(tiles), "tissue_name": None}},
        MARK: dict(tiles.about),
    }
    elements = {_TILES: _squares(tiles), f"{plain_name(tiles.card.name)}_{_TILES}": parsed}
    path = folder / f"{plain_name(tiles.name)}.zarr"
    with atomic_path(path, own=_is_own) as draft:
        spatialdata.SpatialData.init_from_elements(elements, attrs=attributes).write(draft)
    return path


def _squares(tiles: EncodedTiles) -> Any:
    """Return the tiles as polygons, with the columns that LazySlide gives them."""
    import shapely
    from geopandas import GeoDataFrame
    from spatialdata.models import ShapesModel

    left, top = tiles.corners_px.T
    columns = {
        "tile_id": np.arange(len(left)),
        "x": left,
        "y": top,
        "tissue_id": np.zeros(len(left), dtype=np.int64),
    }
    squares = shapely.box(left, top, left + tiles.side_px, top + tiles.side_px)
    return ShapesModel.parse(GeoDataFrame(columns, geometry=squares))


def _is_own(path: Path) -> bool:
    """Return whether this program wrote a store, and nothing was added to it."""
    try:
        attributes = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        entries = {entry.name for entry in path.iterdir()} - _METADATA
        tables = [entry.name for entry in (path / "tables").iterdir() if entry.is_dir()]
        shapes = {entry.name for entry in (path / "shapes").iterdir() if entry.is_dir()}
    except (OSError, ValueError, KeyError):
        return False
    return MARK in attributes and entries == {"tables", "shapes"} and len(tables) == 1 and shapes == {_TILES}
