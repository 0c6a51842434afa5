"""Cells: parts of equal length, unique ids, outlines with an area."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from histosge.datasets import synthetic
from histosge.errors import DataError
from histosge.section.locations import at_cells
from histosge.segmentation.cells import Cells

BOXES = np.array([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 5)])
XY = np.array([[5.0, 5.0], [25.0, 2.5]])


def test_cells_taken_keep_their_outlines_and_classes():
    """A selection has the ids, outlines and classes of the selected cells, in the order asked for."""
    cells = Cells(np.array(["a", "b"]), XY, BOXES, classes=np.array(["tumour", ""])).take([1, 0])
    assert cells.ids.tolist() == ["b", "a"]
    assert cells.area_um2.tolist() == [50.0, 100.0]
    assert cells.classes.tolist() == ["", "tumour"]


@pytest.mark.parametrize(
    "parts",
    [
        {"ids": np.array(["a", "a"])},
        {"xy_um": np.array([[0.0, 0.0], [np.nan, 0.0]])},
        {"classes": np.array(["tumour"])},
        {"outlines": np.array([BOXES[0], shapely.Polygon()])},
    ],
)
def test_damaged_parts_are_refused(parts):
    """Repeated ids, missing positions, parts of another length and outlines without area are refused."""
    with pytest.raises(DataError):
        Cells(**{"ids": np.array(["a", "b"]), "xy_um": XY, "outlines": BOXES, **parts})


def test_locations_carry_the_cells():
    """Locations at cells hold the cells row by row, also after a selection."""
    section = synthetic(columns=8, rows=8, genes=12).section
    cells = Cells(np.array(["a", "b"]), XY + section.spots.xy.mean(axis=0), BOXES)
    assert at_cells(section, cells).take([1]).cells.ids.tolist() == ["b"]
