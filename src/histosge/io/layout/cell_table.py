"""What files of predictions hold of cells: columns of each cell, and its outlines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array
from histosge.section.locations import Locations
from histosge.section.section import Section
from histosge.segmentation.cells import Cells

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["ABOUT", "columns", "packed", "unpacked"]

#: what the parts of a file are that only cells have
ABOUT = {
    "var_cells": "where known, share of the variance of mean expression that the prediction explains: reliability_cell "
    "over disks as wide as the median cell, reliability_50um over disks of 50 µm, reliability_own of what cells differ "
    "by from their neighbourhood of 50 µm. reliable_as: 'single cells' (all three are 0.5 or more), 'map of 50 µm' "
    "(that of 50 µm is, not cell by cell) or 'neither', which genes of grade weak and none always are; else 'unknown'",
    "obs_class": "class of the cell in the user's words; missing where it has none",
    "obs_area_um2": "area of the outline; NaN for cells known by centroid alone",
    "obs_nucleus_area_um2": "area of the nucleus; NaN where none is known",
    "obs_confidence": "probability of the detection, where the program that found the cells states it",
    "obs_distance_to_spot_um": "distance of the centroid to the centre of the nearest measured spot",
    "layout_cells": "outlines and nuclei, µm: coordinates, and offsets of rings, polygons and cells into them, as "
    "shapely.to_ragged_array returns them; rows are those of `ids`",
}
# of coordinates: 1/4096 µm. Binary fractions of that length compress to half the space
_STEPS_PER_UM = 4096
# smaller outlines could lose their area by rounding, and are kept to the last digit
_LEAST_ROUNDED_UM2 = 0.01


def columns(section: Section, locations: Locations) -> dict[str, Any]:
    """Return the columns of ``obs`` that only cells have; none for other locations.

    Parameters
    ----------
    section, locations
        The section that the model was fitted to, and the locations of the prediction.
    """
    import pandas as pd

    cells = locations.cells
    if cells is None:
        return {}
    content: dict[str, Any] = {}
    if cells.classes is not None:
        # no class is a missing value, not a class without a name
        classes = pd.Series(np.asarray(cells.classes, dtype=object))
        content["class"] = pd.Categorical(classes.where(classes != ""))
    content["area_um2"] = cells.area_um2
    if cells.nuclei is not None:
        content["nucleus_area_um2"] = _areas(cells.nuclei)
    if cells.confidence is not None:
        content["confidence"] = np.array(cells.confidence)
    if section.has_counts:
        gap = locations.xy - section.spots.xy[np.asarray(locations.parent, dtype=np.intp)]
        content["distance_to_spot_um"] = np.hypot(*gap.T)
    return content


def packed(cells: Cells) -> dict[str, Any]:
    """Return ids and outlines of cells as arrays that HDF5 and zarr hold; see :func:`unpacked`."""
    content: dict[str, Any] = {"ids": cells.ids.astype(object), "source": cells.source}
    if cells.outlines is not None:
        content["outlines"] = _ragged(cells.outlines)
    if cells.nuclei is not None:
        has_nucleus = _present(cells.nuclei)
        # the number of the cell of each nucleus: not every cell has one
        content["nuclei"] = {"cell": np.flatnonzero(has_nucleus)}
        if has_nucleus.any():
            content["nuclei"] |= _ragged(cells.nuclei[has_nucleus])
    return content


def unpacked(obs: DataFrame, xy_um: Array, held: Mapping[str, Any]) -> Cells:
    """Return the cells of a file, one for each row of ``obs``, also after rows were removed or reordered.

    Parameters
    ----------
    obs, xy_um
        The rows and their centroids.
    held
        As :func:`packed` returned it.

    Raises
    ------
    ValueError, KeyError
        For rows that are no cells of the file, or parts that are missing or damaged.
    """
    import pandas as pd

    ids = obs.index.to_numpy(dtype=str)
    row = pd.Index(np.asarray(held["ids"]).astype(str)).get_indexer(ids)
    if (row < 0).any():
        raise ValueError(f"no outline of cell '{ids[row < 0][0]}'")
    nuclei = None
    if "nuclei" in held:
        nuclei = np.full(len(held["ids"]), None, dtype=object)
        if len(cell := np.asarray(held["nuclei"]["cell"], dtype=np.intp)):
            nuclei[cell] = _polygons(held["nuclei"])
    classes = None
    if "class" in obs:
        named = obs["class"].astype(object)
        classes = named.where(named.notna(), "").to_numpy(dtype=str)
    return Cells(
        ids,
        np.asarray(xy_um),
        outlines=_polygons(held["outlines"])[row] if "outlines" in held else None,
        nuclei=None if nuclei is None else nuclei[row],
        classes=classes,
        confidence=obs["confidence"].to_numpy(dtype=np.float64) if "confidence" in obs else None,
        source=str(held["source"]),
    )


def _present(polygons: Array) -> Array:
    return np.array([polygon is not None for polygon in polygons], dtype=bool)


def _areas(polygons: Array) -> Array:
    import shapely

    # shapely gives NaN for the area of a missing polygon
    return np.asarray(shapely.area(polygons), dtype=np.float64)


def _ragged(polygons: Array) -> dict[str, Array]:
    """Return coordinates of polygons, and the offsets of rings, polygons and, where there are any, multipolygons."""
    import shapely

    _, xy_um, offsets = shapely.to_ragged_array(shapely.force_2d(polygons))
    if len(polygons) and _areas(polygons).min() >= _LEAST_ROUNDED_UM2:
        xy_um = np.rint(xy_um * _STEPS_PER_UM) / _STEPS_PER_UM
    return {"xy_um": xy_um} | {f"offsets_{level}": part for level, part in enumerate(offsets)}


def _polygons(held: Mapping[str, Any]) -> Array:
    """Return the polygons that :func:`_ragged` took apart."""
    import shapely

    offsets = tuple(np.asarray(held[f"offsets_{level}"]) for level in range(3) if f"offsets_{level}" in held)
    kind = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)[len(offsets) - 2]
    polygons = shapely.from_ragged_array(kind, np.asarray(held["xy_um"], dtype=np.float64), offsets)
    if len(offsets) == 3:
        # one polygon with several parts makes multipolygons of all
        single = shapely.get_num_geometries(polygons) == 1
        polygons[single] = shapely.get_geometry(polygons[single], 0)
    return np.asarray(polygons)
