"""The polygons and points of GeoJSON, checked against its schema (RFC 7946)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError

from .json_text import json_text

__all__ = ["Shape", "iterate_shapes", "read_shapes"]

# properties that are an id of a cell rather than its class
_IDS = ("cell_id", "cellId", "cell_ID", "object_id")
# QuPath's word between the parts of a derived class, as in "Tumour: Positive"
_CLASS_SEPARATOR = ": "
# the border and the holes of a polygon, as lists of positions
Rings = list[list[list[float]]]
# border and holes of each polygon
Polygons = tuple[tuple[Array, ...], ...]
_NOTHING = msgspec.Raw(b"null")
# bytes that no geometry is shorter than
_SHORT = 16


class _Point(msgspec.Struct, tag="Point"):
    coordinates: list[float]


class _Polygon(msgspec.Struct, tag="Polygon"):
    coordinates: Rings


class _MultiPolygon(msgspec.Struct, tag="MultiPolygon"):
    coordinates: list[Rings]


class _MultiPoint(msgspec.Struct, tag="MultiPoint"):
    coordinates: list[list[float]] = msgspec.field(default_factory=list)


class _LineString(msgspec.Struct, tag="LineString"):
    """Not read, but counted."""


class _MultiLineString(msgspec.Struct, tag="MultiLineString"):
    pass


class _Collection(msgspec.Struct, tag="GeometryCollection"):
    geometries: list[Geometry]


Geometry = _Point | _Polygon | _MultiPolygon | _MultiPoint | _LineString | _MultiLineString | _Collection


class _Properties(msgspec.Struct):
    """What is used of a feature's properties; the rest is skipped unread."""

    name: Any = None
    cell_id: Any = None
    cellId: Any = None  # noqa: N815
    cell_ID: Any = None  # noqa: N815
    object_id: Any = None
    objectType: Any = None  # noqa: N815
    object_type: Any = None
    classification: Any = None
    class_: Any = msgspec.field(default=None, name="class")
    prob: Any = None
    probability: Any = None
    measurements: msgspec.Raw = _NOTHING
    childObjects: list[msgspec.Raw] | None = None  # noqa: N815
    children: list[msgspec.Raw] | None = None


class _Feature(msgspec.Struct):
    geometry: msgspec.Raw = _NOTHING
    nucleusGeometry: msgspec.Raw = _NOTHING  # noqa: N815
    id: str | int | None = None
    properties: _Properties | None = None
    childObjects: list[msgspec.Raw] | None = None  # noqa: N815
    children: list[msgspec.Raw] | None = None


class _Document(msgspec.Struct):
    """A collection of features, or a single one."""

    features: list[msgspec.Raw] | None = None


_DOCUMENT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[msgspec.Raw] | _Document)
_FEATURE = msgspec.json.Decoder(_Feature)
_GEOMETRY: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Geometry | None)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What a feature of GeoJSON outlines, in the pixels it was drawn on.

    Parameters
    ----------
    name, id
        Of the feature; empty where it has none. A property ``cell_id`` comes before the feature's own id.
    number
        Of the feature in the file, from 0; objects inside of others count, too.
    polygons
        Border and holes of each polygon.
    points
        Its positions, (m, 2), where it is a point or several.
    kind
        QuPath's type of object: ``cell``, ``detection``, ``annotation`` …; empty where it has none.
    label
        Its class; parts of a derived class as QuPath shows them, ``Tumour: Positive``. Empty where it has none.
    nucleus
        Polygons of the nucleus, where the feature is a cell with one.
    probability
        Of the detection, where a measurement or property says it; NaN where not.
    """

    name: str
    id: str
    number: int
    polygons: Polygons
    points: Array = field(default_factory=lambda: np.empty((0, 2)))
    kind: str = ""
    label: str = ""
    nucleus: Polygons = ()
    probability: float = float("nan")


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
    left_out: Counter[str] = Counter()
    return list(iterate_shapes(path, left_out, points=points)), left_out


def iterate_shapes(path: Path, left_out: Counter[str], *, points: bool) -> Iterator[Shape]:
    """Yield shapes one by one, so that a million cells are never in memory as lists of numbers.

    Parameters
    ----------
    path
        A collection, a list of features or one feature; may be compressed (gzip, zip).
    left_out
        Counts by kind what is left out, while the shapes are taken.
    points
        Whether points are read; otherwise they are left out.

    Raises
    ------
    UsageError, DataError
        As :func:`read_shapes` does.
    """
    try:
        for number, feature in enumerate(_features(path)):
            where = f"feature {number + 1} of '{path}'"
            shape = _shape(feature, number, where=where, points=points, left_out=left_out)
            if shape is not None:
                yield shape
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise DataError(
            f"'{path}' is no GeoJSON of polygons ({error}). Export it from QuPath again."
        ) from error


def _features(path: Path) -> Iterator[_Feature]:
    """Yield the features of a file, those inside of others after them."""
    text = json_text(path)
    content = _DOCUMENT.decode(text)
    if isinstance(content, _Document):
        content = [msgspec.Raw(bytes(text))] if content.features is None else content.features
    for raw in content:
        yield from _with_children(raw)


def _with_children(raw: msgspec.Raw) -> Iterator[_Feature]:
    feature = _FEATURE.decode(raw)
    yield feature
    inside = feature.properties or _Properties()
    for children in (feature.childObjects, feature.children, inside.childObjects, inside.children):
        for child in children or ():
            yield from _with_children(child)


def _shape(
    feature: _Feature, number: int, *, where: str, points: bool, left_out: Counter[str]
) -> Shape | None:
    """Return what a feature outlines; ``None`` where it outlines nothing."""
    polygons: list[tuple[Array, ...]] = []
    positions: list[list[float]] = []
    for part in _parts(_geometry(feature.geometry)):
        if points and isinstance(part, _Point):
            positions.append(part.coordinates)
        elif points and isinstance(part, _MultiPoint):
            positions += part.coordinates
        elif isinstance(part, _Polygon):
            polygons += _with_area(part.coordinates, where, left_out)
        else:
            left_out[_kind(part)] += 1
    if not polygons and not positions:
        return None
    nucleus: list[tuple[Array, ...]] = []
    for part in _parts(_geometry(feature.nucleusGeometry)):
        nucleus += _with_area(part.coordinates, where, Counter()) if isinstance(part, _Polygon) else []
    properties = feature.properties or _Properties()
    kind = properties.objectType or properties.object_type
    return Shape(
        str(properties.name or ""),
        _identity(feature.id, properties),
        number,
        tuple(polygons),
        points=_positions(positions, where),
        kind=kind.lower() if isinstance(kind, str) else "",
        label=_label(properties.classification or properties.class_),
        nucleus=tuple(nucleus),
        probability=_probability(properties),
    )


def _geometry(raw: msgspec.Raw) -> Geometry | None:
    # QuPath writes an empty object for an empty outline
    view = memoryview(raw)
    if len(view) < _SHORT and not bytes(view).strip(b"{} \r\n\t"):
        return None
    return _GEOMETRY.decode(raw)  # type: ignore[no-any-return]


def _identity(own: str | int | None, properties: _Properties) -> str:
    """Return the id that the user's program has for a feature: Space Ranger's ``cell_id``, QuPath's ``id``."""
    stored = next((value for name in _IDS if (value := getattr(properties, name)) is not None), own)
    if isinstance(stored, float) and stored.is_integer():
        # some writers have numbers of one kind only
        stored = int(stored)
    return "" if stored is None else str(stored)


def _label(classification: Any) -> str:
    """Return the class of a feature: a word, an object with a name, or one with the names of a derived class."""
    if isinstance(classification, dict):
        names = classification.get("names")
        if isinstance(names, list):
            return _CLASS_SEPARATOR.join(str(name) for name in names)
        classification = classification.get("name")
    return "" if classification is None else str(classification)


def _probability(properties: _Properties) -> float:
    """Return the probability of a detection: a property, or a measurement whose name says so; NaN where none."""
    value = properties.prob if properties.prob is not None else properties.probability
    if value is None and b"robability" in bytes(properties.measurements):
        measured = msgspec.json.decode(properties.measurements)
        # one object by name, or in older versions a list of names and values
        pairs = measured.items() if isinstance(measured, dict) else map(_name_and_value, measured or ())
        value = next((number for name, number in pairs if "probability" in str(name).lower()), None)
    return float(value) if isinstance(value, (int, float)) and 0 <= value <= 1 else float("nan")


def _name_and_value(entry: Any) -> tuple[Any, Any]:
    return (entry.get("name"), entry.get("value")) if isinstance(entry, dict) else (None, None)


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
    arrays = [_positions(ring, where) for ring in rings]
    if not arrays or not _encloses(arrays[0]):
        left_out["polygon without area"] += 1
        return []
    return [(arrays[0], *(hole for hole in arrays[1:] if _encloses(hole)))]


def _positions(ring: list[list[float]], where: str) -> Array:
    """Return a ring as positions; a height is left out."""
    if not ring:
        return np.empty((0, 2))
    try:
        array = np.array(ring, dtype=np.float64)
    except ValueError:
        # heights at some positions only
        array = np.array([position[:2] for position in ring if len(position) > 1], dtype=np.float64)
        array = array[:0] if len(array) < len(ring) else array
    if array.ndim != 2 or array.shape[1] < 2 or not len(array):
        raise DataError(
            f"Expected positions of two numbers in {where}, got one number. Export it from QuPath again."
        )
    return array[:, :2]


def _encloses(ring: Array) -> bool:
    """Return whether a ring has three corners that are not on a line."""
    if len(ring) < 3:
        return False
    sides = ring - ring[0]
    x, y = sides.T
    # twice the area: rarely small, and then of a ring that crosses itself or has none
    if abs(x[:-1] @ y[1:] - y[:-1] @ x[1:]) > 1e-6:
        return True
    longest = sides[np.argmax((sides**2).sum(axis=1))]
    # twice the area of the largest triangle on the longest side
    return bool(np.abs(sides[:, 0] * longest[1] - sides[:, 1] * longest[0]).max() > 1e-6)


def _kind(part: Geometry | None) -> str:
    """Return the name of a kind of geometry."""
    return "feature without geometry" if part is None else str(part.__struct_config__.tag)
