"""TIFF, BigTIFF and OME-TIFF, read by rectangles: only the tiles or strips touched are decoded."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array, UInt8
from histosge.errors import DataError

from .array import as_rgb, refuse_narrow_range
from .base import Format, plausible_mpp
from .identity import file_identity
from .tile_cache import TileCache

__all__ = ["ENTRIES", "TiffBackend", "detect"]

# 192 MiB hold some 250 tiles of 512 px: a neighbourhood of patches, whatever the size of the slide
_CACHE_BYTES = 192 << 20
# photometric interpretations of the TIFF 6.0 specification
_MINISWHITE, _MINISBLACK, _YCBCR = 0, 1, 6
_ODD_PIXELS = {
    3: "palette",
    4: "mask",
    5: "CMYK",
    8: "CIELAB",
    9: "ICCLAB",
    10: "ITULAB",
    32803: "raw camera",
    32844: "LogL",
    32845: "LogLuv",
    34892: "raw camera",
}
# kinds of JPEG, whose YCbCr pixels are decoded to RGB
_JPEG = (6, 7, 33007, 34892)
# entries of a directory that are one number, for all colours
_SINGLE = (
    "imagewidth",
    "imagelength",
    "bitspersample",
    "samplesperpixel",
    "rowsperstrip",
    "tilewidth",
    "tilelength",
    "planarconfig",
)
# side and number (a side) of the squares from which the range of 16-bit pixels is taken
_PROBE_PX, _PROBES = 128, 6
# names that microscopes give to the channels of a bright-field image
_COLOUR_NAMES = re.compile(
    r"(r|g|b|red|green|blue|rgb|(c|ch|channel|image|sample)?[ _:-]*\d+([:_ -]\d+)*|.*bright.?field.*|tl.*|h ?& ?e)?",
    re.IGNORECASE,
)
# what damaged directories make tifffile raise
_DAMAGE = (ValueError, LookupError, ArithmeticError, OSError, TypeError, AttributeError, struct.error)


def detect(path: Path) -> bool:
    """Tell a TIFF or BigTIFF by its first bytes."""
    with path.open("rb") as stream:
        return stream.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True, slots=True, eq=False)
class TiffBackend:
    """A TIFF file: pyramidal (SubIFDs or pages) or flat, tiled or stripped, 8 or 16 bits, gray, RGB or RGBA."""

    path: Path
    fingerprint: str = ""
    shapes: tuple[tuple[int, int], ...] = ()
    mpp: float | None = None
    orientation: int = 1
    _levels: tuple[tuple[Any, ...], ...] = field(default=(), repr=False)
    _file: Any = field(default=None, repr=False)
    _tiles: TileCache = field(default_factory=lambda: TileCache(_CACHE_BYTES), repr=False)

    @classmethod
    def open(cls, path: Path) -> TiffBackend:
        """Open a file and read its directory, no pixels.

        Raises
        ------
        DataError
            For a damaged directory, and for kinds of pixels that are no tissue image.
        """
        import tifffile

        _refuse_overview(path)
        with _as_sentence(path):
            file = tifffile.TiffFile(path)
        try:
            return cls._of(file, path)
        except BaseException:
            file.close()
            raise

    @classmethod
    def _of(cls, file: Any, path: Path) -> TiffBackend:
        """Check the directory of an open file."""
        with _as_sentence(path):
            series = _series(file)
            levels = _levels(file, series)
            for page in (page for pages in levels for page in pages):
                _refuse_several_values(page)
        _refuse_fluorescence(file, series, path)
        _refuse_stack(series, path)
        for page in levels[0]:
            _refuse_odd_pixels(page, path)
        shapes = tuple((int(pages[0].imagelength), int(pages[0].imagewidth)) for pages in levels)
        if min(min(shape) for shape in shapes) < 1:
            raise DataError(f"'{path}' is damaged: one of its images has no pixels. Copy it again.")
        mpp = _mpp(file, series, levels[0][0])
        turn = _orientation(levels[0][0])
        backend = cls(
            path, file_identity(path), shapes, mpp=mpp, orientation=turn, _levels=levels, _file=file
        )
        if int(levels[0][0].bitspersample) == 16:
            refuse_narrow_range(backend._brightest(), f"'{path}'")
        return backend

    def read(self, level: int, corner: tuple[int, int], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        """Return a rectangle of ``level``."""
        return as_rgb(self._pixels(level, corner, size), f"'{self.path}'", whole=False)

    def close(self) -> None:
        """Release the file."""
        self._tiles.clear()
        self._file.close()

    def _pixels(self, level: int, corner: tuple[int, int], size: tuple[int, int]) -> Array:
        """Return a rectangle of ``level`` in the file's own bits and channels."""
        planes = [
            self._rectangle((level, index), page, corner, size)
            for index, page in enumerate(self._levels[level])
        ]
        pixels = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        if self._levels[level][0].photometric == _MINISWHITE:
            pixels = np.iinfo(pixels.dtype).max - pixels
        return np.asarray(pixels)

    def _brightest(self) -> int:
        """Return the brightest colour value in squares spread over the coarsest level."""
        level = len(self.shapes) - 1
        height, width = self.shapes[level]
        size = min(_PROBE_PX, width), min(_PROBE_PX, height)
        lefts = np.linspace(0, width - size[0], _PROBES).astype(int)
        tops = np.linspace(0, height - size[1], _PROBES).astype(int)
        corners = [(int(left), int(top)) for top in np.unique(tops) for left in np.unique(lefts)]
        return max(int(self._pixels(level, corner, size)[..., :3].max()) for corner in corners)

    def _rectangle(
        self, plane: tuple[int, int], page: Any, corner: tuple[int, int], size: tuple[int, int]
    ) -> Array:
        """Return rows × columns × samples of a rectangle of one page, ``plane`` being its level and colour."""
        (left, top), (width, height) = corner, size
        samples = int(page.samplesperpixel)
        # uncompressed strips are read from the page cache of the operating system, without decoding
        if page.is_memmappable and not page.is_tiled and (samples == 1 or page.planarconfig == 1):
            return np.asarray(_mapped(page)[top : top + height, left : left + width])
        out = np.empty((height, width, samples), dtype=page.dtype)
        tall, wide = (
            (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        )
        across, down = -(-page.imagewidth // wide), -(-page.imagelength // tall)
        # planar configuration 2 stores the tiles of each colour one after another
        separate = page.planarconfig == 2 and samples > 1
        for row in range(top // tall, (top + height - 1) // tall + 1):
            for column in range(left // wide, (left + width - 1) // wide + 1):
                for sample in range(samples if separate else 1):
                    index = (sample * down + row) * across + column
                    tile = self._tiles.get((*plane, index), partial(self._decode, page, index, (tall, wide)))
                    into = slice(sample, sample + 1) if separate else slice(None)
                    _paste(out[..., into], tile, row * tall - top, column * wide - left)
        return out

    def _decode(self, page: Any, index: int, size: tuple[int, int]) -> Array:
        """Return one tile or strip as rows × columns × samples."""
        samples = 1 if page.planarconfig == 2 else int(page.samplesperpixel)
        try:
            handle = self._file.filehandle
            handle.seek(page.dataoffsets[index])
            data = handle.read(page.databytecounts[index])
            if len(data) < page.databytecounts[index]:
                raise ValueError("the file ends before the tile does")
            pixels = page.decode(data or None, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader)[
                0
            ]
        except (RuntimeError, ValueError, OSError, IndexError, TypeError, struct.error) as error:
            raise DataError(
                f"Tile {index} of '{self.path}' is damaged ({error}). Copy the image again."
            ) from error
        if pixels is None:  # a tile that was never written is background
            return np.full((*size, samples), np.iinfo(page.dtype).max, dtype=page.dtype)
        return np.asarray(pixels[0])


@contextmanager
def _as_sentence(path: Path) -> Iterator[None]:
    """Turn what tifffile raises for a damaged file into one sentence, and keep what it logs from the screen."""
    log = logging.getLogger("tifffile")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"'{path}' is damaged or cut short ({error}). Copy it again.") from error
    finally:
        log.setLevel(level)


def _series(file: Any) -> Any:
    """Return the largest image of the file: scanners may write the label or an overview of the slide first."""

    def area(series: Any) -> int:
        sizes = dict(zip(series.axes, series.shape, strict=True))
        return int(sizes.get("Y", 0)) * int(sizes.get("X", 0))

    # the first of equally large ones
    return max(file.series, key=area)


def _position(file: Any, series: Any) -> int:
    """Return the number of the image in the file's metadata."""
    return next(number for number, other in enumerate(file.series) if other is series)


def _levels(file: Any, series: Any) -> tuple[tuple[Any, ...], ...]:
    """Return the pages of each level, largest first; several pages where each colour is a page of its own."""
    levels = [_planes(level) for level in series.levels]
    if len(levels) == 1 and len(levels[0]) == 1:
        # pyramids of plain pages, each flagged as a reduced copy of the first
        first = levels[0][0]
        ratio = first.imagewidth / first.imagelength
        pages = [page.aspage() for page in file.pages]
        reduced = [page for page in pages if int(page.subfiletype) & 1 and page.imagewidth < first.imagewidth]
        levels += [(page,) for page in reduced if abs(page.imagewidth / page.imagelength / ratio - 1) < 0.02]
    levels.sort(key=lambda pages: -int(pages[0].imagewidth))
    return tuple(levels)


def _planes(level: Any) -> tuple[Any, ...]:
    """Return the page of a level, or the three or four pages of its colours (OME axes CYX)."""
    sizes = dict(zip(level.axes, level.shape, strict=True))
    pages = [page.aspage() for page in level.pages if page is not None]
    colours = sizes.get("C", 1)
    if colours == 1 or int(pages[0].samplesperpixel) >= 3:
        return (pages[0],)
    if colours not in (3, 4) or len(pages) < colours:
        raise ValueError(f"{colours} channels, expected gray, RGB or RGBA; export a brightfield RGB image")
    return tuple(pages[:colours])


def _refuse_fluorescence(file: Any, series: Any, path: Path) -> None:
    """Refuse separate channels of gray that are no red, green and blue.

    Channels of fluorescence have names of stains, or there are four of them: a fourth channel of gray is no
    transparency.
    """
    page = series.pages[0].aspage()
    channels = dict(zip(series.axes, series.shape, strict=True)).get("C", 1) * int(page.samplesperpixel)
    if int(page.photometric) != _MINISBLACK or channels < 3:
        return
    names = _channel_names(file, series)
    stains = len(set(names)) > 1 and not all(_COLOUR_NAMES.fullmatch(name.strip()) for name in names)
    if channels == 3 and not stains:
        return
    raise DataError(
        f"Expected a bright-field RGB image in '{path}', got {channels} channels of gray"
        f"{' (' + ', '.join(names) + ')' if names else ''}, as of fluorescence. Export the H&E image as 8-bit RGB."
    )


def _channel_names(file: Any, series: Any) -> list[str]:
    """Return the names of the channels in OME or ImageJ metadata; empty where they have none."""
    if file.is_ome:
        pixels = re.findall(r"<(?:\w+:)?Pixels\b.*?</(?:\w+:)?Pixels>", file.ome_metadata, re.DOTALL)
        index = _position(file, series)
        channels = re.findall(r"<(?:\w+:)?Channel\b[^>]*>", pixels[index]) if index < len(pixels) else []
        return [name.group(1) for channel in channels if (name := re.search(r'\bName="([^"]*)"', channel))]
    labels = (file.imagej_metadata or {}).get("Labels", []) if file.is_imagej else []
    return [str(label) for label in labels]


def _orientation(page: Any) -> int:
    """Return the orientation tag, which is not applied: coordinates count the pixels as they are stored."""
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag is not None and isinstance(tag.value, int) else 1


def _refuse_overview(path: Path) -> None:
    """Refuse the small file of a VSI slide: a TIFF of its overview, whose scan lies in a folder beside it."""
    if path.suffix.lower() == ".vsi":
        raise DataError(
            f"'{path}' holds only an overview; the scan lies in '_{path.stem}_/', in a format that is not read. Export "
            "it as OME-TIFF (QuPath, OlyVIA) with all pixels."
        )


def _refuse_stack(series: Any, path: Path) -> None:
    """Refuse several images of one size: focal planes, time points, fluorescence channels."""
    many = {axis: size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "YXSC"}
    if any(size > 1 for size in many.values()):
        number = int(np.prod(list(many.values())))
        raise DataError(
            f"Expected one image in '{path}', got a stack of {number} (axes {series.axes}). Export the brightfield "
            "image alone, as 8-bit RGB."
        )


def _refuse_several_values(page: Any) -> None:
    """Refuse a directory with several values where there is one, which a damaged one can have."""
    several = [name for name in _SINGLE if not isinstance(getattr(page, name), int)]
    if several:
        raise ValueError(f"{several[0]} is {getattr(page, several[0])!r}")


def _refuse_odd_pixels(page: Any, path: Path) -> None:
    bits, photometric = int(page.bitspersample), int(page.photometric)
    kind = _ODD_PIXELS.get(photometric)
    if photometric == _YCBCR and int(page.compression) not in _JPEG:
        kind = "YCbCr"
    if bits not in (8, 16) or page.dtype is None or page.dtype.kind != "u":
        kind = kind or f"{bits}-bit {'float' if page.sampleformat == 3 else ''}".strip()
    if kind is not None:
        raise DataError(
            f"Expected 8- or 16-bit gray or RGB pixels in '{path}', got {kind}. Convert it to 8-bit RGB."
        )


def _mapped(page: Any) -> Array:
    """Return an uncompressed page as an array on disk."""
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    dtype = page.dtype.newbyteorder(page.parent.byteorder)
    path = page.parent.filehandle.path
    try:
        return np.memmap(path, dtype, "r", page.dataoffsets[0], shape)
    except (ValueError, OSError) as error:
        raise DataError(f"'{Path(path).name}' is cut short ({error}). Copy or export it again.") from error


def _paste(out: Array, tile: Array, top: int, left: int) -> None:
    """Copy the part of ``tile`` that falls into ``out``, where the tile's corner is at (top, left) of ``out``."""
    height, width = out.shape[:2]
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(height, top + tile.shape[0]), min(width, left + tile.shape[1])
    out[y0:y1, x0:x1] = tile[y0 - top : y1 - top, x0 - left : x1 - left]


def _mpp(file: Any, series: Any, page: Any) -> float | None:
    """Return µm per pixel from OME metadata or resolution tags, where it is one that a scanner can have."""
    return plausible_mpp(
        _ome_mpp(file.ome_metadata, _position(file, series)) if file.is_ome else _tag_mpp(page)
    )


def _ome_mpp(text: str, index: int) -> float | None:
    """Return µm per pixel of the image with this index."""
    images = re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", text)
    image = images[index] if index < len(images) else text
    size = re.search(r'PhysicalSizeX="([^"]+)"', image)
    unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', image)
    scale = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4}.get(
        unit.group(1) if unit else "µm"
    )
    try:
        return float(size.group(1)) * scale if size and scale else None
    except ValueError:
        return None


def _tag_mpp(page: Any) -> float | None:
    """Return µm per pixel of the resolution tags (unit 3: pixels per cm; 2: per inch)."""
    tags = {name: page.tags[name].value for name in ("XResolution", "ResolutionUnit") if name in page.tags}
    try:
        unit_um = {3: 1e4, 2: 25.4e3}.get(int(tags.get("ResolutionUnit", 1)))
        above, below = tags.get("XResolution", (0, 1))
    except (ValueError, TypeError):
        # a damaged directory: no unit, or no fraction
        return None
    return unit_um * below / above if unit_um and above and below else None


ENTRIES = (Format("tiff", detect, TiffBackend.open, priority=30),)
