"""PNG and JPEG: formats without random access, decoded once."""

from __future__ import annotations

from contextlib import suppress
from os import SEEK_END
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError

from .array import ArrayBackend, as_rgb
from .base import Format
from .identity import file_identity

__all__ = ["ENTRIES", "detect", "open_raster"]

_MODES = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "P": "RGBA", "I;16": "I;16", "I;16B": "I;16"}

# the marker at the end of a JPEG
_END = b"\xff\xd9"
_ORIENTATION_TAG = 274
# 6 GB of RGB in memory
_MOST_PIXELS = 2**31


def detect(path: Path) -> bool:
    """Tell a PNG or JPEG by its first bytes."""
    with path.open("rb") as stream:
        start = stream.read(8)
    return start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


def open_raster(path: Path) -> ArrayBackend:
    """Decode a PNG or JPEG.

    An orientation tag is not applied: coordinates count the pixels as they are stored. It is kept for a message.

    Raises
    ------
    DataError
        For a truncated or damaged file, for more than 2^31 pixels, and for CMYK, 1-bit and floating-point images.
    """
    from PIL import Image

    # slides are larger than Pillow's alarm for decompression bombs: a larger limit replaces it
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as image:
            _refuse_bomb(path, image.size)
            mode = image.mode
            if mode not in _MODES:
                raise DataError(
                    f"Expected gray or RGB pixels in '{path}', got mode {mode}. Convert the image to 8-bit RGB."
                )
            orientation = _orientation(image)
            pixels = _of_jpeg(path, image) if _is_whole_jpeg(path, image) else None
            if pixels is None:
                pixels = np.asarray(image if mode == _MODES[mode] else image.convert(_MODES[mode]))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"'{path}' is damaged or cut short ({error}). Copy it again.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    rgb = as_rgb(pixels, f"'{path}'")
    return ArrayBackend(rgb, path=path, orientation=orientation, fingerprint=file_identity(path))


def _is_whole_jpeg(path: Path, image: Any) -> bool:
    """Whether a file is a JPEG of RGB that was not cut short: its last two bytes say that it ends."""
    if image.format != "JPEG" or image.mode != "RGB" or path.stat().st_size < len(_END):
        return False
    with path.open("rb") as stream:
        stream.seek(-len(_END), SEEK_END)
        return stream.read() == _END


def _of_jpeg(path: Path, image: Any) -> Array | None:
    """Return the pixels as libjpeg-turbo decodes them into memory, in a third of the time that Pillow copies them.

    ``None`` where Pillow, which names what is wrong, should read it.
    """
    import imagecodecs

    with suppress(imagecodecs.Jpeg8Error):
        pixels = np.asarray(imagecodecs.jpeg8_decode(path.read_bytes()))
        return pixels if pixels.shape == (image.height, image.width, 3) else None
    return None


def _orientation(image: Any) -> int:
    """Return the orientation tag; other metadata of a camera, and damaged ones, do not count."""
    with suppress(Exception):
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    return 1


def _refuse_bomb(path: Path, size: tuple[int, int]) -> None:
    """Refuse an image that is too large to be decoded at once."""
    width, height = size
    if width * height > _MOST_PIXELS:
        raise DataError(
            f"'{path}' has {width} × {height} pixels; PNG and JPEG are decoded at once, up to {_MOST_PIXELS / 1e9:.1f} "
            "billion. Convert it to a tiled TIFF, which is read in pieces."
        )


ENTRIES = (Format("raster", detect, open_raster, priority=10),)
