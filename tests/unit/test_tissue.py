"""Tissue masks from an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

import histosge
from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask
from histosge.section.target import tissue_of

SECTION = synthetic().section


def test_the_mask_is_the_stained_tissue() -> None:
    """Nearly all spots are on it, the corners of the image are not, and its area is that of the oval."""
    mask = tissue_of(SECTION)
    assert mask.contains(SECTION.spots.xy).mean() > 0.97
    assert SECTION.slide is not None
    width, height = SECTION.slide.size_um
    corners = np.array([[20.0, 20.0], [width - 20, 20.0], [20.0, height - 20], [width - 20, height - 20]])
    assert not mask.contains(corners).any()
    assert 0.5 < mask.fraction < 0.85
    assert not mask.contains(np.array([[-5.0, -5.0], [1e6, 1e6]])).any()


def test_an_image_that_is_tissue_everywhere_is_tissue_everywhere() -> None:
    """No white background: the mask does not cut the tissue in two."""
    rng = np.random.default_rng(0)
    rgb = np.clip(np.array([180, 120, 170]) + rng.normal(0, 12, (300, 300, 1)), 0, 255).astype(np.uint8)
    assert TissueMask.from_slide(SlideImage.from_array(rgb, 8.0)).fraction > 0.9


def test_empty_glass_is_no_tissue() -> None:
    """A blank slide has none, whatever its brightness."""
    blank = np.full((200, 200, 3), 235, dtype=np.uint8)
    assert TissueMask.from_slide(SlideImage.from_array(blank, 8.0)).fraction == 0


def test_the_outline_encloses_the_mask() -> None:
    """The longest border encloses the area of the tissue."""
    mask = tissue_of(SECTION)
    line = max(mask.outline(), key=len)
    x, y = line.T
    area = abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2
    assert area == pytest.approx(mask.mask.sum() * mask.mpp**2, rel=0.1)


def test_spots_mark_pale_tissue_and_pieces_without_spots_are_dropped() -> None:
    """A spot beside the tissue of the image is on tissue; a fiducial without spots is not."""
    mask = np.zeros((100, 100), dtype=bool)
    mask[10:40, 10:40] = True
    mask[80:90, 80:90] = True
    spots = Points(np.array([[200.0, 200.0], [600.0, 200.0]]), np.array(["A", "B"]))
    tissue = TissueMask(mask, 8.0).with_spots(spots, 60.0)
    positions = np.array([[100.0, 100.0], [600.0, 220.0], [600.0, 300.0], [680.0, 680.0]])
    assert tissue.contains(positions).tolist() == [True, True, False, False]


def test_spots_are_tissue_and_so_is_what_lies_between_them() -> None:
    """Where the image shows none: spots as wide as they are, and the middle of four; nothing half a pitch outside."""
    columns, rows = np.meshgrid(np.arange(200.0, 700.0, 100.0), np.arange(200.0, 700.0, 100.0))
    xy_um = np.stack([columns.ravel(), rows.ravel()], axis=1)
    spots = Points(xy_um, np.arange(len(xy_um)).astype(str).astype(object))
    slide = SlideImage.from_array(np.full((110, 110, 3), 245, dtype=np.uint8), 8.0)
    tissue = TissueMask.of_section(slide, spots, 100.0)
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    rims = xy_um[:, None] + 27.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert tissue.contains(rims.reshape(-1, 2)).all()
    assert tissue.contains(np.array([[250.0, 250.0], [450.0, 550.0]])).all()
    assert not tissue.contains(np.array([[145.0, 200.0], [200.0, 655.0]])).any()


def test_spots_beside_the_border_of_the_tissue_add_no_bulges() -> None:
    """Stained tissue ends where the image says it, also beside a spot; between spots pale tissue has no holes."""
    stained = np.zeros((100, 100), dtype=bool)
    stained[:50] = True
    stained[20:30, 30:60] = False
    columns, rows = np.meshgrid(np.arange(100.0, 700.0, 100.0), np.arange(60.0, 390.0, 100.0))
    spots = Points(
        np.stack([columns.ravel(), rows.ravel()], axis=1), np.arange(columns.size).astype(str).astype(object)
    )
    tissue = TissueMask(stained, 8.0).with_spots(spots, 75.0)
    assert tissue.mask[:50].all()
    assert not tissue.mask[52:].any()


def test_black_areas_are_background() -> None:
    """Glass made black, as mosaics of scanners become, gives the same tissue as white glass."""
    rgb = np.full((300, 300, 3), 245, dtype=np.uint8)
    rgb[100:200, 100:200] = (180, 110, 170)
    black = rgb.copy()
    black[:, :60] = 0
    fractions = [TissueMask.from_slide(SlideImage.from_array(image, 8.0)).fraction for image in (rgb, black)]
    assert abs(fractions[1] / fractions[0] - 1) < 0.02


NOISE = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[:300, :360]
OVAL = np.hypot((ROWS - 150) / 100, (COLUMNS - 180) / 120) < 1


def scene(glass: tuple[int, int, int] = (240, 240, 242)) -> Array:
    """An oval of stained tissue on glass, with noise, at 8 µm per pixel."""
    rgb = np.where(OVAL[..., None], np.array([185, 120, 170]), np.array(glass)).astype(np.float64)
    rgb += NOISE.normal(0, 1, rgb.shape) + OVAL[..., None] * NOISE.normal(0, 18, (*OVAL.shape, 1))
    return np.clip(rgb, 0, 255).astype(np.uint8)


def agreement(rgb: Array) -> float:
    """Area that is in the mask and in the oval, as a share of what is in either."""
    mask = TissueMask.from_slide(SlideImage.from_array(rgb, 8.0)).mask
    return float((mask & OVAL).sum() / (mask | OVAL).sum())


@pytest.mark.parametrize("colour", [(0, 0, 0), (12, 12, 12), (128, 128, 128), (0, 255, 0), (200, 180, 150)])
def test_padding_of_any_colour_is_no_tissue(colour: tuple[int, int, int]) -> None:
    """Around white or gray glass, and cut out along the tissue."""
    for glass in ((240, 240, 242), (163, 169, 180)):
        rgb = scene(glass)
        rgb[:40], rgb[:, 320:] = colour, colour
        assert agreement(rgb) > 0.9
    rgb = scene()
    rgb[~OVAL] = colour
    assert agreement(rgb) > 0.9


def test_dark_texture_around_the_slide_is_no_tissue() -> None:
    """The holder of a microscope, brownish and uneven."""
    rgb = scene()
    rgb[:, :50] = NOISE.integers(5, 45, (300, 50, 1)) + np.array([6, 2, 0])
    assert agreement(rgb) > 0.9


def test_fiducials_are_no_tissue_also_where_they_touch_it() -> None:
    """Rings and disks of gray across the edge of the tissue; what lies under them stays."""
    clean = scene()
    distance = np.hypot((ROWS + 7) % 14 - 7, (COLUMNS + 7) % 14 - 7)
    for pattern in (distance < 5, np.abs(distance - 5) < 1):
        rgb = clean.copy()
        frame = pattern & (COLUMNS > 270) & (COLUMNS < 330)
        rgb[frame] = rgb[frame] * 0.55
        assert agreement(rgb) > 0.9
        mask = TissueMask.from_slide(SlideImage.from_array(rgb, 8.0)).mask
        assert not mask[:60, 270:330].any()
        assert mask[140:160, 275:290].all()


def test_shadows_and_black_or_green_pen_are_no_tissue() -> None:
    """Gray haze of the frame, and lines that were drawn."""
    rgb = scene()
    rgb[:30, 100:200] = rgb[:30, 100:200] * 0.8
    rgb[280:290] = (20, 20, 25)
    rgb[:, 5:15] = (40, 170, 70)
    assert agreement(rgb) > 0.9


def test_pale_stroma_is_tissue_and_a_haze_of_stain_on_glass_is_not() -> None:
    """Both are as dense; only tissue has a texture."""
    rgb = scene().astype(np.float64)
    pale = (235, 206, 229)
    half = OVAL & (ROWS > 170)
    rgb[half] = np.array(pale) + NOISE.normal(0, 9, (half.sum(), 1))
    rgb[20:120, 300:350] = np.array(pale) + NOISE.normal(0, 1, (100, 50, 3))
    assert agreement(np.clip(rgb, 0, 255).astype(np.uint8)) > 0.9


def test_a_gray_image_has_the_same_tissue() -> None:
    """Where nothing has a colour, colour does not count."""
    assert agreement(np.repeat(scene()[..., 1:2], 3, axis=2)) > 0.9


def test_lines_at_the_edge_of_a_stitched_image_are_no_tissue() -> None:
    """One or two dark pixels along an edge."""
    rgb = scene()
    rgb[:, -2:] = (4, 10, 12)
    mask = TissueMask.from_slide(SlideImage.from_array(rgb, 8.0)).mask
    assert not mask[:, -10:].any()


def test_no_grid_point_lies_on_fiducials_of_a_real_section(real_data: Path) -> None:
    """The frame is free where no tissue lies under it; pale tissue with spots is not lost."""
    section = histosge.read(real_data / "crc16")
    mask = tissue_of(section)
    assert mask.contains(section.spots.xy).all()
    points = histosge.grid(section, 60.0, mask=mask).xy
    assert cKDTree(points).query(section.spots.xy)[0].max() < 60.0
    # three rows of rings above the lattice, from column 18 to 56 without tissue; three columns left of it
    assert section.lattice is not None
    above = section.lattice.to_um(np.column_stack([np.arange(18.0, 56), np.full(38, -3.3)]))
    left = section.lattice.to_um(np.column_stack([np.full(60, -6.0), np.arange(10.0, 70)]))
    # below the tissue, on the right
    right = section.lattice.to_um(np.column_stack([np.full(8, 133.0), np.arange(69.0, 77)]))
    assert not mask.contains(np.vstack([above, left, right])).any()
