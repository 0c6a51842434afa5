"""Sources of pixels, one file a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from histosge._runtime.registry import Registry
from histosge.errors import DataError, UsageError

from .base import PixelSource

__all__ = ["SOURCES", "Format", "open_source"]


@dataclass(frozen=True, slots=True)
class Format:
    """A registry entry: how to recognise a file, and how to open it."""

    sniff: Callable[[Path], bool]
    open: Callable[[Path], PixelSource]


def _built_in() -> Mapping[str, Format]:
    from . import openslide, raster, tiff

    return {
        "raster": Format(raster.sniff, raster.open_raster),
        # before plain TIFF: many scanners' files are TIFF with a private layout
        "openslide": Format(openslide.sniff, openslide.OpenSlideSource.open),
        "tiff": Format(tiff.sniff, tiff.TiffSource.open),
    }


SOURCES: Registry[Format] = Registry("slide_format", _built_in)


def open_source(path: Path) -> PixelSource:
    """Open an image file by what is in it, whatever its name.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When no format is recognised, or the file is damaged.
    """
    if not path.is_file():
        raise UsageError(f"Expected an image file, found none at '{path}'. Check the path.")
    for form in SOURCES.values():
        if form.sniff(path):
            return form.open(path)
    raise DataError(
        f"'{path}' is no image this package reads. Give a TIFF, OME-TIFF, PNG, JPEG, or a scanner's format "
        "(SVS, NDPI, MRXS, SCN …)."
    )
