"""Predictions as detections that QuPath opens: one circle a location, with its measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.section import Section

from .base import AnyPrediction, WriteOptions, Writer
from .recognise import is_own_geojson

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
    genes = [str(name) for name in prediction.genes]
    xy_px = prediction.locations.xy / section.mpp
    radius_px = prediction.locations.points.diameter_um / 2 / section.mpp
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as stream:
        # one feature a line: the text of a million locations is never in memory
        stream.write('{"type": "FeatureCollection", "features": [\n')
        for row in range(len(prediction)):
            values = dict(zip(genes, prediction.mean[row].astype(float).round(_DIGITS).tolist(), strict=True))
            feature = _feature(
                section, prediction, row=row, geometry=_geometry(xy_px[row], radius_px), values=values
            )
            stream.write(("" if row == 0 else ",\n") + json.dumps(feature))
        stream.write("\n]}\n")
    return path


def _feature(
    section: Section, prediction: Prediction, row: int, geometry: dict[str, Any], values: dict[str, float]
) -> dict[str, Any]:
    name = str(prediction.locations.points.ids[row])
    return {
        "type": "Feature",
        "id": _identifier(section, name),
        "geometry": geometry,
        "properties": {
            "objectType": "detection",
            "name": name,
            "classification": _MEASURED if prediction.locations.observed[row] else _PREDICTED,
            "measurements": values,
        },
    }


def _identifier(section: Section, location: str) -> str:
    """Return the location's own UUID, or one made of the names of section and location."""
    try:
        return str(UUID(location))
    except ValueError:
        # version 5: the same names give the same UUID on every machine
        return str(uuid5(NAMESPACE_URL, f"histosge/{section.name}/{location}"))


def _geometry(xy_px: Array, radius_px: float) -> dict[str, Any]:
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
