"""An H&E image without measured spots."""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.messages import Message
from histosge.errors import UsageError
from histosge.images.appearance import appearance_messages
from histosge.images.backends import BACKENDS
from histosge.images.slide import open_slide
from histosge.section.image_only import section_of_image
from histosge.section.section import Section

from .base import Reader, ReadOptions

__all__ = ["ENTRIES"]

# programs that take mm for cm write a tenth of the scale; a section is seldom smaller than this
_SMALLEST_MM = 1.0


def detect(path: Path) -> bool:
    """Return whether the path is an image file, by its content."""
    return path.is_file() and any(form.detect(path) for form in BACKENDS.values())


def read(path: Path, options: ReadOptions) -> Section:
    """Read an image as a section without genes and counts, with locations on its tissue.

    Raises
    ------
    UsageError
        When its scale is unknown, or ``options.image`` names another image.
    DataError
        When the image is damaged, or no tissue is detected in it.
    """
    if options.image is not None:
        raise UsageError(
            f"'{path}' is an image itself. Leave `image` out, or give the section it belongs to."
        )
    slide = open_slide(path, mpp=options.mpp)
    width, height = (side / 1000 for side in slide.size_um)
    if options.mpp is None and max(width, height) < _SMALLEST_MM:
        raise UsageError(
            f"By the scale in its metadata, {slide.mpp:.4g} µm per pixel, '{path}' is {width:.2g} × {height:.2g} mm "
            "large; a section of tissue is larger. Give the scale as `mpp`."
        )
    appearance = appearance_messages(slide, path.name, refuse=not options.trust_alignment)
    section = section_of_image(slide, options.name or path.stem)
    text = (
        f"Nothing was measured in '{section.name}': it is an image of {slide.mpp:.4g} µm per pixel, "
        f"{width:.3g} × {height:.3g} mm large."
    )
    return section.with_messages(Message("warning", text), *appearance)


ENTRIES = (
    Reader(
        "image",
        "an H&E image without measured spots, predicted from other measured sections",
        detect,
        read,
        priority=90,
        choices=(),
    ),
)
