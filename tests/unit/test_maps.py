"""Maps: each pixel shows the place next to it, and nothing is drawn where there is none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import Delaunay, distance_matrix

from histosge.datasets import synthetic
from histosge.figures import maps
from histosge.figures.tiling import tiling
from histosge.images.tissue import TissueMask
from histosge.prediction.prediction import Prediction
from histosge.section.locations import Locations, cells, grid, upsampled

SECTION = synthetic(columns=12, rows=12, genes=12).section
WINDOW = np.array([SECTION.spots.xy.min(0) - 100, SECTION.spots.xy.max(0) + 100])


def everywhere(places: Locations) -> Locations:
    return replace(places, in_tissue=np.ones(len(places), dtype=bool))


@pytest.mark.parametrize("fold", [1, 2, 4, 7])
@pytest.mark.parametrize("lattice", ["hexagonal", "square"])
def test_refinements_are_painted_without_seams(fold: int, lattice: str) -> None:
    """Inside of the section every pixel belongs to its nearest place, whatever the refinement."""
    section = synthetic(columns=10, rows=10, genes=6, lattice=lattice).section  # type: ignore[arg-type]
    places = everywhere(upsampled(section, fold))
    middle = np.median(section.spots.xy, axis=0)
    # three pitches around the middle, where no spot is missing
    window = np.array([middle - 1.5 * section.pitch_um, middle + 1.5 * section.pitch_um])
    near = np.linalg.norm(section.spots.xy - middle, axis=1) < 2.5 * section.pitch_um
    assert near.sum() > 12
    painted = tiling(places, window).place
    assert (painted >= 0).all()
    rows, columns = np.random.default_rng(0).integers(0, min(painted.shape), (2, 200))
    step = (window[1] - window[0]) / painted.shape[::-1]
    centres = window[0] + (np.column_stack([columns, rows]) + 0.5) * step
    nearest = distance_matrix(centres, places.xy).argmin(axis=1)
    assert (painted[rows, columns] == nearest).mean() > 0.99


def test_nothing_is_painted_far_from_all_places_nor_off_tissue() -> None:
    """Beyond a pitch there is nothing; places off tissue are left out, unless spots were measured around them."""
    places = upsampled(SECTION, 4)
    off = replace(places, in_tissue=np.zeros(len(places), dtype=bool))
    found = tiling(off, WINDOW)
    hull = Delaunay(SECTION.spots.xy)
    # well inside: a place on the very edge has spots on one side only
    middle = SECTION.spots.xy.mean(axis=0)
    inside = np.flatnonzero(hull.find_simplex(middle + 1.2 * (places.xy - middle)) >= 0)
    assert len(SECTION) < found.places < len(places)
    assert (hull.find_simplex(places.xy[found.drawn]) >= 0).mean() > 0.97
    # at the rim of the hull some places have spots on one side only
    assert np.isin(inside, found.drawn).mean() > 0.9
    wide = np.array([WINDOW[0] - 5000, WINDOW[1] + 5000])
    painted = tiling(everywhere(places), wide)
    step = (wide[1] - wide[0]) / painted.place.shape[::-1]
    rows, columns = np.nonzero(painted.place >= 0)
    centres = wide[0] + (np.column_stack([columns, rows]) + 0.5) * step
    assert distance_matrix(centres, places.xy).min(axis=1).max() < SECTION.pitch_um


def test_values_are_painted_where_their_places_are() -> None:
    """A value that is the place's x comes back as x."""
    places = everywhere(grid(SECTION, 40.0))
    found = tiling(places, WINDOW)
    picture = found.paint(places.xy[:, 0])
    left, right, _, _ = found.extent
    x = left + (np.arange(picture.shape[1]) + 0.5) * (right - left) / picture.shape[1]
    difference = np.abs(picture - x)
    assert np.nanmax(difference) < 60.0
    assert np.isnan(picture).any()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_places_can_be_drawn(number: int) -> None:
    """One cell, two cells, three cells in a row."""
    xy_um = SECTION.spots.xy[:1] + np.arange(number)[:, None] * np.array([[30.0, 0.0]])
    places = cells(SECTION, xy_um, np.array([f"c{index}" for index in range(number)]))
    assert (tiling(everywhere(places), WINDOW).place >= 0).any()


def test_a_section_near_the_edge_of_its_image_is_drawn_in_place(tmp_path: Path) -> None:
    """Where the view reaches beyond the image, the image is not stretched to fill it."""
    picture = maps._picture(SECTION, np.array([[-500.0, -500.0], [9000.0, 9000.0]]))
    assert picture is not None
    assert SECTION.slide is not None
    left, right, bottom, top = picture.extent
    assert (left, top) == (0.0, 0.0)
    assert (right, bottom) == pytest.approx(SECTION.slide.size_um, rel=0.02)


def test_figures_are_written_without_empty_margins(tmp_path: Path) -> None:
    """The picture fills its file; titles and bars are in it."""
    places = upsampled(SECTION, 4)
    mean = np.random.default_rng(0).gamma(2.0, 1.0, (len(places), 2)).astype(np.float32)
    prediction = Prediction(places, SECTION.genes[:2], mean)
    genes = [str(gene) for gene in SECTION.genes[:2]]
    path = maps.save(maps.marker_maps(SECTION, [("×4", prediction)], genes), tmp_path / "m.png")
    maps.save(
        maps.section_overview(SECTION, mask=TissueMask.from_points(SECTION.spots, 100.0)), tmp_path / "s.png"
    )
    for name in (path, tmp_path / "s.png"):
        ink = np.asarray(Image.open(name).convert("L")) < 250
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        assert rows[0] < 30
        assert columns[0] < 30
        assert ink.shape[0] - rows[-1] < 30
        assert ink.shape[1] - columns[-1] < 30


def test_recovery_shows_what_was_kept_what_was_found_and_the_truth() -> None:
    """A row a gene: the kept spots, each method with its correlation, all spots; no title meets another."""
    from histosge.figures.recovery import Recovery, recovery_maps

    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 3, (30, 2))
    kept = np.arange(30) % 2 == 0
    methods = ("stage (paper, epochs=300)", "histosge (corrected)")
    shown = Recovery(
        rng.uniform(0, 900, (30, 2)),
        kept,
        ["A", "B"],
        truth,
        dict.fromkeys(methods, truth + 0.1),
        {name: np.array([0.5, np.nan]) for name in methods},
    )
    figure = recovery_maps(shown)
    figure.canvas.draw()
    row = figure.axes[:4]
    assert len(figure.axes) == 8
    assert len(row[0].collections[0].get_offsets()) == kept.sum()
    assert len(row[3].collections[0].get_offsets()) == 30
    boxes = [panel.title.get_window_extent() for panel in row]
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))
    assert "0.50" in row[1].get_title()
