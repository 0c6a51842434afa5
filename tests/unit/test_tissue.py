"""Tissue masks from an image."""

from __future__ import annotations

import numpy as np
import pytest

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
    positions = np.array([[100.0, 100.0], [600.0, 250.0], [600.0, 300.0], [680.0, 680.0]])
    assert tissue.contains(positions).tolist() == [True, True, False, False]


def test_black_areas_are_background() -> None:
    """Glass made black, as mosaics of scanners become, gives the same tissue as white glass."""
    rgb = np.full((300, 300, 3), 245, dtype=np.uint8)
    rgb[100:200, 100:200] = (180, 110, 170)
    black = rgb.copy()
    black[:, :60] = 0
    fractions = [TissueMask.from_slide(SlideImage.from_array(image, 8.0)).fraction for image in (rgb, black)]
    assert abs(fractions[1] / fractions[0] - 1) < 0.02
