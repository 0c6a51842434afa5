"""Parts of an image are drawn where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.datasets import synthetic
from histosge.figures.tissue_panel import crop

SECTION = synthetic(columns=12, rows=12, genes=12).section


def test_a_view_beyond_the_image_does_not_stretch_it() -> None:
    """Where the view reaches beyond the image, the crop keeps the borders of the image."""
    image = crop(SECTION, np.array([[-500.0, -500.0], [9000.0, 9000.0]]))
    assert image is not None
    assert SECTION.slide is not None
    left, right, bottom, top = image.extent
    assert (left, top) == (0.0, 0.0)
    assert (right, bottom) == pytest.approx(SECTION.slide.size_um, rel=0.02)


def test_a_view_off_the_image_has_no_crop() -> None:
    """Nothing is read where image and view do not overlap."""
    assert crop(SECTION, np.array([[90_000.0, 90_000.0], [91_000.0, 91_000.0]])) is None
