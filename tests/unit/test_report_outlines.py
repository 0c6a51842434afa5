"""Outlines of cells in a page are those of the file, to the precision that the page states."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import cell_samples
import numpy as np
import pytest
import shapely
from writer_samples import LOCATIONS, SECTION

from histosge.report import outlines as report_outlines
from histosge.report.outlines import class_labels, packed_outlines
from histosge.section.locations import at_cells

CELLS = cell_samples.cells()


def rings(packed: report_outlines.Outlines, xy_um: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of a page as its script decodes them."""
    raw = {name: zlib.decompress(base64.b64decode(text)) for name, text in packed.blobs.items()}
    size = np.frombuffer(raw["outline_size"], "<u2")
    steps = np.frombuffer(raw["outline_steps"], "<i2").reshape(-1, 2)
    assert packed.about is not None
    parts = np.split(steps, np.cumsum(size)[:-1])
    return [xy + part.cumsum(0) * packed.about["step_um"] for xy, part in zip(xy_um, parts, strict=True)]


@pytest.mark.parametrize("scale", [1.0, 0.01, 300.0])
def test_outlines_are_within_the_stated_precision(scale: float) -> None:
    """Small, usual and huge cells: the border is nowhere further from the user's than simplification and rounding."""
    shapes = np.array([shapely.affinity.scale(shape, scale, scale) for shape in CELLS.outlines])
    packed = packed_outlines(at_cells(SECTION, replace(CELLS, outlines=shapes)))
    assert packed.about is not None
    most = 0.2 + packed.about["step_um"]
    for ring, shape in zip(rings(packed, CELLS.xy_um), shapes, strict=True):
        assert shapely.hausdorff_distance(shapely.LinearRing(ring), shape.exterior, densify=0.2) < most


def test_parts_and_points_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest of several parts is shown, centroids where there are no outlines or too many; the page says so."""
    shapes = CELLS.outlines.copy()
    shapes[0] = shapely.MultiPolygon([shapes[0], shapely.box(1, 1, 1.5, 1.5)])
    packed = packed_outlines(at_cells(SECTION, replace(CELLS, outlines=shapes)))
    assert "Of 1 cells in several parts the largest is shown" in packed.text
    assert len(rings(packed, CELLS.xy_um)[0]) >= 10
    assert packed_outlines(LOCATIONS).text == ""
    centroids = at_cells(SECTION, replace(CELLS, outlines=None, nuclei=None))
    assert "centroids alone" in packed_outlines(centroids).text
    monkeypatch.setattr(report_outlines, "MOST", len(CELLS) - 1)
    packed = packed_outlines(at_cells(SECTION, CELLS))
    assert packed.about is None
    assert "shown as points" in packed.text


def test_classes_are_labels_of_locations() -> None:
    """Cells without class have no label; of many classes the rarest share one; one class is no map."""
    (labels,) = class_labels(CELLS)
    assert labels.of == "locations"
    assert [labels.names[code] if code >= 0 else "" for code in labels.codes] == CELLS.classes.tolist()
    many = np.array([f"class {row // 2}" for row in range(len(CELLS))])
    (labels,) = class_labels(replace(CELLS, classes=many))
    assert len(labels.names) == 20
    assert (labels.codes == 19).sum() == len(CELLS) - 2 * 19
    assert class_labels(replace(CELLS, classes=np.full(len(CELLS), "one"))) == ()
    assert class_labels(None) == ()
