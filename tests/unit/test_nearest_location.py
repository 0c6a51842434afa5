"""Each pixel of a map has the value of its nearest location, and none where no location is near."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from scipy.spatial import Delaunay, distance_matrix

from histosge.datasets import synthetic
from histosge.figures.nearest_location import nearest_location_map
from histosge.geometry.covered_area import covered_area
from histosge.section.locations import Locations, at_cells, grid, upsampled
from histosge.segmentation.cells import Cells

SECTION = synthetic(columns=12, rows=12, genes=12).section
CORNERS = np.array([SECTION.spots.xy.min(0) - 100, SECTION.spots.xy.max(0) + 100])


def all_on_tissue(locations: Locations) -> Locations:
    return replace(locations, in_tissue=np.ones(len(locations), dtype=bool))


@pytest.mark.parametrize("factor", [1, 2, 4, 7])
@pytest.mark.parametrize("lattice", ["hexagonal", "square"])
def test_upsampled_lattices_are_painted_without_gaps(factor: int, lattice: str) -> None:
    """Inside the section every pixel belongs to its nearest location, at any upsampling factor."""
    section = synthetic(columns=10, rows=10, genes=6, lattice=lattice).section  # type: ignore[arg-type]
    locations = all_on_tissue(upsampled(section, factor))
    middle = np.median(section.spots.xy, axis=0)
    # three pitches around the middle, where no spot is missing
    corners = np.array([middle - 1.5 * section.pitch_um, middle + 1.5 * section.pitch_um])
    near = np.linalg.norm(section.spots.xy - middle, axis=1) < 2.5 * section.pitch_um
    assert near.sum() > 12
    painted = nearest_location_map(locations, corners).row
    assert (painted >= 0).all()
    rows, columns = np.random.default_rng(0).integers(0, min(painted.shape), (2, 200))
    step = (corners[1] - corners[0]) / painted.shape[::-1]
    centres = corners[0] + (np.column_stack([columns, rows]) + 0.5) * step
    nearest = distance_matrix(centres, locations.xy).argmin(axis=1)
    assert (painted[rows, columns] == nearest).mean() > 0.99


def test_nothing_is_painted_far_from_all_locations_nor_off_tissue() -> None:
    """Beyond a pitch nothing is painted; locations off tissue are left out, unless spots surround them."""
    locations = upsampled(SECTION, 4)
    off_tissue = replace(locations, in_tissue=np.zeros(len(locations), dtype=bool))
    result = nearest_location_map(off_tissue, CORNERS)
    hull = Delaunay(SECTION.spots.xy)
    # well inside: a location on the very border has spots on one side only
    middle = SECTION.spots.xy.mean(axis=0)
    inside = np.flatnonzero(hull.find_simplex(middle + 1.2 * (locations.xy - middle)) >= 0)
    assert len(SECTION) < result.number < len(locations)
    assert (hull.find_simplex(locations.xy[result.drawn]) >= 0).mean() > 0.97
    # at the border of the hull some locations have spots on one side only
    assert np.isin(inside, result.drawn).mean() > 0.9
    wide = np.array([CORNERS[0] - 5000, CORNERS[1] + 5000])
    painted = nearest_location_map(all_on_tissue(locations), wide)
    step = (wide[1] - wide[0]) / painted.row.shape[::-1]
    rows, columns = np.nonzero(painted.row >= 0)
    centres = wide[0] + (np.column_stack([columns, rows]) + 0.5) * step
    assert distance_matrix(centres, locations.xy).min(axis=1).max() < SECTION.pitch_um


def test_values_are_painted_at_their_locations() -> None:
    """Values equal to the x of their location are painted at that x."""
    locations = all_on_tissue(grid(SECTION, 40.0))
    result = nearest_location_map(locations, CORNERS)
    image = result.paint(locations.xy[:, 0])
    left, right, _, _ = result.extent
    x = left + (np.arange(image.shape[1]) + 0.5) * (right - left) / image.shape[1]
    difference = np.abs(image - x)
    assert np.nanmax(difference) < 60.0
    assert np.isnan(image).any()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_locations_can_be_drawn(number: int) -> None:
    """One cell, two cells, three cells in a row."""
    xy_um = SECTION.spots.xy[:1] + np.arange(number)[:, None] * np.array([[30.0, 0.0]])
    locations = at_cells(SECTION, Cells(np.array([f"c{index}" for index in range(number)]), xy_um))
    assert (nearest_location_map(all_on_tissue(locations), CORNERS).row >= 0).any()


@pytest.mark.parametrize("lattice", ["hexagonal", "square"])
def test_the_border_is_as_straight_as_the_rows(lattice: str) -> None:
    """Along the middle of its upper border the map of a whole lattice ends in one row of pixels, without scallops."""
    section = synthetic(columns=16, rows=16, genes=6, lattice=lattice).section  # type: ignore[arg-type]
    spots = section.spots.xy
    locations = all_on_tissue(grid(section, 50.0))
    middle = spots.mean(axis=0)
    # a square piece of the grid whose border is straight
    half = 0.3 * np.ptp(spots, axis=0)
    inside = (np.abs(locations.xy - middle) <= half).all(axis=1)
    assert inside.sum() > 50
    piece = locations.take(np.flatnonzero(inside))
    painted = nearest_location_map(piece, np.array([middle - 2 * half, middle + 2 * half])).row >= 0
    columns = np.flatnonzero(painted.any(axis=0))
    quarter = len(columns) // 4
    first = painted[:, columns[quarter:-quarter]].argmax(axis=0)
    assert first.max() - first.min() <= 1


def test_rows_of_spots_leave_no_teeth_at_the_border() -> None:
    """Every second row of a hexagonal array begins half a pitch later; the border of its map is nearly straight."""
    section = synthetic(columns=16, rows=24, genes=6, lattice="hexagonal").section
    locations = all_on_tissue(upsampled(section, 4))
    low, high = section.spots.xy.min(axis=0) - 200, section.spots.xy.max(axis=0) + 200
    painted = nearest_location_map(locations, np.array([low, high])).row >= 0
    rows = np.flatnonzero(painted.any(axis=1))
    quarter = len(rows) // 4
    first = painted[rows[quarter:-quarter]].argmax(axis=1)
    pixel = float((high - low).max()) / 900
    assert (first.max() - first.min()) * pixel < 0.25 * section.pitch_um


def test_a_single_spot_and_a_hole_of_one_spot_stay() -> None:
    """Smoothing a border neither closes a hole of the size of a spot nor removes a spot far from all others."""
    xy = np.array([(x, y) for x in range(0, 2000, 100) for y in range(0, 2000, 100)], dtype=float)
    hole = np.linalg.norm(xy - 1000, axis=1) < 120
    far = np.array([2600.0, 2600.0])
    borders = covered_area(np.vstack([xy[~hole], far]), 100.0)
    polygons = [shapely.Polygon(border) for border in borders]
    assert sum(polygon.contains(shapely.Point(far)) for polygon in polygons) == 1
    # even-odd: within the outer border and within the hole
    assert sum(polygon.contains(shapely.Point(1000, 1000)) for polygon in polygons) == 2
    assert sum(polygon.contains(shapely.Point(500, 500)) for polygon in polygons) == 1
