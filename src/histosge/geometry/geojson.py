"""The polygons and points of GeoJSON, checked against its schema (RFC 7946)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError

__all__ = ["Shape", "read_shapes"]

# properties that are an id of a cell rather than its class
_IDS = ("cell_id", "cellId", "cell_ID", "object_id")
# the border and the holes of a polygon, as lists of positions
Rings = list[list[list[float]]]


class _Point(msgspec.Struct, tag="Point"):
    coordinates: list[float]


class _Polygon(msgspec.Struct, tag="Polygon"):
    coordinates: Rings


class _MultiPolygon(msgspec.Struct, tag="MultiPolygon"):
    coordinates: list[Rings]


class _MultiPoint(msgspec.Struct, tag="MultiPoint"):
    """Not read, but counted, as the two kinds of lines."""


class _LineString(msgspec.Struct, tag="LineString"):
    pass


class _MultiLineString(msgspec.Struct, tag="MultiLineString"):
    pass


class _Collection(msgspec.Struct, tag="GeometryCollection"):
    geometries: list[Geometry]


Geometry = _Point | _Polygon | _MultiPolygon | _MultiPoint | _LineString | _MultiLineString | _Collection


class _Feature(msgspec.Struct):
    geometry: Geometry | None = None
    id: str | int | None = None
    properties: dict[str, Any] | None = None


class _Document(_Feature):
    """A collection of features, or a single one."""

    features: list[_Feature] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What a feature of GeoJSON outlines, in the pixels it was drawn on.

    Parameters
    ----------
    name, id
        Of the feature; empty where it has none. A property ``cell_id`` comes before the feature's own id.
    number
        Of the feature in the file, from 0.
    polygons
        Border and holes of each polygon.
    point
        Its position, where it is a point.
    """

    name: str
    id: str
    number: int
    polygons: tuple[tuple[Array, ...], ...]
    point: Array | None = None


def read_shapes(path: Path, *, points: bool) -> tuple[list[Shape], Counter[str]]:
    """Read polygons (and ``points``, where asked for), and count by kind what was left out.

    Lines, empty geometries and polygons without area are left out.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is no GeoJSON, and says where.
    """
    shapes: list[Shape] = []
    left_out: Counter[str] = Counter()
    for number, feature in enumerate(_features(path)):
        where = f"feature {number + 1} of '{path}'"
        name = str((feature.properties or {}).get("name") or "")
        polygons, point = [], None
        for part in _parts(feature.geometry):
            if isinstance(part, _Point) and points:
                point = _positions([part.coordinates], where)[0]
            elif isinstance(part, _Polygon):
                polygons += _with_area(part.coordinates, where, left_out)
            else:
                left_out[_kind(part)] += 1
        if polygons or point is not None:
            shapes.append(Shape(name, _identity(feature), number, tuple(polygons), point=point))
    return shapes, left_out


def _features(path: Path) -> list[_Feature]:
    try:
        text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        content = msgspec.json.decode(text, type=list[_Feature] | _Document)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(f"Expected a GeoJSON file, got none at '{path}'.") from error
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise DataError(
            f"'{path}' is no GeoJSON of polygons ({error}). Export it from QuPath again."
        ) from error
    if isinstance(content, list):
        return content
    return [content] if content.features is None else content.features


def _identity(feature: _Feature) -> str:
    """Return the id that the user's program has for a feature: Space Ranger's ``cell_id``, QuPath's ``id``."""
    properties = feature.properties or {}
    stored = next((properties[name] for name in _IDS if properties.get(name) is not None), feature.id)
    if isinstance(stored, float) and stored.is_integer():
        # some writers have numbers of one kind only
        stored = int(stored)
    return "" if stored is None else str(stored)


def _parts(geometry: Geometry | None) -> Iterator[Geometry | None]:
    """Yield the simple geometries of one that may be a collection, of a multipolygon its polygons."""
    if isinstance(geometry, _Collection):
        for part in geometry.geometries:
            yield from _parts(part)
    elif isinstance(geometry, _MultiPolygon):
        yield from (_Polygon(rings) for rings in geometry.coordinates)
    else:
        yield geometry


def _with_area(rings: Rings, where: str, left_out: Counter[str]) -> list[tuple[Array, ...]]:
    """Return the polygon, or nothing where its border encloses no area; holes without area are dropped."""
    kept = [positions for positions in (_positions(ring, where) for ring in rings) if _encloses(positions)]
    if not kept or not _encloses(_positions(rings[0], where)):
        left_out["polygon without area"] += 1
        return []
    return [tuple(kept)]


def _positions(ring: list[list[float]], where: str) -> Array:
    """Return a ring as positions; a height is left out."""
    if any(len(position) < 2 for position in ring):
        raise DataError(
            f"Expected positions of two numbers in {where}, got one number. Export it from QuPath again."
        )
    return np.array([position[:2] for position in ring], dtype=np.float64).reshape(-1, 2)


def _encloses(ring: Array) -> bool:
    """Return whether a ring has three corners that are not on a line."""
    if len(ring) < 3:
        return False
    sides = ring - ring[0]
    longest = sides[np.argmax((sides**2).sum(axis=1))]
    # twice the area of the largest triangle on the longest side
    return bool(np.abs(sides[:, 0] * longest[1] - sides[:, 1] * longest[0]).max() > 1e-6)


def _kind(part: Geometry | None) -> str:
    """Return the name of a kind of geometry."""
    return "feature without geometry" if part is None else str(part.__struct_config__.tag)
