"""An H&E image without measured spots."""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.messages import Message
from histosge.errors import UsageError
from histosge.images.backends import BACKENDS
from histosge.images.slide import open_slide
from histosge.section.image_only import section_of_image
from histosge.section.section import Section

from .base import Reader, ReadOptions

__all__ = ["ENTRIES"]


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
    section = section_of_image(slide, options.name or path.stem)
    text = f"Nothing was measured in '{section.name}': it is an image of {slide.mpp:.4g} µm per pixel."
    return section.with_messages(Message("warning", text))


ENTRIES = (
    Reader(
        "image",
        "an H&E image without measured spots, predicted from other measured sections",
        detect,
        read,
        priority=90,
    ),
)
