"""Cells in a report are painted, found and exported by their outlines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from opened_report import PREDICTION, SECTION, opened, run_folder

from histosge.report import write
from histosge.section.locations import at_cells
from histosge.segmentation.cells import Cells

XY = PREDICTION.locations.xy[:200]
IDS = np.array([f"00000000-0000-4000-8000-{row:012d}" for row in range(len(XY))])
CLASSES = np.array(["Tumor" if row % 3 else "Stroma" for row in range(len(XY))])
# a square of 24 µm without its lower right quarter: its centre is a corner
NOTCHED = shapely.Polygon([(-12, -12), (12, -12), (12, 0), (0, 0), (0, 12), (-12, 12)])
OUTLINES = np.array([shapely.affinity.translate(NOTCHED, *xy) for xy in XY])
CELLS = Cells(IDS, shapely.get_coordinates(shapely.centroid(OUTLINES)), outlines=OUTLINES, classes=CLASSES)


def test_cells_are_painted_named_and_exported_by_their_outlines(browser: Any, tmp_path: Path) -> None:
    """A pixel is coloured exactly where an outline covers it; the pointer names cell and class; a region its cells."""
    prediction = replace(PREDICTION.take(slice(0, len(XY))), locations=at_cells(SECTION, CELLS))
    write(run_folder(tmp_path / "run", SECTION, prediction), section=SECTION)
    report = opened(browser, tmp_path / "run" / "report.html")
    row = int(np.argsort(np.linalg.norm(XY - np.median(XY, axis=0), axis=1))[0])
    report.page.evaluate("histosge.update({ tissue: false, opacity: 1 })")
    report.page.evaluate(
        "([x, y]) => { const f = histosge.about.frame; histosge.stage.viewer.viewport.fitBounds(new OpenSeadragon.Rect("
        "(x - 60 - f.origin[0]) / f.width, (y - 60 - f.origin[1]) / f.width, 120 / f.width, 120 / f.width), true); }",
        XY[row].tolist(),
    )
    report.page.wait_for_timeout(600)
    painted, box = report.painted(), report.page.locator("#stage").bounding_box()
    for shift, covered in (((-6, -6), True), ((6, -6), True), ((-6, 6), True), ((6, 6), False)):
        x, y = report.at(XY[row] + shift)
        assert (painted[int(y - box["y"]), int(x - box["x"]), 3] == 255) == covered
    said = report.point(XY[row] + [-6, -6])
    assert said["cell"] == IDS[row]
    assert said["class"] == CLASSES[row]
    assert "cell" not in report.point(XY[row] + [6, 6])
    corners = np.array([[-13, -13], [13, -13], [13, 13], [-13, 13]]) + XY[row]
    report.page.evaluate(
        "(ring) => histosge.lasso.set(ring.map(([x, y]) => [x - histosge.about.frame.origin[0], "
        "y - histosge.about.frame.origin[1]]))",
        corners.tolist(),
    )
    saved = {}
    for kind in ("csv", "geojson"):
        with report.page.expect_download() as download:
            report.page.click(f"#save-{kind}")
        saved[kind] = Path(download.value.path()).read_text(encoding="utf-8")
    assert [line.split(",")[0] for line in saved["csv"].splitlines()[1:]] == [IDS[row]]
    region, cell = json.loads(saved["geojson"])["features"]
    assert region["properties"]["objectType"] == "annotation"
    assert cell["id"] == IDS[row]
    assert cell["properties"]["classification"]["name"] == CLASSES[row]
    outline = shapely.transform(shapely.geometry.shape(cell["geometry"]), lambda xy: xy * SECTION.mpp)
    assert outline.symmetric_difference(OUTLINES[row]).area < 0.05 * OUTLINES[row].area
    assert report.messages == []
