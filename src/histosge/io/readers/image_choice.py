"""The choice of an image for a section, and its scale against the coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.images.appearance import appearance_messages
from histosge.images.backends import open_backend
from histosge.images.backends.array import ArrayBackend
from histosge.images.backends.base import Backend
from histosge.images.slide import SlideImage
from histosge.section.section import Section

__all__ = ["ImageCandidate", "choose_image", "in_memory"]

# relative difference of sizes within which an image is the small image itself
_SAME_SIZE = 0.01
# sizes are rounded to whole pixels, up or down, and some programs cut one more
_ROUNDED_PX = 1.5
# relative difference of sizes that rounding of a scale factor to few digits may explain at most
_ROUNDED_SCALE = 0.03
# distance of 1 / scale from a whole number within which it is one
_WHOLE = 1e-9
# from 1, below which a ratio is written with four digits
_NEARLY = 0.1
# relative difference of two values of µm per pixel that is reported
_SCALE_TOLERANCE = 0.1
# diameter of a spot, px, below which the image shows colour but no texture
_COARSE_SPOT_PX = 8


@dataclass(frozen=True, slots=True, eq=False)
class ImageCandidate:
    """An image that comes with a section.

    Parameters
    ----------
    kind
        ``"full"``, ``"hires"`` or ``"lowres"``.
    scale
        Pixels of this image per full-resolution pixel.
    path, source
        Its file, or its pixels in memory.
    """

    kind: Literal["full", "hires", "lowres"]
    scale: float
    path: Path | None = None
    source: Backend | None = None

    def open(self) -> Backend:
        """Return the pixels."""
        if self.source is not None:
            return self.source
        if self.path is None:
            raise DataError(f"The {self.kind} image is missing.")
        return open_backend(self.path)


def choose_image(
    images: tuple[ImageCandidate, ...],
    path: Path | None,
    mpp: float,
    xy_px: Array,
    *,
    trust_alignment: bool = False,
) -> tuple[SlideImage | None, tuple[Message, ...]]:
    """Return the image at ``path``, else the sharpest candidate, else ``None``; and messages about it.

    With ``trust_alignment`` an image whose size disagrees with the coordinates is accepted, with a warning.

    Raises
    ------
    UsageError
        When there is no file at ``path``.
    DataError
        When the file is damaged, is one of the small images, or disagrees in size with the small images and their
        scale factors.
    """
    if path is not None:
        source = open_backend(path)
        _refuse_small_image(source, path, images, xy_px)
        mismatch = _size_mismatch(source, path.name, 1.0, images, trust_alignment=trust_alignment)
        messages = (*_described("the image of `image`", path.name, mpp), *mismatch)
        if source.mpp is not None and abs(source.mpp / mpp - 1) > _SCALE_TOLERANCE:
            text = f"'{path.name}' has {source.mpp:.4g} µm per pixel by its metadata, {mpp:.4g} by the spots."
            messages = (*messages, Message("warning", text))
        slide = SlideImage(source, mpp)
        return slide, (*messages, *appearance_messages(slide, path.name, refuse=not trust_alignment))
    if not images:
        return None, (
            Message(
                "warning", "There is no image: only models of position can be used. Give one as `image`."
            ),
        )
    best = max(images, key=lambda candidate: candidate.scale)
    name = best.path.name if best.path is not None else f"{best.kind} image"
    source = best.open()
    others = tuple(candidate for candidate in images if candidate.kind == "lowres" and candidate is not best)
    messages = _described(f"the {best.kind} image", name, mpp / best.scale)
    slide = SlideImage(source, mpp / best.scale)
    return slide, (
        *messages,
        *appearance_messages(slide, name, refuse=not trust_alignment),
        *_size_mismatch(source, name, best.scale, others, trust_alignment=trust_alignment),
    )


def in_memory(section: Section, folder: Path) -> Section:
    """Return the section with its image in memory where its file is in a folder that will be removed."""
    slide = section.slide
    path = None if slide is None else slide.backend.path
    if slide is None or path is None or not path.is_relative_to(folder):
        return section
    height, width = slide.backend.shapes[0]
    pixels = slide.backend.read(0, (0, 0), (width, height))
    return replace(section, slide=SlideImage(ArrayBackend(pixels, mpp=slide.backend.mpp), slide.mpp))


def _described(what: str, name: str, mpp: float) -> tuple[Message, ...]:
    """Return a message about the image and its resolution, and a warning where that is too low."""
    messages = (Message("info", f"Image: {what} ('{name}'), {mpp:.3g} µm per pixel."),)
    if mpp < 55 / _COARSE_SPOT_PX:
        return messages
    text = (
        f"At {mpp:.3g} µm per pixel a 55 µm spot is {55 / mpp:.1f} pixels across: colour, but no cells. Give the "
        "full-resolution image as `image` if you have it."
    )
    return (*messages, Message("warning", text))


def _refuse_small_image(
    source: Backend, path: Path, images: tuple[ImageCandidate, ...], xy_px: Array
) -> None:
    """Refuse the hires or lowres image in place of the full-resolution one."""
    height, width = source.shapes[0]
    for candidate in images:
        if candidate.kind == "full":
            continue
        small_height, small_width = candidate.open().shapes[0]
        same = abs(width / small_width - 1) < _SAME_SIZE and abs(height / small_height - 1) < _SAME_SIZE
        if same and candidate.scale < 0.99 and (xy_px.max(0) > np.array([width, height])).any():
            full_width, full_height = small_width / candidate.scale, small_height / candidate.scale
            raise DataError(
                f"'{path.name}' ({width} × {height} px) is the {candidate.kind} image. Expected the full-resolution "
                f"image, which has about {full_width:.0f} × {full_height:.0f} px. Give that, or leave `image` out."
            )


def _size_mismatch(
    source: Backend, name: str, scale: float, images: tuple[ImageCandidate, ...], *, trust_alignment: bool
) -> tuple[Message, ...]:
    """Compare the size of an image with the size that follows from another image and its scale factor.

    Raises
    ------
    DataError
        Where they disagree; with ``trust_alignment`` a warning is returned instead.
    """
    if not images:
        return ()
    known = max(images, key=lambda candidate: candidate.scale)
    known_size = np.array(known.open().shapes[0][::-1], dtype=np.float64)
    expected = known_size / known.scale * scale
    size = np.array(source.shapes[0][::-1], dtype=np.float64)
    pixels = _ROUNDED_PX / known_size + _ROUNDED_PX / size
    rounding = pixels + _rounding(known.scale) + _rounding(scale)
    ratio = size / expected
    # a wrong scale factor changes both sides alike, a part that was cut off does not
    if (np.abs(ratio - 1) < rounding).all() and abs(ratio[0] / ratio[1] - 1) < pixels.sum():
        return ()
    if (np.abs(size[::-1] / expected - 1) < rounding).all():
        finding = "is rotated by 90° against the coordinates"
    elif abs(ratio[0] / ratio[1] - 1) < pixels.sum():
        digits = 4 if abs(ratio.mean() - 1) < _NEARLY else 2
        finding = f"is {ratio.mean():.{digits}g} times as large as the image of the coordinates"
    else:
        finding = "is not the image of the coordinates"
    text = (
        f"'{name}' ({size[0]:.0f} × {size[1]:.0f} px) {finding}. By the {known.kind} image and its scale factor it "
        f"should have about {expected[0]:.0f} × {expected[1]:.0f} px. "
    )
    if trust_alignment:
        return (Message("warning", f"{text}It is used because of `trust_alignment`."),)
    raise DataError(
        f"{text}Spots may lie beside their tissue by as much as the difference. Give an image of that size, correct "
        "the scale factor if that is wrong, leave `image` out, or set `trust_alignment` if only the right or lower "
        "edge was cut or padded."
    )


def _rounding(scale: float) -> float:
    """Return the relative error of a scale factor that was rounded to the digits it has.

    One that divides by a whole number is exact.

    Examples
    --------
    >>> _rounding(0.25), round(_rounding(0.17), 3), _rounding(0.17011142) < 1e-7
    (0.0, 0.029, True)
    """
    if abs(1 / scale - round(1 / scale)) < _WHOLE:
        return 0.0
    exponent = int(Decimal(repr(float(scale))).as_tuple().exponent)
    return float(min(0.5 * 10.0**exponent / scale, _ROUNDED_SCALE))
