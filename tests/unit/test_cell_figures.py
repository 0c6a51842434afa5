"""Cells are drawn by their outlines."""

from __future__ import annotations

from dataclasses import replace

import cell_samples
import numpy as np
import pytest
import shapely
from writer_samples import PREDICTION, SECTION

from histosge.errors import UsageError
from histosge.figures.cell_crops import can_draw, cell_crops, windows
from histosge.figures.cell_map import cell_map, location_map
from histosge.figures.marker_maps import marker_maps

CELLS = cell_samples.cells()
PREDICTED = cell_samples.prediction(CELLS)


def test_pixels_show_the_cell_whose_outline_covers_them() -> None:
    """Centres of pixels inside an outline have its row; far from all outlines there is none; tiny cells are drawn."""
    shapes = np.array(
        [shapely.box(10, 10, 30, 20), shapely.box(60, 50, 90, 90), shapely.box(50, 5, 50.01, 5.01)]
    )
    corners = np.array([[0.0, 0.0], [100.0, 100.0]])
    located = cell_map(shapes, corners)
    height, width = located.row.shape
    x, y = np.meshgrid((np.arange(width) + 0.5) / width * 100, (np.arange(height) + 0.5) / height * 100)
    for row, shape in enumerate(shapes[:2]):
        inside = shapely.contains_xy(shape.buffer(-0.2), x, y)
        near = shapely.contains_xy(shape.buffer(0.2), x, y)
        assert (located.row[inside] == row).all()
        assert not (located.row[~near] == row).any()
    assert (located.row == 2).sum() >= 1
    assert np.isnan(located.paint(np.ones(3))[0, 0])


def test_marker_maps_draw_outlines_of_cells_and_areas_of_other_locations() -> None:
    """The map of cells has gaps between the outlines; without outlines it has none."""
    corners = np.array([SECTION.spots.xy.min(0), SECTION.spots.xy.max(0)])
    located = location_map(PREDICTED.locations, corners)
    share = shapely.union_all(CELLS.outlines).intersection(shapely.box(*corners.ravel())).area
    share /= np.prod(corners[1] - corners[0])
    assert (located.row >= 0).mean() == pytest.approx(share, abs=0.02)
    assert (location_map(PREDICTION.locations, corners).row >= 0).mean() > 0.5
    figure = marker_maps(SECTION, [("cells", PREDICTED)], ["ZONE1"])
    assert any(axes.get_title() == f"predicted, {len(CELLS)} cells" for axes in figure.axes)


def test_crops_show_outlines_nuclei_and_values_over_the_image() -> None:
    """The last panel of a row has one colour a cell; outlines and nuclei are those that reach into the window."""
    figure = cell_crops(SECTION, PREDICTED, ["ZONE1", "TUMOUR1"], accuracy={"ZONE1": "r 0.5"})
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6
    left, right = panels[0].get_xlim()
    bottom, top = panels[0].get_ylim()
    reach = shapely.intersects(CELLS.outlines, shapely.box(left, top, right, bottom))
    painted = panels[2].collections[0]
    column = PREDICTED.columns(["ZONE1"])[0]
    assert np.allclose(np.sort(painted.get_array()), np.sort(PREDICTED.mean[reach, column]))
    assert len(panels[1].collections[0].get_paths()) == reach.sum()
    assert panels[2].get_xlabel() == "r 0.5"


def test_windows_are_where_values_vary_most() -> None:
    """Of two groups of cells the mixed one is shown, whatever the level of the other."""
    rng = np.random.default_rng(0)
    xy_um = np.vstack([rng.uniform(0, 200, (100, 2)), rng.uniform(1000, 1200, (100, 2))])
    values = np.concatenate([np.full(100, 9.0), np.tile([0.0, 3.0], 50)])[:, None]
    (corner,) = windows(xy_um, values)
    assert (np.abs(corner + 125 - 1100) < 130).all()


def test_locations_without_outlines_or_image_are_refused() -> None:
    """There is nothing to draw without one of them."""
    assert can_draw(SECTION, PREDICTED)
    assert not can_draw(SECTION, PREDICTION)
    assert not can_draw(replace(SECTION, slide=None), PREDICTED)
    with pytest.raises(UsageError, match="cells with outlines"):
        cell_crops(SECTION, PREDICTION, ["ZONE1"])
