"""Cells with outlines, nuclei and classes, and the GeoJSON that QuPath would hold them in, for tests of files."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import shapely
from writer_samples import PROVENANCE, SECTION

from histosge.prediction.prediction import Prediction
from histosge.section.locations import at_cells
from histosge.segmentation.cells import Cells

CELLS = 60
WORDS = ("Tumor", "Stroma", "")


def outlines(number: int = CELLS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return irregular outlines in µm around spots of the section, and their nuclei; the last cell has none."""
    rng = np.random.default_rng(seed)
    centre = SECTION.spots.xy[rng.integers(len(SECTION), size=number)] + rng.uniform(-30, 30, (number, 2))
    angle = np.linspace(0, 2 * np.pi, 15)[:-1]
    radius = rng.uniform(4, 9, (number, 14))
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    cells = np.array([shapely.Polygon(xy + r[:, None] * ring) for xy, r in zip(centre, radius, strict=True)])
    nuclei = np.array([shapely.Polygon(xy + 3 * ring) for xy in centre], dtype=object)
    nuclei[-1] = None
    return cells, nuclei


def cells(number: int = CELLS) -> Cells:
    """Return cells whose ids are UUIDs."""
    shapes, nuclei = outlines(number)
    ids = np.array([str(uuid5(NAMESPACE_OID, str(row))) for row in range(number)])
    classes = np.array([WORDS[row % len(WORDS)] for row in range(number)])
    centroid = shapely.centroid(shapes)
    xy_um = np.column_stack([shapely.get_x(centroid), shapely.get_y(centroid)])
    return Cells(ids, xy_um, outlines=shapes, nuclei=nuclei, classes=classes, source="qupath")


def prediction(held: Cells, path: Path | None = None) -> Prediction:
    """Return values of all genes at cells, which were read from ``path``."""
    locations = at_cells(SECTION, held)
    mean = np.random.default_rng(1).gamma(2.0, 1.0, (len(locations), 12)).astype(np.float32)
    about = PROVENANCE | {"target": {"cells": None if path is None else str(path)}}
    return Prediction(locations, SECTION.genes, mean, 0.1 + mean / 10, about)


def qupath(held: Cells) -> list[dict]:
    """Return features as QuPath exports cells, inside an annotation, with properties of its user."""

    def ring(shape: shapely.Polygon) -> dict:
        return {
            "type": "Polygon",
            "coordinates": [(np.asarray(shape.exterior.coords) / SECTION.mpp).tolist()],
        }

    features = []
    for row, name in enumerate(held.ids.tolist()):
        feature = {"type": "Feature", "id": name, "geometry": ring(held.outlines[row])}
        if held.nuclei[row] is not None:
            feature["nucleusGeometry"] = ring(held.nuclei[row])
        properties = {"objectType": "cell", "isLocked": False, "metadata": {"note": f"ü {row}"}}
        if held.classes[row]:
            properties["classification"] = {"name": held.classes[row], "color": [200, row, 0]}
        properties["measurements"] = {"Cell: Area µm^2": float(held.area_um2[row]), "Nucleus: Max": "NaN"}
        features.append(feature | {"properties": properties})
    area = shapely.box(*shapely.MultiPolygon(held.outlines.tolist()).bounds).buffer(4)
    around = {"type": "Feature", "id": "annotation", "geometry": ring(area), "properties": {}}
    around["properties"] = {"objectType": "annotation", "name": "ROI", "childObjects": features[:5]}
    return [around, *features[5:]]


def written(path: Path, content: object) -> Path:
    """Write JSON."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
