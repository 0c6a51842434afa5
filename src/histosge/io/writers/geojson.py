"""Predictions as detections that QuPath opens: one circle a place, with its measurements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.prediction.prediction import Prediction
from histosge.section.section import Section

__all__ = ["write"]

_CORNERS = 12
_CIRCLE = np.column_stack(
    [
        np.cos(np.arange(_CORNERS + 1) * 2 * np.pi / _CORNERS),
        np.sin(np.arange(_CORNERS + 1) * 2 * np.pi / _CORNERS),
    ]
)
# a hundredth of a pixel, as QuPath itself writes; finer digits only make the file larger
_DIGITS_PX, _DIGITS = 2, 4
# blue and orange of Okabe and Ito, which colour-blind people tell apart; without them QuPath draws its own lot
_MEASURED = {"name": "measured spot", "color": [0, 114, 178]}
_GENERATED = {"name": "generated place", "color": [230, 159, 0]}


def write(path: Path, section: Section, prediction: Prediction, *, genes: Sequence[str]) -> Path:
    """Write GeoJSON in pixels of the full-resolution image, as QuPath (0.4 and later) imports it; return the path.

    Each place is a feature of type ``detection``: an ellipse to QuPath (``isEllipse``, its box counts), a ring of
    twelve corners to everybody else. Its ``id`` is a UUID, without which QuPath draws a new one at each import; it
    depends on section and place alone, so that a second import is known as the same objects. Places that came with
    UUIDs, as cells exported from QuPath do, keep theirs.

    Parameters
    ----------
    path
        The file; it appears whole or not at all.
    section
        For its µm per pixel.
    prediction
        Places and values.
    genes
        Which of its genes to write, as measurements named for them: QuPath colours detections by any of these.

    Raises
    ------
    UsageError
        For genes that were not predicted, or a path that cannot be written.
    """
    columns = prediction.columns(genes)
    xy_px = prediction.locations.xy / section.mpp
    radius_px = prediction.locations.points.diameter_um / 2 / section.mpp
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as stream:
        # one feature a line: a million places never stand in memory as text
        stream.write('{"type": "FeatureCollection", "features": [\n')
        for row in range(len(prediction)):
            values = dict(
                zip(genes, prediction.mean[row, columns].astype(float).round(_DIGITS).tolist(), strict=True)
            )
            feature = _feature(section, prediction, row, _geometry(xy_px[row], radius_px), values)
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
            "classification": _MEASURED if prediction.locations.observed[row] else _GENERATED,
            "measurements": values,
        },
    }


def _identifier(section: Section, place: str) -> str:
    """Return the place's own UUID, or the one that section and name make."""
    try:
        return str(UUID(place))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"histosge/{section.name}/{place}"))


def _geometry(xy_px: Array, radius_px: float) -> dict[str, Any]:
    """Return a circle, or a point where places have no extent. QuPath counts from pixels' corners, as we do."""
    if not radius_px > 0:
        return {"type": "Point", "coordinates": xy_px.round(_DIGITS_PX).tolist()}
    ring = (xy_px + radius_px * _CIRCLE).round(_DIGITS_PX)
    return {"type": "Polygon", "coordinates": [ring.tolist()], "isEllipse": True}
