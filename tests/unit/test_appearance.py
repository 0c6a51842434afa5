"""Images that are no bright-field H&E, or whose pixels leave something open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.errors import DataError
from histosge.images.appearance import appearance_messages
from histosge.images.slide import SlideImage, open_slide
from histosge.io.readers.base import ReadOptions
from histosge.io.readers.image import read

SLIDE = synthetic().section.slide
assert SLIDE is not None
RGB = SLIDE.thumbnail(4.0)
REAL = (
    ("crc16/spatial/tissue_hires_image.png", 4.52),
    ("dlpfc/151673/spatial/tissue_lowres_image.png", 16.1),
    ("mouse_brain_dg/spatial/tissue_lowres_image.png", 14.2),
    ("mob/MOB1/image.jpg", 4.37),
    ("xenium_breast_rep1/he.png", 10.7),
)


def texts(rgb: Array) -> str:
    """All messages about an image in memory, of 4 µm per pixel."""
    return " ".join(message.text for message in appearance_messages(SlideImage.from_array(rgb, 4.0), "x.png"))


def nuclei() -> Array:
    """Fluorescence of nuclei, 0 to 255, dark between them."""
    rng = np.random.default_rng(0)
    seeds = (rng.random((400, 400)) < 0.004).astype(float)
    glow = gaussian_filter(seeds, 2.0)
    return np.clip(glow / glow.max() * 300 + rng.normal(6, 2, glow.shape), 0, 255).astype(np.uint8)


def test_an_image_of_haematoxylin_and_eosin_gives_no_message() -> None:
    """The synthetic section is one."""
    assert texts(RGB) == ""


@pytest.mark.real
@pytest.mark.parametrize(("name", "mpp"), REAL)
def test_real_sections_give_no_message_and_exchanged_channels_do(
    real_data: Path, name: str, mpp: float
) -> None:
    """No false alarm on sections of four tissues; with red and blue exchanged each gives a warning."""
    slide = open_slide(real_data / name, mpp=mpp)
    assert appearance_messages(slide, name) == ()
    exchanged = SlideImage.from_array(slide.thumbnail(mpp)[..., ::-1], mpp)
    assert "BGR" in appearance_messages(exchanged, name)[0].text


@pytest.mark.real
def test_the_chip_with_exchanged_channels_gives_a_warning(real_data: Path) -> None:
    """A real image that was written by OpenCV."""
    path = real_data / "odd/breast_grid_chip/outs/spatial/tissue_lowres_image.png"
    assert "BGR" in appearance_messages(open_slide(path, mpp=8.5), "x")[0].text


def test_fluorescence_flattened_to_rgb_or_gray_is_refused() -> None:
    """DAPI in blue, three channels merged, gray; as a file without spots, too."""
    glow = nuclei()
    none = np.zeros_like(glow)
    merged = np.dstack([np.roll(glow, 40, 0), np.roll(glow, 90, 1), glow])
    for rgb in (np.dstack([none, none, glow]), merged, np.dstack([glow] * 3)):
        with pytest.raises(DataError, match=r"bright-field.*fluorescence"):
            texts(rgb)


def test_inverted_fluorescence_in_colour_is_refused() -> None:
    """Blue nuclei on black become yellow ones on white."""
    none = np.zeros_like(nuclei())
    glow = np.clip(nuclei().astype(int) * 3, 0, 255).astype(np.uint8)
    with pytest.raises(DataError, match="absorbs less green"):
        texts(255 - np.dstack([none, none, gaussian_filter(glow, 3)]))


def test_black_padding_is_no_fluorescence() -> None:
    """Half of the picture black, the rest H&E; as bright as it is, and of a dim camera."""
    rgb = np.vstack([RGB, np.zeros_like(RGB)])
    assert texts(rgb) == ""
    assert texts(rgb // 2) == ""


def test_gray_images_and_drawings_give_a_warning() -> None:
    """Colour is missing; lines of pure colours lie on it."""
    assert "is gray" in texts(np.repeat(RGB[..., 1:2], 3, axis=2))
    drawn = RGB.copy()
    drawn[20:28] = (0, 255, 0)
    assert "drawn on" in texts(drawn)


def test_what_would_be_refused_is_a_warning_where_the_user_insists() -> None:
    """`trust_alignment` accepts the image."""
    glow = nuclei()
    slide = SlideImage.from_array(np.dstack([glow] * 3), 4.0)
    assert "fluorescence" in appearance_messages(slide, "x.png", refuse=False)[0].text


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_orientation_tags_are_not_applied_and_give_a_warning(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    """Coordinates count the pixels as stored, whatever the tag; all but the first value give a warning."""
    path = tmp_path / f"image.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, RGB, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(RGB).save(path, exif=exif, quality=95)
    slide = open_slide(path, mpp=4.0)
    assert slide.backend.shapes[0] == RGB.shape[:2]
    pixels = slide.backend.read(0, (0, 0), (RGB.shape[1], RGB.shape[0])).astype(int)
    assert np.abs(pixels - RGB).mean() < 4
    text = " ".join(message.text for message in appearance_messages(slide, path.name))
    slide.backend.close()
    assert ("orientation tag" in text) == (orientation > 1)


def test_a_section_has_the_messages_of_its_image(tmp_path: Path) -> None:
    """An image without spots that carries an orientation tag; one of fluorescence is refused."""
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    section = read(tmp_path / "turned.png", ReadOptions(mpp=4.0))
    assert any("orientation tag" in message.text for message in section.messages)
    Image.fromarray(nuclei()).save(tmp_path / "dapi.png")
    with pytest.raises(DataError, match="fluorescence"):
        read(tmp_path / "dapi.png", ReadOptions(mpp=4.0))


def test_the_overview_of_a_vsi_slide_is_refused(tmp_path: Path) -> None:
    """Its scan lies in other files."""
    path = tmp_path / "slide.vsi"
    tifffile.imwrite(path, RGB, photometric="rgb")
    with pytest.raises(DataError, match=r"overview.*OME-TIFF"):
        open_slide(path, mpp=4.0)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("dpi", [72, 96, 300, 2540, 25400])
def test_dots_per_inch_of_pictures_are_no_scale(tmp_path: Path, suffix: str, dpi: int) -> None:
    """Programs write them by habit, into PNG and JPEG: the scale is left to the user."""
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(RGB).save(path, dpi=(dpi, dpi))
    assert open_slide(path, mpp=1.0).backend.mpp is None
