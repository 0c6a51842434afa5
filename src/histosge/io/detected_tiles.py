"""Detected tiles as annotations that QuPath opens."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from histosge._runtime.atomic_files import atomic_path
from histosge.prediction.detection import Detection
from histosge.section.section import Section

__all__ = ["CLASS_PREFIX", "write_detected_tiles"]

#: class of the tiles of a gene, before its name
CLASS_PREFIX = "detected "
# a hundredth of a pixel, as QuPath itself writes
_DIGITS_PX, _DIGITS = 2, 6
# orange of Okabe and Ito
_COLOUR = [230, 159, 0]


def write_detected_tiles(path: Path, section: Section, detection: Detection) -> Path:
    """Write the detected tiles as GeoJSON in pixels of the full-resolution image, one square a gene and tile.

    Each is a feature of type ``annotation``, whose class names the gene. Its ``id`` is a UUID made of the names of
    section, gene and tile, so that a second import gives the same objects.

    Parameters
    ----------
    path
        The file; it appears whole or not at all.
    section
        For its name and its µm per pixel.
    detection
        Tiles and genes.

    Raises
    ------
    UsageError
        For a path that cannot be written.
    """
    corners_px = (detection.tiles.corners_um() / section.mpp).round(_DIGITS_PX)
    separator = ""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as stream:
        stream.write('{"type": "FeatureCollection", "features": [\n')
        for column, gene in enumerate(detection.genes):
            for row in detection.detected[:, column].nonzero()[0]:
                tile = str(detection.tiles.ids[row])
                ring = corners_px[row].tolist()
                values = {name: getattr(detection, name)[row, column] for name in ("mean", "sd", "p", "q")}
                feature = {
                    "type": "Feature",
                    "id": str(uuid5(NAMESPACE_URL, f"histosge/{section.name}/{gene}/{tile}")),
                    "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                    "properties": {
                        "objectType": "annotation",
                        "name": f"{gene} {tile}",
                        "classification": {"name": f"{CLASS_PREFIX}{gene}", "color": _COLOUR},
                        "measurements": {
                            name: round(float(value), _DIGITS) for name, value in values.items()
                        },
                    },
                }
                stream.write(separator + json.dumps(feature))
                separator = ",\n"
        stream.write("\n]}\n")
    return path
