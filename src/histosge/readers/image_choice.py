"""Which of the images at hand to look at, and how it relates to the coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .._errors import DataError
from .._notes import Note
from .._types import Array
from ..slide import SlideImage
from ..slides import open_source
from ..slides._contract import PixelSource

__all__ = ["ImageOffer", "choose"]

_SAME_SIZE = 0.01
_SCALE_TOLERANCE = 0.1
# a spot that is fewer pixels across shows no texture, only a colour
_COARSE_SPOT_PX = 8


@dataclass(frozen=True, slots=True, eq=False)
class ImageOffer:
    """An image that a section comes with.

    Parameters
    ----------
    kind
        ``"full"``, ``"hires"`` or ``"lowres"``.
    scale
        Pixels of this image per full-resolution pixel.
    path, source
        Where it is: a file, or pixels already at hand.
    """

    kind: Literal["full", "hires", "lowres"]
    scale: float
    path: Path | None = None
    source: PixelSource | None = None

    def open(self) -> PixelSource:
        """Return the pixels."""
        if self.source is not None:
            return self.source
        if self.path is None:
            raise DataError(f"The {self.kind} image is missing.")
        return open_source(self.path)


def choose(
    offers: tuple[ImageOffer, ...], given: Path | None, mpp: float, xy_px: Array
) -> tuple[SlideImage | None, tuple[Note, ...]]:
    """Return the image to use and remarks about it: the one given, else the sharpest offered, else none.

    Raises
    ------
    UsageError
        When the file given is not there.
    DataError
        When the file given is damaged, or is one of the small images.
    """
    if given is not None:
        source = open_source(given)
        _refuse_small_image(source, given, offers, xy_px)
        notes = _described("the image given", given.name, mpp)
        if source.mpp is not None and abs(source.mpp / mpp - 1) > _SCALE_TOLERANCE:
            text = f"'{given.name}' says {source.mpp:.4g} µm per pixel, the spots say {mpp:.4g}."
            notes = (*notes, Note("warning", text))
        return SlideImage(source, mpp), notes
    if not offers:
        return None, (
            Note("warning", "There is no image; only models of position can be used. Give one with --image."),
        )
    best = max(offers, key=lambda offer: offer.scale)
    name = best.path.name if best.path is not None else f"{best.kind} image"
    return SlideImage(best.open(), mpp / best.scale), _described(
        f"the {best.kind} image", name, mpp / best.scale
    )


def _described(what: str, name: str, mpp: float) -> tuple[Note, ...]:
    """Say which image was taken, how sharp it is, and whether that is enough."""
    notes = (Note("info", f"Image: {what} ('{name}'), {mpp:.3g} µm per pixel."),)
    if mpp < 55 / _COARSE_SPOT_PX:
        return notes
    text = (
        f"At {mpp:.3g} µm per pixel a 55 µm spot is {55 / mpp:.1f} pixels across: colour, but no cells. Give the "
        "full-resolution image with --image if you have it."
    )
    return (*notes, Note("warning", text))


def _refuse_small_image(
    source: PixelSource, given: Path, offers: tuple[ImageOffer, ...], xy_px: Array
) -> None:
    """Refuse the hires or lowres image in place of the full-resolution one."""
    height, width = source.shapes[0]
    for offer in offers:
        if offer.kind == "full":
            continue
        small_height, small_width = offer.open().shapes[0]
        same = abs(width / small_width - 1) < _SAME_SIZE and abs(height / small_height - 1) < _SAME_SIZE
        if same and offer.scale < 0.99 and (xy_px.max(0) > np.array([width, height])).any():
            raise DataError(
                f"'{given.name}' ({width} × {height} px) is the {offer.kind} image, not the full-resolution one, which "
                f"has about {small_width / offer.scale:.0f} × {small_height / offer.scale:.0f} px. Give that, or leave "
                "--image out."
            )
