"""Backends of slide images, one file a format."""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.registry import Registry
from histosge.errors import DataError, UsageError

from .base import Backend, Format
from .halved import with_halves

__all__ = ["BACKENDS", "open_backend"]


BACKENDS: Registry[Format] = Registry(
    "slide format", Format, [__name__], group="histosge.slide_formats", order=lambda form: form.priority
)


def open_backend(path: Path) -> Backend:
    """Open an image file by what is in it, whatever its name; levels of half the size are made where it lacks them.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When no format is recognised, or the file is damaged.
    """
    if not path.is_file():
        raise UsageError(f"Expected an image file, got none at '{path}'. Check the path.")
    for form in BACKENDS.values():
        if form.detect(path):
            return with_halves(form.open(path))
    raise DataError(
        f"'{path}' is no image this package reads. Give a TIFF, OME-TIFF, PNG, JPEG, or a scanner's format "
        "(SVS, NDPI, MRXS, SCN …)."
    )
