"""The user's own GeoJSON of cells, read again feature by feature, so that it can be given back with measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from histosge._runtime.types import Array, Int
from histosge.errors import HistosgeError
from histosge.geometry.json_text import Text, json_text

__all__ = ["UserFeatures", "user_features"]

# a cell and its feature have the same centroid to this many pixels; outlines are written to a hundredth
_SAME_PX = 0.1
# a feature with the id of a cell is that cell if its centroid is no further away than this, in radii of the cell:
# outlines that crossed themselves were mended, which moves a centroid
_RADII = 1.0
# properties under which programs keep the id of a cell
_IDS = ("cell_id", "cellId", "cell_ID", "object_id")
_CHILDREN = ("childObjects", "children")
_Raws = dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True, eq=False)
class UserFeatures:
    """The features of a file that are cells of a prediction.

    Parameters
    ----------
    features
        Text of each feature at the top of the file.
    row
        Row of the cell that each feature is, nested ones after the one that holds them; −1 where it is no cell.
    names
        Names of the measurements that the file has already.
    members
        What the file holds beside its features, by name.
    """

    features: Sequence[msgspec.Raw]
    row: Int[np.ndarray, " n"]
    names: frozenset[str]
    members: Mapping[str, msgspec.Raw]

    @property
    def matched(self) -> int:
        """Number of cells that are features of the file."""
        return int((self.row >= 0).sum())

    def with_measurements(self, values: Any) -> Iterator[bytes]:
        """Yield each feature as JSON, as it is in the file but for the measurements that were added.

        Parameters
        ----------
        values
            A function from the row of a cell to its measurements by name and to its UUID.
        """
        rows = iter(self.row.tolist())
        for feature in self.features:
            yield msgspec.json.encode(_measured(feature, rows, values))


def user_features(path: Path, ids: Array, xy_px: Array, radius_px: Array) -> UserFeatures | None:
    """Read the file that cells were read from; return ``None`` where it is not there or cannot be read as GeoJSON.

    A large file lies in virtual memory alone, and one feature at a time is read.

    Parameters
    ----------
    path
        GeoJSON, possibly compressed.
    ids
        Ids of the cells.
    xy_px, radius_px
        Their centroids in pixels of the full-resolution image, and the radii of disks of their areas.
    """
    matches = _Matches(ids, xy_px, radius_px)
    try:
        features, members = _split(json_text(path))
        for feature in features:
            matches.add(feature)
    except (HistosgeError, OSError, ValueError, TypeError, KeyError, msgspec.MsgspecError, RecursionError):
        return None
    return UserFeatures(features, np.array(matches.row, dtype=np.intp), frozenset(matches.names), members)


def _split(text: Text) -> tuple[Sequence[msgspec.Raw], Mapping[str, msgspec.Raw]]:
    """Return the text of each feature, and of the other members of the file."""
    if bytes(text[:64]).lstrip()[:1] == b"[":
        return msgspec.json.decode(text, type=list[msgspec.Raw]), {}
    content = msgspec.json.decode(text, type=_Raws)
    if "features" in content:
        features = msgspec.json.decode(content.pop("features"), type=list[msgspec.Raw])
        content.pop("type", None)
        return features, content
    return [msgspec.Raw(text)] if "geometry" in content else [], {}


class _Matches:
    """Which features are which cells: by id and position, or by position alone."""

    def __init__(self, ids: Array, xy_px: Array, radius_px: Array) -> None:
        from scipy.spatial import cKDTree

        self.row: list[int] = []
        self.names: set[str] = set()
        self._row_of = {str(name): row for row, name in enumerate(ids)}
        self._xy, self._radius, self._tree = xy_px, radius_px, cKDTree(xy_px)
        self._free = np.ones(len(ids), dtype=bool)

    def add(self, feature: msgspec.Raw) -> None:
        content = msgspec.json.decode(feature, type=_Raws)
        properties = _properties(content)
        row = self._matched(content, properties)
        self.row.append(row)
        if row >= 0:
            self._free[row] = False
            self.names.update(name for name, _ in _pairs(properties.get("measurements")))
        for child in _children(properties):
            self.add(child)

    def _matched(self, content: _Raws, properties: _Raws) -> int:
        centre = _centroid(content["geometry"]) if "geometry" in content else None
        if centre is None:
            return -1
        named = self._row_of.get(_identity(content, properties), -1)
        if named >= 0 and self._free[named]:
            distance = float(np.hypot(*(self._xy[named] - centre)))
            if distance <= max(_RADII * float(self._radius[named]), _SAME_PX):
                return named
        near = [row for row in self._tree.query_ball_point(centre, _SAME_PX) if self._free[row]]
        return min(near, key=lambda row: float(np.hypot(*(self._xy[row] - centre))), default=-1)


def _centroid(geometry: msgspec.Raw) -> Array | None:
    import shapely

    shape = shapely.from_geojson(bytes(geometry), on_invalid="ignore")
    if shape is None:
        # rings that are not closed
        content = msgspec.json.decode(geometry)
        try:
            shape = shapely.geometry.shape(content) if content else None
        except (shapely.errors.ShapelyError, AttributeError, IndexError):
            return None
    if shape is None or shape.is_empty:
        return None
    centre = (shape if shape.is_valid else shapely.make_valid(shape)).centroid
    return None if centre.is_empty else np.array([centre.x, centre.y])


def _identity(content: _Raws, properties: _Raws) -> str:
    held = next((properties[name] for name in _IDS if name in properties), content.get("id"))
    value = None if held is None else msgspec.json.decode(held)
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _properties(content: _Raws) -> _Raws:
    return (
        msgspec.json.decode(content["properties"], type=_Raws | None) or {} if "properties" in content else {}
    )


def _children(properties: _Raws) -> list[msgspec.Raw]:
    lists = [properties[name] for name in _CHILDREN if name in properties]
    return [
        child for part in lists for child in msgspec.json.decode(part, type=list[msgspec.Raw] | None) or []
    ]


def _pairs(measurements: msgspec.Raw | None) -> list[tuple[str, msgspec.Raw]]:
    """Return measurements by name, of which QuPath had a list of pairs before it had a mapping."""
    if measurements is None:
        return []
    content = msgspec.json.decode(measurements, type=_Raws | list[_Raws] | None) or {}
    if isinstance(content, dict):
        return list(content.items())
    return [(msgspec.json.decode(item["name"], type=str), item["value"]) for item in content]


def _measured(feature: msgspec.Raw, rows: Iterator[int], values: Any) -> _Raws | dict[str, Any]:
    """Return a feature with its measurements and those of the features inside it."""
    content: dict[str, Any] = msgspec.json.decode(feature, type=_Raws)
    properties: dict[str, Any] = _properties(content)
    row = next(rows)
    for name in (name for name in _CHILDREN if name in properties):
        children = msgspec.json.decode(properties[name], type=list[msgspec.Raw] | None) or []
        properties[name] = [_measured(child, rows, values) for child in children]
    if row >= 0:
        added, identifier = values(row)
        properties["measurements"] = {**dict(_pairs(properties.get("measurements"))), **added}
        # a program without them would make each cell an annotation, and a new object at each import
        if not any(name in properties for name in ("objectType", "object_type", "type")):
            properties["objectType"] = "cell" if "nucleusGeometry" in content else "detection"
        content.setdefault("id", identifier)
    if properties or "properties" in content:
        content["properties"] = properties
    return content
