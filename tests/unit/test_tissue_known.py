"""The mask of a slide in a file is computed once; pixels in memory may change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histosge.images import tissue
from histosge.images.slide import SlideImage, open_slide
from histosge.images.tissue import TissueMask


def _picture() -> np.ndarray:
    pixels = np.full((200, 200, 3), 240, dtype=np.uint8)
    pixels[40:160, 40:160] = (180, 80, 150)
    pixels[40:160:2, 40:160] = (150, 60, 130)
    return pixels


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the scales at which stained tissue was searched."""
    calls: list[float] = []
    search = tissue.stained

    def stained(rgb: np.ndarray, mpp: float) -> np.ndarray:
        calls.append(mpp)
        return np.asarray(search(rgb, mpp))

    monkeypatch.setattr(tissue, "stained", stained)
    return calls


def test_tissue_of_a_file_is_searched_once_a_scale(tmp_path: Path, counted: list[float]) -> None:
    """The alignment and the locations get the same mask; another scale and another slide get masks of their own."""
    Image.fromarray(_picture()).save(tmp_path / "slide.png")
    slide = open_slide(tmp_path / "slide.png", mpp=8.0)
    first = TissueMask.from_slide(slide)
    assert 0.3 < first.fraction < 0.5
    assert TissueMask.from_slide(slide) is first
    assert TissueMask.from_slide(slide, mpp=16.0).mpp == 16.0
    TissueMask.from_slide(open_slide(tmp_path / "slide.png", mpp=8.0))
    assert counted == [8.0, 16.0, 8.0]


def test_tissue_of_an_array_follows_its_pixels(counted: list[float]) -> None:
    """An array whose owner changes it has another mask afterwards."""
    pixels = _picture()
    slide = SlideImage.from_array(pixels, mpp=8.0)
    before = TissueMask.from_slide(slide).fraction
    pixels[:, :100] = 240
    assert TissueMask.from_slide(slide).fraction < 0.7 * before
    assert len(counted) == 2
