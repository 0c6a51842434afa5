"""Predictions as objects that QuPath opens: a circle a location, or a cell's own outline, with measurements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array
from histosge.io.layout.cell_outlines import colour_of, outline_px
from histosge.io.layout.user_geojson import UserFeatures, user_features
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.section import Section

from .base import AnyPrediction, WriteOptions, Writer
from .recognise import FIRST_LINE, MARK, is_own_geojson

__all__ = ["ENTRIES", "write"]

# corners of a circle for programs without ellipses; the box of QuPath's ellipse is exact with any multiple of four
_CORNERS = 12
_CIRCLE = np.column_stack(
    [
        np.cos(np.arange(_CORNERS + 1) * 2 * np.pi / _CORNERS),
        np.sin(np.arange(_CORNERS + 1) * 2 * np.pi / _CORNERS),
    ]
)
# a hundredth of a pixel, as QuPath itself writes; finer digits only make the file larger
_DIGITS_PX, _DIGITS = 2, 4
# blue and orange of Okabe and Ito, which colour-blind people can distinguish; QuPath would choose at random
_GEOJSON = re.compile(r"\.(geo)?json(\.gz|\.zip)?$|\.zip$", re.IGNORECASE)
_MEASURED = {"name": "measured spot", "color": [0, 114, 178]}
_PREDICTED = {"name": "predicted location", "color": [230, 159, 0]}


def write(
    path: Path, section: Section, prediction: AnyPrediction, options: WriteOptions | None = None
) -> Path:
    """Write GeoJSON in pixels of the full-resolution image, as QuPath (0.4 and later) imports it; return the path.

    Each location is a feature of type ``detection``: an ellipse to QuPath (``isEllipse``, its box counts), a ring of
    twelve corners to other programs. Its ``id`` is a UUID, because QuPath draws a new one at each import of an object
    without. It depends on section and location alone: a second import gives the same objects. Locations that came
    with UUIDs, such as cells exported from QuPath, keep theirs.

    Cells that were read from GeoJSON are given back as they are in that file: each feature with all of its properties,
    its geometry to the digit, and one measurement a gene added; features that are no cells, too. Where the file is no
    GeoJSON, or is not there any more, features are made of the outlines: of type ``cell`` with ``nucleusGeometry``
    where nuclei are known.

    Parameters
    ----------
    path
        The file; it appears whole or not at all.
    section
        For its µm per pixel.
    prediction
        Locations and values.
    options
        The genes: each is a measurement of that name, by which QuPath colours the detections.

    Raises
    ------
    UsageError
        For genes that were not predicted, or a path that cannot be written.
    """
    prediction = (options or WriteOptions()).select(prediction)
    if isinstance(prediction, FactoredPrediction):
        prediction = prediction.whole()
    texts, members = _features(section, prediction, _users(section, prediction))
    with atomic_path(path) as draft, draft.open("wb") as stream:
        # one feature a line: the text of a million locations is never in memory
        stream.write(FIRST_LINE.encode() + b"\n")
        for number, text in enumerate(texts):
            stream.write((b",\n" if number else b"") + text)
        stream.write(b"\n]" + b"".join(b", " + member for member in members) + b"}\n")
    return path


def _users(section: Section, prediction: Prediction) -> UserFeatures | None:
    """Read the GeoJSON that cells were read from; ``None`` where there is none."""
    cells = prediction.locations.cells
    held = prediction.provenance.get("target")
    name = held.get("cells") if isinstance(held, Mapping) else None
    if cells is None or not isinstance(name, str) or not _GEOJSON.search(name):
        return None
    radius_px = np.sqrt(np.nan_to_num(cells.area_um2) / np.pi) / section.mpp
    users = user_features(Path(name), cells.ids, cells.xy_um / section.mpp, radius_px)
    matched = 0 if users is None else users.matched
    if matched < len(cells) and (users is None or users.row.size):
        text = (
            f"Expected a feature for each of {len(cells)} cells in '{name}', which they were read from, got "
            f"{matched}: it was moved or changed, or holds several cells in a feature. Features of the others are "
            "made of their outlines."
        )
        emit([Message("warning", text)])
    return users if matched else None


def _features(
    section: Section, prediction: Prediction, users: UserFeatures | None
) -> tuple[Iterator[bytes], list[bytes]]:
    """Return the features, first the user's own, and what the file holds beside them."""
    names = _names(prediction.genes, users)

    def values(row: int) -> dict[str, float]:
        numbers = prediction.mean[row].astype(float).round(_DIGITS).tolist()
        return dict(zip(names, numbers, strict=True))

    def made(row: int) -> bytes:
        return json.dumps(_feature(section, prediction, row, values(row))).encode()

    mark = [] if prediction.locations.cells is None else [f'"{MARK}": "cells"'.encode()]
    if users is None:
        return (made(row) for row in range(len(prediction))), mark
    ids = prediction.locations.points.ids
    own = users.with_measurements(lambda row: (values(row), _identifier(section, str(ids[row]))))
    others = np.setdiff1d(np.arange(len(prediction)), users.row)
    members = [
        json.dumps(key).encode() + b": " + bytes(raw) for key, raw in users.members.items() if key != MARK
    ]
    return chain(own, (made(row) for row in others.tolist())), [*members, *mark]


def _names(genes: Array, users: UserFeatures | None) -> list[str]:
    """Return the names of the measurements; a gene with the name of one that the user's file has gets another."""
    names = [str(gene) for gene in genes]
    if users is None or not (taken := [name for name in names if name in users.names]):
        return names
    renamed = {name: f"{name} (predicted)" for name in taken}
    while taken := [name for name, new in renamed.items() if new in users.names]:
        renamed |= {name: f"{renamed[name]}'" for name in taken}
    text = (
        f"{len(renamed)} measurements of the file of cells have the name of a gene and were kept; predictions are "
        f"called '{next(iter(renamed.values()))}'."
    )
    emit([Message("warning", text)])
    return [renamed.get(name, name) for name in names]


def _feature(section: Section, prediction: Prediction, row: int, values: dict[str, float]) -> dict[str, Any]:
    locations = prediction.locations
    name = str(locations.points.ids[row])
    cells, kind = locations.cells, "detection"
    feature: dict[str, Any] = {"type": "Feature", "id": _identifier(section, name)}
    if cells is None or cells.outlines is None:
        radius_px = locations.points.diameter_um / 2 / section.mpp
        feature["geometry"] = _circle(locations.xy[row] / section.mpp, radius_px)
    else:
        feature["geometry"] = outline_px(cells.outlines[row], section.mpp)
        if cells.nuclei is not None:
            kind = "cell"
            if cells.nuclei[row] is not None:
                feature["nucleusGeometry"] = outline_px(cells.nuclei[row], section.mpp)
    properties: dict[str, Any] = {"objectType": kind, "name": name}
    if cells is None or cells.classes is None:
        properties["classification"] = _MEASURED if locations.observed[row] else _PREDICTED
    elif word := str(cells.classes[row]):
        properties["classification"] = {"name": word, "color": colour_of(word)}
    return feature | {"properties": properties | {"measurements": values}}


def _identifier(section: Section, location: str) -> str:
    """Return the location's own UUID, or one made of the names of section and location."""
    try:
        return str(UUID(location))
    except ValueError:
        # version 5: the same names give the same UUID on every machine
        return str(uuid5(NAMESPACE_URL, f"histosge/{section.name}/{location}"))


def _circle(xy_px: Array, radius_px: float) -> dict[str, Any]:
    """Return a circle, or a point for locations without extent. QuPath counts from pixels' corners, as we do."""
    if not radius_px > 0:
        return {"type": "Point", "coordinates": xy_px.round(_DIGITS_PX).tolist()}
    ring = (xy_px + radius_px * _CIRCLE).round(_DIGITS_PX)
    return {"type": "Polygon", "coordinates": [ring.tolist()], "isEllipse": True}


ENTRIES = (
    Writer(
        name="geojson",
        summary="detections with one measurement a gene, in pixels of the full-resolution image: QuPath, GeoPandas",
        filename="prediction.geojson",
        kind="file",
        streams=False,
        write=write,
        recognises=is_own_geojson,
        all_genes=False,
    ),
)
