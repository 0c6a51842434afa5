"""Regions of the tissue as one label a location."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from histosge._runtime.names import near_misses
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.geometry.polygons import Polygon, read_polygons

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["REST", "Regions", "circular", "labels_of", "pair_of"]

Regions: TypeAlias = "str | Path | Mapping[str, Any] | Sequence[Any] | Array"
# the second region, where there is one region only
REST = "the rest"
# labels that an error lists
_MOST_NAMED = 8


def labels_of(adata: AnnData, regions: Regions) -> Array:
    """Return the region of each location of a prediction; empty where it lies in none.

    Parameters
    ----------
    adata
        The prediction.
    regions
        A column of ``obs``, one label a location, a GeoJSON file of QuPath, or polygons by name: corners in µm
        (m × 2) or shapes of shapely.

    Raises
    ------
    UsageError
        For an unknown column or file, labels of another number, a region that is no polygon, and regions that overlap.
    """
    if isinstance(regions, str) and regions in adata.obs:
        return _texts(adata.obs[regions].to_numpy())
    if isinstance(regions, (str, Path)):
        return _within(adata, _polygons(adata, regions))
    if isinstance(regions, Mapping):
        shapes = [(str(name), _shape(str(name), border)) for name, border in regions.items()]
        return _within(adata, shapes)
    labels = _texts(np.asarray(regions, dtype=object).ravel())
    if labels.shape != (adata.n_obs,):
        raise UsageError(
            f"Expected a label for each of {adata.n_obs} locations in `regions`, got {labels.size}. Give a column of "
            "obs, a label a location, or polygons."
        )
    return labels


def pair_of(labels: Array, between: Sequence[str] | None) -> tuple[str, str]:
    """Return the names of the two regions to compare.

    Raises
    ------
    UsageError
        For a name that no location has, and where the number of regions leaves open which are compared.
    """
    names = sorted(set(labels[labels != ""].tolist()))
    listed = ", ".join(names[:_MOST_NAMED]) or "none"
    if between is None:
        if len(names) == 1:
            return names[0], REST
        if len(names) != 2:
            raise UsageError(f"Expected two regions, got {len(names)} ({listed}). Name two with `between`.")
        return names[0], names[1]
    if isinstance(between, str) or len(between) != 2 or str(between[0]) == str(between[1]):
        raise UsageError(
            f"Expected two different regions in `between`, got {between!r}. There are: {listed}."
        )
    for name in (str(between[0]), str(between[1])):
        if name not in names and name != REST:
            raise UsageError(
                f"No location is in region '{name}'. There are: {listed}.{near_misses(name, names)}"
            )
    return str(between[0]), str(between[1])


def circular(adata: AnnData, regions: Regions) -> bool:
    """Tell whether the regions were made from expression: domains of this package, clusters of scanpy."""
    held = adata.uns.get(regions) if isinstance(regions, str) else None
    return isinstance(held, Mapping) and ({"method", "values"} <= set(held) or "params" in held)


def _texts(labels: Array) -> Array:
    import pandas as pd

    return np.array(["" if pd.isna(label) else str(label) for label in labels], dtype=object)


def _polygons(adata: AnnData, path: str | Path) -> list[tuple[str, Any]]:
    columns = [str(name) for name in adata.obs.columns]
    if not Path(path).is_file():
        raise UsageError(
            f"'{path}' is neither a column of obs nor a GeoJSON file.{near_misses(str(path), columns)}"
        )
    polygons = read_polygons(Path(path), mpp=float(adata.uns["histosge"]["layout"]["mpp"]))
    unnamed = sum(not polygon.name for polygon in polygons)
    if unnamed and len(polygons) > 1:
        raise UsageError(
            f"{unnamed} of {len(polygons)} polygons of '{path}' have no name. Name them in QuPath."
        )
    return [(polygon.name or "region", polygon) for polygon in polygons]


def _shape(name: str, border: Any) -> Any:
    import shapely

    if isinstance(border, Polygon):
        return border
    if not isinstance(border, shapely.Geometry):
        corners = np.asarray(border, dtype=object)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise UsageError(f"Expected corners of region '{name}' in µm (m × 2), got {corners.shape}.")
        if not np.isfinite(corners.astype(np.float64)).all():
            raise UsageError(f"Expected corners of region '{name}' in µm, got one that is no finite number.")
        border = shapely.Polygon(corners.astype(np.float64))
    return shapely.make_valid(border)


def _within(adata: AnnData, shapes: Sequence[tuple[str, Any]]) -> Array:
    """Return the name of the shape around each location; shapes of one name are one region."""
    import shapely

    xy_um = np.asarray(adata.obsm["spatial_um"], dtype=np.float64)
    labels = np.full(len(xy_um), "", dtype=object)
    for name, shape in shapes:
        own = isinstance(shape, Polygon)
        inside = shape.contains(xy_um) if own else shapely.contains_xy(shape, xy_um[:, 0], xy_um[:, 1])
        if not inside.any():
            spans = ", ".join(
                f"{low:.0f} … {high:.0f}" for low, high in zip(xy_um.min(0), xy_um.max(0), strict=True)
            )
            raise UsageError(
                f"Region '{name}' holds no measured spot and no predicted location. Locations span {spans} µm (x, y); "
                "corners are in µm, those of GeoJSON in full-resolution pixels."
            )
        other = inside & (labels != "") & (labels != name)
        if other.any():
            raise UsageError(
                f"{int(other.sum())} locations lie both in '{labels[other][0]}' and in '{name}'. Regions may not "
                "overlap: give one of them at a time."
            )
        labels[inside] = name
    return labels
