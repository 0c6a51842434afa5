"""Images that do not match their coordinates are refused; images that match are accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import histosge
from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.errors import DataError
from histosge.images.slide import SlideImage
from histosge.section.alignment import ORIENTATIONS, Alignment, check_alignment, refuse_misaligned
from histosge.section.section import Section

REAL = [
    "her2st/C2",
    "her2st/C4",
    "her2st/C5",
    "crc16",
    "dlpfc/151673",
    "dlpfc/151674",
    "mob/MOB1",
    "mob/MOB2",
]
REAL += ["mouse_brain_dg"]
# one of each technology; the others take five seconds each
QUICK = ("her2st/C2", "dlpfc/151673")
# each wrong orientation of the image, in the order of ORIENTATIONS
TURNS: list[Callable[[Array], Array]] = [
    lambda image: image[:, ::-1],
    lambda image: image[::-1],
    lambda image: image[::-1, ::-1],
    lambda image: image.transpose(1, 0, 2),
    lambda image: np.rot90(image, -1),
    lambda image: np.rot90(image),
    lambda image: np.rot90(image, 2).transpose(1, 0, 2),
]


@cache
def sample(seed: int = 0) -> Section:
    """A synthetic section; it is not changed."""
    return synthetic(seed=seed).section


def turned(section: Section, turn: Callable[[Array], Array]) -> Section:
    """The section with its image turned; a pixel of the image is 4 µm or more."""
    assert section.slide is not None
    mpp = max(section.slide.mpp, 4.0)
    image = np.ascontiguousarray(turn(section.slide.thumbnail(mpp)))
    return replace(section, slide=SlideImage.from_array(image, mpp))


@pytest.mark.parametrize("seed", range(3))
def test_a_matching_image_is_accepted(seed: int) -> None:
    """Synthetic sections fit their own image, without a message."""
    section = sample(seed)
    assert refuse_misaligned(section) is section
    alignment = check_alignment(section)
    assert alignment.on_image == 1
    assert alignment.on_tissue > 0.95
    assert alignment.margin is not None
    assert alignment.margin > 0


@pytest.mark.parametrize("turn", range(7))
@pytest.mark.parametrize("seed", range(2))
def test_an_image_in_a_wrong_orientation_is_refused_and_named(seed: int, turn: int) -> None:
    """Each of the seven mirror images and rotations is refused, and the message names it."""
    section = turned(sample(seed), TURNS[turn])
    with pytest.raises(DataError, match="seems to be") as caught:
        refuse_misaligned(section)
    assert ORIENTATIONS[turn + 1] in str(caught.value)


def test_a_smaller_copy_of_the_full_image_is_named() -> None:
    """The hires image given as full-resolution image: coordinates reach far beyond it."""
    section = sample()
    assert section.slide is not None
    small = SlideImage.from_array(section.slide.thumbnail(8.0), section.slide.mpp)
    with pytest.raises(DataError, match="smaller copy"):
        refuse_misaligned(replace(section, slide=small))


def test_a_full_image_read_as_hires_is_named() -> None:
    """The full-resolution image given as hires would be larger than any glass slide."""
    section = sample()
    assert section.slide is not None
    with pytest.raises(DataError, match="glass slide"):
        refuse_misaligned(replace(section, slide=replace(section.slide, mpp=60.0)))


def test_spots_beside_the_tissue_are_refused() -> None:
    """All spots on empty glass: image and coordinates do not belong together."""
    section = sample()
    assert section.slide is not None
    image = section.slide.thumbnail(4.0)
    blank = np.full((image.shape[0], 2 * image.shape[1], 3), 242, dtype=np.uint8)
    blank[:, image.shape[1] :] = image
    with pytest.raises(DataError, match=r"on tissue|seems to be"):
        refuse_misaligned(replace(section, slide=SlideImage.from_array(blank, 4.0)))


def test_a_section_without_image_is_not_checked() -> None:
    """It is returned as it is; comparing it is an error."""
    section = replace(synthetic(columns=6, rows=6, genes=6).section, slide=None)
    assert refuse_misaligned(section) is section
    with pytest.raises(DataError, match="no image"):
        check_alignment(section)


@pytest.mark.real
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in REAL]
)
def test_real_sections_are_accepted_and_refused_when_turned(real_data: Path, name: str) -> None:
    """No real section is refused as it is, and all are in each of the seven wrong orientations of the image."""
    section = histosge.read(real_data / name)
    assert section.slide is not None
    # thumbnails are made from a small image, not from the whole slide seven times
    mpp = max(section.slide.mpp, 4.0)
    small = replace(section, slide=SlideImage.from_array(section.slide.thumbnail(mpp), mpp))
    for turn in TURNS:
        assert check_alignment(turned(small, turn)).problem is not None


def test_a_margin_near_zero_is_no_clear_fit() -> None:
    """The orientation is certain where the image fits clearly better as it is, not where none were compared."""
    assert not Alignment(1.0, 1.0, margin=0.02, alternative=ORIENTATIONS[1]).is_clear
    assert "compare it in a viewer" in Alignment(1.0, 1.0, margin=0.02, alternative=ORIENTATIONS[1]).summary
    assert Alignment(1.0, 1.0, margin=0.3, alternative=ORIENTATIONS[1]).is_clear
    assert not Alignment(1.0, 1.0).is_clear
    assert "not checked" in Alignment(1.0, 1.0).summary


@pytest.mark.parametrize("seed", range(3))
def test_counts_without_information_are_not_refused_as_turned(seed: int) -> None:
    """Noise follows the image in no orientation: it is not refused, and its orientation is not called clear."""
    section = synthetic(columns=10, rows=12, genes=30).section
    noise = sparse.csr_matrix(np.random.default_rng(4 + seed).poisson(1.0, section.counts.shape))
    alignment = check_alignment(replace(section, counts=noise))
    assert alignment.problem is None
    assert not alignment.is_clear
