"""GeoJSON of cells is the user's own, given back with measurements."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path

import cell_samples
import numpy as np
import pytest
import shapely
from writer_samples import SECTION

from histosge.errors import HistosgeWarning
from histosge.io.writers import WriteOptions, geojson
from histosge.io.writers.recognise import is_own_geojson

CELLS = cell_samples.cells()
GENES = ("ZONE1", "TUMOUR1")


def flat(features: list[dict]) -> dict[str, dict]:
    """Return all features by id, also those inside another one."""
    found = {}
    for feature in features:
        inner = feature["properties"].pop("childObjects", [])
        found |= {feature["id"]: feature} | flat(inner)
    return found


def given_back(path: Path, out: Path) -> tuple[dict[str, dict], dict]:
    """Return the features that the writer makes of cells read from ``path``, and the whole content."""
    prediction = cell_samples.prediction(CELLS, path)
    written = geojson.write(out, SECTION, prediction, WriteOptions(GENES))
    content = json.loads(written.read_text(encoding="utf-8"))
    return flat(copy.deepcopy(content["features"])), content


@pytest.mark.parametrize("kind", ["list", "collection", "gzip"])
def test_users_file_is_given_back_with_measurements(tmp_path: Path, kind: str) -> None:
    """Ids, classes, outlines, nuclei and unknown properties are equal; only the genes were added."""
    features = cell_samples.qupath(CELLS)
    content = features if kind == "list" else {"type": "FeatureCollection", "features": features, "crs": "px"}
    path = cell_samples.written(tmp_path / "cells.geojson", content)
    if kind == "gzip":
        path = tmp_path / "cells.geojson.gz"
        path.write_bytes(gzip.compress(json.dumps(content).encode()))
    prediction = cell_samples.prediction(CELLS)
    result, whole = given_back(path, tmp_path / "out.geojson")
    assert whole.get("crs") == (None if kind == "list" else "px")
    columns = prediction.columns(GENES)
    for name, feature in flat(copy.deepcopy(features)).items():
        measured = result[name]["properties"].pop("measurements", {})
        before = feature["properties"].pop("measurements", {})
        assert result[name] == feature
        added = {key: value for key, value in measured.items() if key not in before}
        assert {key: measured[key] for key in before} == before
        row = np.flatnonzero(CELLS.ids == name)
        expected = prediction.mean[row[0], columns] if len(row) else []
        assert np.allclose(list(added.values()), expected, atol=1e-4)
        assert tuple(added) == (GENES if len(row) else ())
    assert is_own_geojson(tmp_path / "out.geojson")
    assert not is_own_geojson(path) or kind == "gzip"


def test_outlines_are_equal_where_the_file_is_gone(tmp_path: Path) -> None:
    """Without the user's file, ids, classes and outlines are those read from it, to a hundredth of a pixel."""
    with pytest.warns(HistosgeWarning, match="got 0: it was moved"):
        result, _ = given_back(tmp_path / "gone.geojson", tmp_path / "out.geojson")
    for row, name in enumerate(CELLS.ids.tolist()):
        feature = result[name]
        shapes = {"geometry": CELLS.outlines[row], "nucleusGeometry": CELLS.nuclei[row]}
        for key, shape in shapes.items():
            if shape is None:
                assert key not in feature
                continue
            ring = np.array(feature[key]["coordinates"][0])
            assert np.abs(ring - np.asarray(shape.exterior.coords) / SECTION.mpp).max() < 0.01
        assert feature["properties"]["objectType"] == "cell"
        assert feature["properties"].get("classification", {}).get("name", "") == CELLS.classes[row]
    assert is_own_geojson(tmp_path / "out.geojson")


def test_features_of_other_cells_are_not_taken_for_these(tmp_path: Path) -> None:
    """Ids alone do not make a feature a cell: one elsewhere keeps its own measurements, and the cell is added."""
    features = cell_samples.qupath(CELLS)[1:]
    moved = features[0]
    ring = np.array(moved["geometry"]["coordinates"][0])
    moved["geometry"]["coordinates"] = [(ring + 100).tolist()]
    path = cell_samples.written(tmp_path / "cells.json", features)
    with pytest.warns(HistosgeWarning, match="got 54"):
        result, content = given_back(path, tmp_path / "out.geojson")
    assert len(content["features"]) == len(features) + 6
    assert "ZONE1" not in content["features"][0]["properties"]["measurements"]
    assert set(result) == set(CELLS.ids.tolist())


def test_measurements_of_the_user_are_never_replaced(tmp_path: Path) -> None:
    """A measurement with the name of a gene is kept, and the prediction gets another name; QuPath's old lists too."""
    features = cell_samples.qupath(CELLS)[1:]
    for feature in features:
        feature["properties"]["measurements"] = [{"name": "ZONE1", "value": 7.5}]
    path = cell_samples.written(tmp_path / "cells.geojson", features)
    with pytest.warns(HistosgeWarning) as caught:
        result, _ = given_back(path, tmp_path / "out.geojson")
    assert any("'ZONE1 (predicted)'" in str(item.message) for item in caught)
    measured = result[features[0]["id"]]["properties"]["measurements"]
    assert measured["ZONE1"] == 7.5
    assert set(measured) == {"ZONE1", "ZONE1 (predicted)", "TUMOUR1"}


def test_features_without_type_and_id_become_cells_of_qupath(tmp_path: Path) -> None:
    """Space Ranger names cells by number: objects get a type and the same UUID each time; a list ends in a comma."""
    features = [feature["geometry"] for feature in cell_samples.qupath(CELLS)[1:]]
    texts = [
        json.dumps({"type": "Feature", "geometry": shape, "properties": {"cell_id": row}})
        for row, shape in enumerate(features)
    ]
    path = tmp_path / "cells.geojson"
    path.write_text("[" + ",".join(texts) + ",]")
    with pytest.warns(HistosgeWarning, match="got 55"):
        result, content = given_back(path, tmp_path / "out.geojson")
    assert len(result) == len(CELLS)
    assert content["features"][3]["properties"]["cell_id"] == 3
    assert content["features"][3]["properties"]["objectType"] == "detection"
    assert set(result) == set(CELLS.ids.tolist())


def test_a_multipolygon_with_holes_is_written_whole(tmp_path: Path) -> None:
    """All parts and holes of an outline are in the file."""
    from dataclasses import replace

    first = CELLS.outlines[0].difference(CELLS.outlines[0].centroid.buffer(1))
    shape = shapely.MultiPolygon([first, shapely.box(1, 1, 3, 3)])
    shapes = CELLS.outlines.copy()
    shapes[0] = shape
    held = replace(CELLS, outlines=shapes)
    geojson.write(tmp_path / "o.geojson", SECTION, cell_samples.prediction(held), WriteOptions(GENES))
    geometry = json.loads((tmp_path / "o.geojson").read_text())["features"][0]["geometry"]
    back = shapely.geometry.shape(geometry)
    assert back.area * SECTION.mpp**2 == pytest.approx(shape.area, rel=1e-3)
    assert [len(part.interiors) for part in back.geoms] == [1, 0]
