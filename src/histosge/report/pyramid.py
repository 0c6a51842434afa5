"""The image of a section as JPEG tiles inside a page."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array
from histosge.images.slide import SlideImage

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["TILE_PX", "Level", "Pyramid", "jpeg_of", "pyramid"]

TILE_PX = 512
# base64 has four characters for three bytes, and the coarser levels add a third
_BLOAT = 4 / 3 * 4 / 3
_QUALITY = 80
# tiles that are compressed to estimate the bytes of a pixel
_SAMPLES = 12
# most pixels of RGB in memory
_MAX_PX = 90_000_000


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution: tiles from left to right, row after row, as JPEG in base64."""

    width_px: int
    height_px: int
    tiles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pyramid:
    """An image at several resolutions, each half of the one before.

    Parameters
    ----------
    levels
        Sharpest first.
    mpp
        µm per pixel of the sharpest.
    width_um, height_um
        Size of the image.
    """

    levels: tuple[Level, ...]
    mpp: float
    width_um: float
    height_um: float


def pyramid(slide: SlideImage, *, budget_bytes: int = 20_000_000) -> Pyramid:
    """Return the image as tiles that together take about ``budget_bytes`` of the page.

    Where the whole image would take more, its resolution is reduced until it fits; ``mpp`` has the resolution.
    """
    width_um, height_um = slide.size_um
    pixels = width_um * height_um / slide.mpp**2
    affordable = min(budget_bytes / (_BLOAT * _bytes_per_pixel(slide)), _MAX_PX)
    mpp = slide.mpp * max(1.0, math.sqrt(pixels / affordable))
    picture = _picture(slide.thumbnail(mpp))
    levels = [_level(picture)]
    # the coarsest level is a single tile
    while max(picture.size) > TILE_PX:
        picture = picture.reduce(2)
        levels.append(_level(picture))
    return Pyramid(tuple(levels), width_um / levels[0].width_px, width_um, height_um)


def _picture(pixels: Array) -> Picture:
    from PIL import Image

    return Image.fromarray(pixels)


def _bytes_per_pixel(slide: SlideImage) -> float:
    """Return the bytes of a pixel as JPEG, measured on tiles across the image."""
    width_um, height_um = slide.size_um
    side_um = TILE_PX * slide.mpp
    if min(width_um, height_um) < 2 * side_um:
        return len(_jpeg(_picture(slide.thumbnail(slide.mpp)))) / (width_um * height_um / slide.mpp**2)
    columns = math.ceil(math.sqrt(_SAMPLES))
    steps = (np.arange(columns) + 0.5) / columns
    centres = np.array([(x * width_um, y * height_um) for x in steps for y in steps])
    tiles = slide.read_many(centres, side_um, TILE_PX)
    return sum(len(_jpeg(_picture(tile))) for tile in tiles) / (len(tiles) * TILE_PX**2)


def _level(picture: Picture) -> Level:
    width, height = picture.size
    tiles = [
        base64.b64encode(
            _jpeg(picture.crop((left, top, min(left + TILE_PX, width), min(top + TILE_PX, height))))
        ).decode("ascii")
        for top in range(0, height, TILE_PX)
        for left in range(0, width, TILE_PX)
    ]
    return Level(width, height, tuple(tiles))


def jpeg_of(pixels: Array) -> str:
    """Return an image as JPEG in base64."""
    return base64.b64encode(_jpeg(_picture(pixels))).decode("ascii")


def _jpeg(picture: Picture) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue()
