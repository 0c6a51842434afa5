"""Regions and cells of other tools are read in µm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histosge.datasets import synthetic
from histosge.errors import DataError, HistosgeError, HistosgeWarning, UsageError
from histosge.geometry.polygons import Polygon, read_polygons
from histosge.section.locations import within
from histosge.section.target import Target, locate, tissue_of
from histosge.segmentation.cells import Cells
from histosge.segmentation.sources import CellOptions
from histosge.segmentation.sources import read_cells as read

SECTION = synthetic().section
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[1000, 1000], [3000, 1000], [3000, 3000], [1000, 3000], [1000, 1000]]],
}


def read_cells(path: Path, mpp: float, *, image_mpp: float | None = None) -> Cells:
    return read(path, CellOptions(mpp, image_mpp=image_mpp))


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
        "coordinates": [[[990, 990], [1010, 990], [1010, 1010], [990, 1010], [990, 990]]],
    }
    (tmp_path / "cells.geojson").write_text(json.dumps([feature(small)]))
    (tmp_path / "cells.csv").write_text("id,x_um,y_um\nc1,500,500\n")
    (tmp_path / "cells.tsv").write_text(
        "Object ID\tCentroid X px\tCentroid Y px\nc1\t1000\t1000\n", encoding="utf-8"
    )
    for name in ("cells.geojson", "cells.csv", "cells.tsv"):
        xy_um = read_cells(tmp_path / name, 0.5).xy_um
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
        ("r.csv", "Image,x,y\nA.svs,1,2\nB.svs,3,4\n"),
        ("r.csv", "id,x_um,y_um\nc1,nan,3\n"),
        ("r.csv", ""),
    ],
)
def test_files_without_regions_or_cells_are_refused(tmp_path: Path, name: str, content: str) -> None:
    """Broken JSON, an empty list, a table without positions."""
    (tmp_path / name).write_text(content)
    with pytest.raises(HistosgeError, match=r"r\."):
        read_cells(tmp_path / name, 0.5) if name.endswith("csv") else read_polygons(tmp_path / name, mpp=0.5)


def square(x: float, y: float, half: float) -> list[list[list[float]]]:
    corners = [(-half, -half), (half, -half), (half, half), (-half, half), (-half, -half)]
    return [[[x + right, y + down] for right, down in corners]]


def write(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_a_cell_in_pieces_is_at_the_centroid_of_its_area(tmp_path: Path) -> None:
    """A fragment of one pixel far from the body moves the centroid by a pixel, not to the fragment."""
    pieces = {"type": "MultiPolygon", "coordinates": [square(600, 1000, 0.5), square(1000, 1000, 10)]}
    xy_um = read_cells(write(tmp_path / "cells.geojson", feature(pieces)), 1.0).xy_um
    assert np.allclose(xy_um, [[1000, 1000]], atol=1.01)


def test_what_is_no_polygon_is_left_out_and_counted(tmp_path: Path) -> None:
    """Lines, rings of two points and empty geometries are counted; polygons of collections are taken."""
    line = {"type": "LineString", "coordinates": [[0, 0], [9, 9]]}
    two_points = {"type": "Polygon", "coordinates": [[[900, 900], [902, 902]]]}
    collection = {"type": "GeometryCollection", "geometries": [SQUARE, line]}
    features = [feature(part) for part in (SQUARE, line, two_points, collection)]
    path = write(tmp_path / "mixed.geojson", *features, {"type": "Feature", "geometry": None})
    with pytest.warns(
        HistosgeWarning, match="2 LineString, 1 feature without geometry, 1 polygon without area"
    ):
        assert len(read_polygons(path, mpp=0.5)) == 2
    with pytest.warns(HistosgeWarning, match="left out"):
        assert len(read_cells(path, 0.5)) == 2
    with pytest.raises(DataError, match="got 1 LineString"):
        read_polygons(write(tmp_path / "line.geojson", feature(line)), mpp=0.5)


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"features": [{"geometry": "x"}]}',
        '{"features": [{"properties": [1]}]}',
        *(
            '{"features": [{"geometry": {"type": "Polygon", "coordinates": %s}}]}'.replace("%s", rings)
            for rings in (
                '"abc"',
                "7",
                "[[]]",
                '[[["a", "b"]]]',
                "[[[null, 1]]]",
                "[[[NaN, 1]]]",
                "[[[1], [2], [3]]]",
                "[]",
            )
        ),
        '{"features": [{"geometry": {"type": "MultiPolygon", "coordinates": [[]]}}]}',
    ],
)
def test_damaged_geojson_is_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    """Deep nesting, words and missing numbers in place of positions, empty rings."""
    path = tmp_path / "damaged.geojson"
    path.write_text(content)
    with pytest.raises(DataError, match=r"damaged\.geojson"):
        read_polygons(path, mpp=0.5)
    with pytest.raises(DataError, match=r"damaged\.geojson"):
        read_cells(path, 0.5)


def test_micrometres_of_qupath_are_pixels_of_the_image(tmp_path: Path) -> None:
    """They are converted by the scale of the image's metadata, refused where that is unknown; pixels are preferred."""
    path = tmp_path / "cells.tsv"
    path.write_text("Object ID\tCentroid X µm\tCentroid Y µm\nc1\t500\t250\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"0\.54"):
        read_cells(path, 0.54)
    with pytest.warns(HistosgeWarning, match="converted"):
        assert np.allclose(read_cells(path, 0.54, image_mpp=0.5).xy_um, [[540, 270]])
    assert np.allclose(read_cells(path, 0.5, image_mpp=0.5).xy_um, [[500, 250]])
    path.write_text(
        "id\tCentroid X µm\tCentroid Y µm\tCentroid X px\tCentroid Y px\nc1\t500\t250\t1000\t500\n"
    )
    assert np.allclose(read_cells(path, 0.54).xy_um, [[540, 270]])


def test_cells_of_another_scale_are_refused_or_warned_of(tmp_path: Path) -> None:
    """Twice the scale lies off the image; half of it fills the upper left corner."""
    mask, path, px = tissue_of(SECTION), tmp_path / "cells.csv", SECTION.spots.xy / SECTION.mpp
    for scale in (2.0, 0.5):
        rows = [f"{number},{x},{y}" for number, (x, y) in enumerate(px * scale)]
        path.write_text("\n".join(["id,x,y", *rows]))
        if scale > 1:
            with pytest.raises(UsageError, match=r"% of the cells lie outside of the image"):
                locate(SECTION, Target(cells=path), mask)
        else:
            with pytest.warns(HistosgeWarning, match="upper left"):
                locate(SECTION, Target(cells=path), mask)
