"""The doctor checks a section first, then the installation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import histosge as hs
from histosge.datasets.synthetic import write_spaceranger
from histosge.images.slide import SlideImage

SECTION = hs.synthetic(columns=10, rows=10, genes=20).section


def test_the_section_comes_first() -> None:
    """Size, scale, image and alignment, then packages, device and encoders."""
    names = [check.name for check in hs.doctor(SECTION)]
    assert names[0] == "section"
    assert names.index("alignment") < names.index("packages") < names.index("encoders")


def test_a_path_is_read_and_the_spots_are_drawn(tmp_path: Path) -> None:
    """A folder is checked like the section in it; ``out`` receives the figure."""
    folder = write_spaceranger(SECTION, tmp_path / "outs")
    checks = {check.name: check for check in hs.doctor(folder, out=tmp_path)}
    assert checks["alignment"].verdict == "ok"
    assert (tmp_path / "section.png").stat().st_size > 0


def test_absent_weights_are_folded_into_a_line() -> None:
    """However many encoders lack weights, one line names them."""
    checks = hs.doctor()
    assert len([check for check in checks if check.name in ("encoders", "weights")]) <= 2
    (encoders,) = [check for check in checks if check.name == "encoders"]
    assert "texture" in encoders.finding


def test_limits_are_no_errors() -> None:
    """A section without image, and an image too coarse for texture, are named and are no errors."""
    (image,) = [check for check in hs.doctor(replace(SECTION, slide=None)) if check.name == "image"]
    assert image.verdict == "note"
    assert "`image`" in image.finding
    coarse = SlideImage.from_array(np.full((40, 40, 3), 200, dtype=np.uint8), 40.0)
    (image,) = [check for check in hs.doctor(replace(SECTION, slide=coarse)) if check.name == "image"]
    assert "too coarse" in image.finding
