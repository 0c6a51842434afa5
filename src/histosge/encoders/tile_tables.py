"""Features of tiles as tables: stores of LazySlide (wsidata), and an AnnData of tiles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError, HistosgeError, UsageError

from .tile_file import TileFile, refuse_tiles

__all__ = ["is_anndata", "is_table", "is_zarr", "read_anndata", "read_store"]

_ROOTS = ("zarr.json", ".zgroup")
# pixels by which widths of tiles that were rounded differ
_ROUNDING_PX = 1.0


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a zarr group."""
    return any((path / name).is_file() for name in _ROOTS)


def is_table(path: Path) -> bool:
    """Return whether a path is a table in a store: ``STORE/tables/NAME``."""
    return path.parent.name == "tables" and is_zarr(path.parent.parent)


def is_anndata(path: Path) -> bool:
    """Return whether a file or a zarr group says of itself that it is an AnnData."""
    if path.is_dir():
        return _attributes(path).get("encoding-type") == "anndata"
    import h5py

    if not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path) as file:
            return file.attrs.get("encoding-type") == "anndata" or {"X", "obs", "var"} <= set(file)
    except (OSError, RuntimeError):
        return False


def read_store(path: Path) -> TileFile:
    """Read a table of features of a LazySlide store; its tiles are polygons in pixels of the full resolution.

    Parameters
    ----------
    path
        The store, or ``STORE/tables/NAME`` where it has several tables of features.

    Raises
    ------
    UsageError
        When the store has several tables of features.
    DataError
        When it has none, is damaged, or its tiles are no squares of one size.
    """
    store = path.parent.parent if is_table(path) else path
    table = path if is_table(path) else _only_table(store)
    with _parsing(store):
        tile_key = str(_attributes(table)["region"])
        shapes = store / "shapes" / tile_key
        vectors, ids = _vectors(table, str(_attributes(table).get("instance_key", "tile_id")))
        corners, side_px = _squares(shapes, ids)
        properties = _attributes(store).get("slide_properties", {})
        refuse_tiles(table, vectors, corners)
        return TileFile(
            table,
            vectors,
            corners,
            side_px,
            **_of_slide(properties),
            encoder=table.name.removesuffix(f"_{tile_key}"),
            sources=(table, shapes),
        )


def read_anndata(path: Path) -> TileFile:
    """Read an AnnData of tiles: vectors in ``X``, upper left corners in ``obsm["spatial"]`` or ``obs`` (x, y).

    Corners are in pixels of the slide's full resolution; ``uns["tile_spec"]`` says how wide tiles are, as LazySlide's
    ``wsi.fetch.features_anndata`` writes it.

    Raises
    ------
    UsageError
        Where the width of its tiles is not known.
    DataError
        When it is damaged, has no coordinates, or its tiles are no squares.
    """
    import anndata

    with _parsing(path):
        table = anndata.read_zarr(path) if path.is_dir() else anndata.read_h5ad(path)
        spec, properties = (dict(table.uns.get(key, {})) for key in ("tile_spec", "slide_properties"))
        if not {"width", "base_downsample"} <= set(spec):
            raise UsageError(
                f"'{path}' does not say how wide its tiles are. Write it as LazySlide does: uns['tile_spec'] = "
                "{'width': 256, 'height': 256, 'base_downsample': 2.0} for tiles of 512 pixels of the slide, and their "
                "upper left corners as obsm['spatial']."
            )
        if spec.get("height", spec["width"]) != spec["width"]:
            raise DataError(f"Expected square tiles in '{path}', got {spec['width']} × {spec['height']} px.")
        vectors, corners = _dense(table.X), _corners(path, table)
        refuse_tiles(path, vectors, corners)
        side_px = float(int(float(spec["width"]) * float(spec["base_downsample"])))
        sources = () if path.is_file() else (path,)
        return TileFile(path, vectors, corners, side_px, **_of_slide(properties), sources=sources)


def _only_table(store: Path) -> Path:
    """Return the one table of features in a store.

    Raises
    ------
    UsageError
        When there are several.
    DataError
        When there is none.
    """
    tables = sorted(table for table in (store / "tables").glob("*") if _is_of_features(store, table))
    if not tables:
        raise DataError(
            f"'{store}' has no table of features of tiles. Compute them with LazySlide, or give another."
        )
    if len(tables) > 1:
        named = ", ".join(f"'{table}'" for table in tables)
        raise UsageError(f"'{store}' has features of {len(tables)} encoders. Give one of them: {named}.")
    return tables[0]


def _is_of_features(store: Path, table: Path) -> bool:
    """Return whether a table belongs to tiles; a graph of tiles does too, but is named after them."""
    region = _attributes(table).get("region")
    known = isinstance(region, str) and region in _attributes(store).get("tile_spec", {})
    return known and not table.name.endswith("_graph")


def _attributes(group: Path) -> Mapping[str, Any]:
    """Return the attributes of a zarr group, of format 2 or 3; none where they cannot be read."""
    try:
        if (group / "zarr.json").is_file():
            content = json.loads((group / "zarr.json").read_text(encoding="utf-8"))
            return dict(content.get("attributes", {}))
        return dict(json.loads((group / ".zattrs").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _vectors(table: Path, instance_key: str) -> tuple[Array, Array]:
    """Return the vectors of a table, and the ids of their tiles."""
    import anndata

    read = anndata.read_zarr(table)
    return _dense(read.X), read.obs[instance_key].to_numpy()


def _squares(shapes: Path, ids: Array) -> tuple[Array, float]:
    """Return upper left corners of tiles by their ids, and their width.

    Raises
    ------
    DataError
        Where a tile is missing, named twice, or no square of the common size.
    """
    import pandas as pd
    import shapely

    tiles = pd.read_parquet(shapes / "shapes.parquet")
    names = tiles["tile_id"] if "tile_id" in tiles else pd.Series(tiles.index)
    rows = pd.Index(names.to_numpy()).get_indexer(ids) if names.is_unique else np.array([-1])
    if (rows < 0).any() or len(np.unique(rows)) != len(ids):
        raise DataError(
            f"Expected each tile of the table once in '{shapes}', got others. Compute the features of these tiles "
            "again."
        )
    left, top, right, bottom = shapely.bounds(shapely.from_wkb(tiles["geometry"].to_numpy()))[rows].T
    sides = np.concatenate([right - left, bottom - top])
    if not len(sides) or np.ptp(sides) > _ROUNDING_PX:
        raise DataError(f"Expected square tiles of one size in '{shapes}', got others.")
    return np.column_stack([left, top]).astype(np.float64), float(np.median(sides))


def _corners(path: Path, table: Any) -> Array:
    """Return the upper left corners of the tiles of an AnnData.

    Raises
    ------
    DataError
        Where there are none, or two that differ.
    """
    corners = []
    if "spatial" in table.obsm:
        corners.append(np.asarray(table.obsm["spatial"], dtype=np.float64))
    if {"x", "y"} <= set(table.obs):
        corners.append(table.obs[["x", "y"]].to_numpy(dtype=np.float64))
    if not corners or not np.array_equal(corners[0], corners[-1]):
        got = "none" if not corners else "others in obs['x'], obs['y']"
        raise DataError(f"Expected upper left corners of tiles as obsm['spatial'] of '{path}', got {got}.")
    return corners[0]


def _of_slide(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return size and µm per pixel of the slide, where a store says them."""
    shape, mpp = properties.get("shape"), properties.get("mpp")
    known = mpp is not None and np.isfinite(float(mpp)) and float(mpp) > 0
    slide_px = None if shape is None or len(shape) != 2 else (int(shape[1]), int(shape[0]))
    return {"slide_px": slide_px, "mpp": float(mpp) if known and mpp is not None else None}


def _dense(values: Any) -> Array:
    """Return a matrix as an array."""
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """Turn errors of anndata, zarr and parquet, each of its own class, into a sentence."""
    try:
        yield
    except (HistosgeError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"'{path}' is damaged, or no store of features of tiles ({reason}).") from error
