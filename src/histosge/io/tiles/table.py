"""Tiles as an AnnData, as LazySlide returns them: features in ``X``, corners in ``obsm``, sizes in ``uns``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path

from .encoded_tiles import MARK, EncodedTiles, plain_name, refuse_foreign_file

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["as_anndata", "slide_properties", "tile_spec", "write_table"]


def write_table(folder: Path, tiles: EncodedTiles) -> Path:
    """Write ``features_{encoder}/{section}.h5ad``, and return its path.

    Raises
    ------
    UsageError
        Where another program's file stands there, or the folder cannot be written.
    OutputError
        When the disk is full.
    """
    path = folder / f"features_{plain_name(tiles.card.name)}" / f"{plain_name(tiles.name)}.h5ad"
    refuse_foreign_file(path)
    table = as_anndata(tiles)
    table.obsm["spatial"] = tiles.corners_px
    # HDF5 has no null: what is not known is left out
    known = {key: value for key, value in slide_properties(tiles).items() if value is not None}
    table.uns.update({"tile_spec": dict(tile_spec(tiles)), "slide_properties": known})
    with atomic_path(path) as draft:
        table.write_h5ad(draft)
    return path


def as_anndata(tiles: EncodedTiles) -> AnnData:
    """Return features and corners as an AnnData; tiles are numbered."""
    from anndata import AnnData
    from pandas import DataFrame, Index

    numbers = np.arange(len(tiles.rows))
    obs = DataFrame(
        {
            "tile_id": numbers,
            "x": tiles.corners_px[:, 0],
            "y": tiles.corners_px[:, 1],
            "location_id": tiles.ids.astype(str),
        },
        index=Index(numbers.astype(str)),
    )
    columns = DataFrame(index=Index([f"f{column}" for column in range(tiles.card.dim)]))
    return AnnData(tiles.vectors(), obs=obs, var=columns, uns={MARK: dict(tiles.about)})


def tile_spec(tiles: EncodedTiles) -> Mapping[str, Any]:
    """Return the sizes of tiles: in pixels that the encoder reads, and how many pixels of the image one of these is."""
    patch = tiles.card.patches[0]
    # LazySlide takes the whole part of width times base_downsample for the width on the slide
    downsample = np.nextafter(tiles.side_px / patch.px, np.inf)
    stride = max(1, round((tiles.side_px - tiles.overlap_px) / downsample))
    return {
        "height": patch.px,
        "width": patch.px,
        "stride_height": stride,
        "stride_width": stride,
        "mpp": float(downsample * tiles.slide.mpp),
        "ops_level": 0,
        "ops_downsample": float(downsample),
        "base_level": 0,
        "base_downsample": float(downsample),
    }


def slide_properties(tiles: EncodedTiles) -> Mapping[str, Any]:
    """Return what LazySlide keeps of a slide; of its levels only the first."""
    height, width = tiles.shape_px
    return {
        "shape": [height, width],
        "n_level": 1,
        "level_shape": [[height, width]],
        "level_downsample": [1.0],
        "mpp": float(tiles.slide.mpp),
        "magnification": None,
        "bounds": [0, 0, width, height],
    }
