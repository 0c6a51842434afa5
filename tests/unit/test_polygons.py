"""Regions and cells of other tools are read in µm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histosge.datasets import synthetic
from histosge.errors import HistosgeError
from histosge.geometry.polygons import Polygon, read_cells, read_polygons
from histosge.section.locations import within
from histosge.section.target import Target, locate, tissue_of

SECTION = synthetic().section
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[1000, 1000], [3000, 1000], [3000, 3000], [1000, 3000], [1000, 1000]]],
}


def feature(geometry: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "id": "a", "geometry": geometry, "properties": properties}


def test_regions_from_qupath_are_filled_with_a_grid(tmp_path: Path) -> None:
    """Coordinates in full-resolution pixels; points every 50 µm inside, none outside."""
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature(SQUARE, name="nest")]}))
    (region,) = read_polygons(path, mpp=SECTION.mpp)
    assert region.name == "nest"
    locations = within(SECTION, [region], 50.0)
    assert len(locations) == (1000 / 50) ** 2
    assert (locations.xy > 500).all()
    assert (locations.xy < 1500).all()
    target = Target(spacing_um=50.0, regions=path)
    assert np.array_equal(locate(SECTION, target, tissue_of(SECTION)).xy, locations.xy)


def test_holes_are_outside() -> None:
    """A polygon with a hole contains the area between its borders."""
    outer = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    inner = np.array([[4.0, 4], [6, 4], [6, 6], [4, 6]])
    inside = Polygon("ring", outer, (inner,)).contains(np.array([[2.0, 2.0], [5.0, 5.0], [12.0, 2.0]]))
    assert inside.tolist() == [True, False, False]


def test_cells_are_read_from_geojson_and_tables(tmp_path: Path) -> None:
    """QuPath's detections and measurement tables, and plain CSV: the same centroids in µm."""
    small = {
        "type": "Polygon",
        "coordinates": [[[998, 998], [1002, 998], [1002, 1002], [998, 1002], [998, 998]]],
    }
    (tmp_path / "cells.geojson").write_text(json.dumps([feature(small)]))
    (tmp_path / "cells.csv").write_text("id,x_um,y_um\nc1,500,500\n")
    (tmp_path / "cells.tsv").write_text(
        "Object ID\tCentroid X µm\tCentroid Y µm\nc1\t500\t500\n", encoding="utf-8"
    )
    for name in ("cells.geojson", "cells.csv", "cells.tsv"):
        _, xy_um = read_cells(tmp_path / name, 0.5)
        assert np.allclose(xy_um, [[500, 500]]), name
    locations = locate(SECTION, Target(cells=tmp_path / "cells.csv"), tissue_of(SECTION))
    assert locations.points.ids.tolist() == ["c1"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.geojson", "{not json"),
        ("r.geojson", "[]"),
        ("r.geojson", '{"type": "FeatureCollection", "features": []}'),
        ("r.csv", "a,b\n1,2\n"),
        ("r.csv", "id,x_um,y_um\nc1,nan,3\n"),
        ("r.csv", ""),
    ],
)
def test_files_without_regions_or_cells_are_refused(tmp_path: Path, name: str, content: str) -> None:
    """Broken JSON, an empty list, a table without positions."""
    (tmp_path / name).write_text(content)
    with pytest.raises(HistosgeError, match=r"r\."):
        read_cells(tmp_path / name, 0.5) if name.endswith("csv") else read_polygons(tmp_path / name, mpp=0.5)
