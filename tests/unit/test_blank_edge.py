"""Features that are 0 at the edge of the image."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.encoders import load_encoder
from histosge.encoders.blank_edge import shares_before_edge, with_blank_edge
from histosge.encoders.embed import embed
from histosge.encoders.windowed import WindowedEncoder
from histosge.images.slide import SlideImage

EDGE_UM = 64.0


def test_colours_are_those_of_an_image_that_is_black_there() -> None:
    """The mean colour of windows in an image of one colour, weighted, is that of the image with a black strip."""
    pixels = np.full((150, 230, 3), (200, 120, 60), dtype=np.uint8)
    black = pixels.copy()
    # 230 × 150 µm are padded to 256 × 192, whose last 64 µm begin at x = 192 and y = 128
    black[128:], black[:, 192:] = 0, 0
    xy_um = np.random.default_rng(0).uniform(20, (210, 130), size=(60, 2)).round()
    windows = WindowedEncoder(
        (
            (load_encoder("colour", patch_um=32.0), (0.0, 0.0)),
            (load_encoder("colour", patch_um=16.0), (8.0, -4.0)),
        )
    )
    slide = SlideImage.from_array(pixels, 1.0)
    weighted = with_blank_edge(embed(slide, xy_um, windows), windows, slide, xy_um=xy_um, edge_um=EDGE_UM)
    expected = np.asarray(embed(SlideImage.from_array(black, 1.0), xy_um, windows)[:])
    assert weighted.shape == expected.shape
    assert np.allclose(weighted[:], expected, atol=1 / 255)
    assert (expected == 0).all(axis=1).any()
    assert np.array_equal(weighted[np.array([3, 1])], weighted[:][[3, 1]])


@pytest.mark.parametrize("side_um", [192.0, 0.1 * 1920])
def test_an_image_of_whole_strips_loses_the_last(side_um: float) -> None:
    """What rounding adds to a multiple of the strip's width is no further strip; without a window, a point counts."""
    centres = np.array([[100.0, 100.0], [127.9, 100.0], [128.1, 100.0]])
    for width_um, shares in ((0.0, [1, 1, 0]), (1.0, [1, 0.6, 0.4])):
        assert np.allclose(shares_before_edge(centres, width_um, (side_um, side_um), edge_um=EDGE_UM), shares)
