"""Which of the images at hand to look at, and how it relates to the coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.images.backends import open_source
from histosge.images.backends.base import PixelSource
from histosge.images.slide import SlideImage

__all__ = ["ImageOffer", "choose"]

_SAME_SIZE = 0.01
# sizes and scale factors are rounded
_OTHER_SIZE = 0.03
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
    offers: tuple[ImageOffer, ...], given: Path | None, mpp: float, xy_px: Array, *, trust: bool = False
) -> tuple[SlideImage | None, tuple[Message, ...]]:
    """Return the image to use and remarks about it: the one given, else the sharpest offered, else none.

    With ``trust`` an image of another size than the coordinates count is taken, with a warning.

    Raises
    ------
    UsageError
        When the file given is not there.
    DataError
        When the file given is damaged, is one of the small images, or has not the size that the small images and
        their scale factors say.
    """
    if given is not None:
        source = open_source(given)
        _refuse_small_image(source, given, offers, xy_px)
        doubts = _other_size(source, given.name, 1.0, offers, trust)
        messages = (*_described("the image given", given.name, mpp), *doubts)
        if source.mpp is not None and abs(source.mpp / mpp - 1) > _SCALE_TOLERANCE:
            text = f"'{given.name}' says {source.mpp:.4g} µm per pixel, the spots say {mpp:.4g}."
            messages = (*messages, Message("warning", text))
        return SlideImage(source, mpp), messages
    if not offers:
        return None, (
            Message(
                "warning", "There is no image; only models of position can be used. Give one with --image."
            ),
        )
    best = max(offers, key=lambda offer: offer.scale)
    name = best.path.name if best.path is not None else f"{best.kind} image"
    source = best.open()
    others = tuple(offer for offer in offers if offer.kind == "lowres" and offer is not best)
    messages = _described(f"the {best.kind} image", name, mpp / best.scale)
    return SlideImage(source, mpp / best.scale), (
        *messages,
        *_other_size(source, name, best.scale, others, trust),
    )


def _described(what: str, name: str, mpp: float) -> tuple[Message, ...]:
    """Say which image was taken, how sharp it is, and whether that is enough."""
    messages = (Message("info", f"Image: {what} ('{name}'), {mpp:.3g} µm per pixel."),)
    if mpp < 55 / _COARSE_SPOT_PX:
        return messages
    text = (
        f"At {mpp:.3g} µm per pixel a 55 µm spot is {55 / mpp:.1f} pixels across: colour, but no cells. Give the "
        "full-resolution image with --image if you have it."
    )
    return (*messages, Message("warning", text))


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


def _other_size(
    source: PixelSource, name: str, scale: float, offers: tuple[ImageOffer, ...], trust: bool
) -> tuple[Message, ...]:
    """Compare an image's size with that which another image and its scale factor say.

    Returns a warning where they disagree and the user trusts the image.

    Raises
    ------
    DataError
        Where they disagree and the user does not.
    """
    if not offers:
        return ()
    known = max(offers, key=lambda offer: offer.scale)
    expected = np.array(known.open().shapes[0][::-1]) / known.scale * scale
    got = np.array(source.shapes[0][::-1], dtype=np.float64)
    if np.abs(got / expected - 1).max() < _OTHER_SIZE:
        return ()
    ratio = got / expected
    finding = "is not the image that the coordinates were made on"
    if np.abs(got[::-1] / expected - 1).max() < _OTHER_SIZE:
        finding = "is turned by 90° against the coordinates"
    elif abs(ratio[0] / ratio[1] - 1) < _OTHER_SIZE:
        finding = (
            f"is {ratio.mean():.2g} times as large as the image that the coordinates count the pixels of"
        )
    text = (
        f"'{name}' ({got[0]:.0f} × {got[1]:.0f} px) {finding}, which has about {expected[0]:.0f} × {expected[1]:.0f} "
        f"px by the {known.kind} image and its scale. "
    )
    if trust:
        return (Message("warning", f"{text}It was taken all the same, as asked."),)
    raise DataError(f"{text}Give an image of that size, leave --image out, or go on with --trust-alignment.")
