"""A section of an image alone is sampled on its tissue."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.errors import DataError, UsageError
from histosge.images.slide import SlideImage
from histosge.section.image_only import section_of_image
from histosge.section.locations import at_spots, grid, upsampled


def test_an_image_is_sampled_on_tissue_and_not_on_dust() -> None:
    """Samples lie on the large piece, none on a crumb; another distance gives another number; no tissue is refused."""
    rgb = np.full((1000, 1000, 3), 240, dtype=np.uint8)
    rgb[200:800, 200:800] = (150, 60, 140)
    rgb[60:110, 60:110] = (150, 60, 140)
    slide = SlideImage.from_array(rgb, 2.0)
    section = section_of_image(slide, "piece")
    assert not section.has_counts
    assert (len(section.genes), section.counts.nnz, section.lattice) == (0, 0, None)
    assert ((section.spots.xy > 380) & (section.spots.xy < 1620)).all()
    assert 100 <= len(section) <= 200
    assert section.pitch_um == pytest.approx(100.0)
    assert len(section_of_image(slide, "piece", spacing_um=200.0)) < 0.4 * len(section)
    assert not at_spots(section).observed.any()
    assert not grid(section, 50.0).observed.any()
    with pytest.raises(UsageError, match="without spots to upsample"):
        upsampled(section, 4)
    with pytest.raises(DataError, match="Expected tissue"):
        section_of_image(SlideImage.from_array(np.full((500, 500, 3), 240, dtype=np.uint8), 2.0), "glass")
