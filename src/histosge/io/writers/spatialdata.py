"""Predictions as a SpatialData store: image, circles or outlines of cells, and table, in µm and in pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.io.layout import prediction_table as layout
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.prediction.total_counts import COLUMN
from histosge.section.locations import Locations
from histosge.section.section import Section

from .base import AnyPrediction, WriteOptions, Writer
from .recognise import is_own_spatialdata

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["ENTRIES", "WRITER", "write"]

_IMAGE = "image"
# the element of shapes that rows of the table are, and the column of their names in it
_CIRCLES, _OUTLINES = ("locations", "location_id"), ("cells", "cell_id")
_NUCLEI = "nuclei"
# values (locations × genes) in memory at a time
_PIECE = 1 << 22
# longest side of the image in the store, px: enough to recognise the tissue in napari
_LONGEST_PX = 4096
# where the table differs from ``prediction.h5ad``: the first coordinates are those of the first coordinate system
_ABOUT_POSITIONS = {
    "obsm_spatial": "x, y in micrometres",
    "obsm_spatial_px": "x, y in pixels of the full-resolution image",
}
# SpatialData's name of the coordinate system that viewers open first, and the one of full-resolution pixels
_UM, _PIXELS = "global", "fullres_px"


def write(
    path: Path, section: Section, prediction: AnyPrediction, options: WriteOptions | None = None
) -> Path:
    """Write a zarr store with ``locations`` (circles), ``image`` and ``table``, and return the path.

    There are two coordinate systems: ``global`` in µm, in which the circles are written, and ``fullres_px`` in pixels
    of the full-resolution image, for overlays with other stores of the same section. The image has a transformation to
    each. ``table`` has the layout of ``prediction.h5ad``. Locations without extent, such as cells, get the distance to
    their neighbours as diameter, because SpatialData has no circles of radius 0.
    Cells with outlines are polygons in ``cells`` in place of circles, their nuclei in ``nuclei``; ids join both and
    the rows of the table. The store appears whole or not at all.

    Raises
    ------
    UsageError
        Where SpatialData is not installed, or the path cannot be written.
    OutputError
        When the disk is full.
    """
    WRITER.require()
    import spatialdata
    from spatialdata.models import TableModel

    prediction = (options or WriteOptions()).select(prediction)
    elements = _shapes(section, prediction.locations)
    region, key = _region(prediction.locations)
    table = _table(section, prediction)
    elements["table"] = TableModel.parse(table, region=region, region_key="region", instance_key=key)
    if section.slide is not None:
        elements[_IMAGE] = _image(section)
    with atomic_path(path, own=is_own_spatialdata) as draft:
        spatialdata.SpatialData.init_from_elements(elements).write(draft)
    return path


def _region(locations: Locations) -> tuple[str, str]:
    cells = locations.cells
    return _CIRCLES if cells is None or cells.outlines is None else _OUTLINES


def _shapes(section: Section, locations: Locations) -> dict[str, Any]:
    """Return circles around locations, or outlines and nuclei of cells, by the names of their elements."""
    from geopandas import GeoDataFrame
    from spatialdata.models import ShapesModel

    ids = locations.points.ids.astype(object)
    cells, frames = locations.cells, _frames(section, 1.0, 1.0)
    if cells is None or cells.outlines is None:
        circles = ShapesModel.parse(
            np.array(locations.xy),
            geometry=0,
            radius=layout.location_diameter_um(section, locations) / 2,
            index=ids,
            transformations=frames,
        )
        return {_CIRCLES[0]: circles}
    polygons = {_OUTLINES[0]: GeoDataFrame(geometry=np.array(cells.outlines), index=ids)}
    if cells.nuclei is not None and any(cells.nuclei):
        has_nucleus = np.array([nucleus is not None for nucleus in cells.nuclei])
        polygons[_NUCLEI] = GeoDataFrame(geometry=np.array(cells.nuclei[has_nucleus]), index=ids[has_nucleus])
    return {name: ShapesModel.parse(frame, transformations=frames) for name, frame in polygons.items()}


def _table(section: Section, prediction: AnyPrediction) -> AnnData:
    """Return the table, laid out as ``prediction.h5ad``."""
    from anndata import AnnData

    locations = prediction.locations
    obs = layout.obs(section, locations)
    region, key = _region(locations)
    obs["region"] = region
    obs["region"] = obs["region"].astype("category")
    obs[key] = np.asarray(locations.points.ids, dtype=object)
    factored = prediction if isinstance(prediction, FactoredPrediction) else None
    if factored is not None and factored.total_counts is not None:
        obs[COLUMN] = factored.total_counts
    layers: dict[str, Any] = dict(layout.layers(section, locations, prediction.genes))
    about = layout.describe(section, locations, prediction.provenance)
    # outlines are elements of the store
    about["layout"].pop("cells", None)
    about["layout"]["about"] |= _ABOUT_POSITIONS
    del about["layout"]["about"]["obsm_spatial_um"]
    mean, sd = _matrices(prediction)
    if sd is not None:
        layers["sd"] = sd
    return AnnData(
        mean,
        obs=obs,
        var=layout.var(section, prediction.genes, None if factored is None else factored.basis),
        obsm={"spatial": np.array(locations.xy), "spatial_px": locations.xy / section.mpp},
        layers=layers,
        uns={"histosge": about},
    )


def _matrices(prediction: AnyPrediction) -> tuple[Any, Any]:
    """Return means and standard deviations; those of factors are dask arrays, multiplied out while they are written."""
    if isinstance(prediction, Prediction):
        return np.array(prediction.mean), prediction.sd
    from dask.array import map_blocks

    step = max(1, _PIECE // max(len(prediction.genes), 1))
    rows = [min(step, len(prediction) - start) for start in range(0, len(prediction), step)]
    chunks = (tuple(rows), (len(prediction.genes),))

    # dask calls this once for each chunk while the store is written
    def piece(name: str, block_info: Any = None) -> Array:
        start, stop = block_info[None]["array-location"][0]
        return np.asarray(getattr(prediction.take(slice(start, stop)).whole(observation=True), name))

    has = {"mean": True, "sd": prediction.score_sd is not None}
    mean, sd = (
        map_blocks(piece, name, chunks=chunks, dtype=np.float32, meta=np.zeros((0, 0), np.float32))
        if there
        else None
        for name, there in has.items()
    )
    return mean, sd


def _image(section: Section) -> Any:
    """Return the image with its scale, as a pyramid."""
    from spatialdata.models import Image2DModel

    if section.slide is None:
        raise UsageError(f"Section '{section.name}' has no image.")
    mpp = max(section.slide.mpp, max(section.slide.size_um) / _LONGEST_PX)
    pixels = np.moveaxis(section.slide.thumbnail(mpp), 2, 0)
    width_um, height_um = section.slide.size_um
    return Image2DModel.parse(
        np.ascontiguousarray(pixels),
        dims=("c", "y", "x"),
        c_coords=["r", "g", "b"],
        transformations=_frames(section, width_um / pixels.shape[2], height_um / pixels.shape[1]),
        # small images need no pyramid
        scale_factors=[2, 2] if min(pixels.shape[1:]) > 512 else None,
    )


def _frames(section: Section, x_um: float, y_um: float) -> dict[str, Any]:
    """Return how units of ``x_um`` and ``y_um`` become µm and full-resolution pixels."""
    from spatialdata.transformations import Scale

    return {
        _UM: Scale([x_um, y_um], ("x", "y")),
        _PIXELS: Scale([x_um / section.mpp, y_um / section.mpp], ("x", "y")),
    }


WRITER = Writer(
    name="spatialdata",
    summary="zarr store with circles or outlines, table and image in µm and pixels: SpatialData, napari-spatialdata",
    filename="prediction.zarr",
    kind="folder",
    streams=True,
    write=write,
    recognises=is_own_spatialdata,
    package="spatialdata",
    needs_extra="spatialdata",
)
ENTRIES = (WRITER,)
