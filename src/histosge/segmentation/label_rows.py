"""Rows of a label image, read from its file without the rest of it."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError

__all__ = ["LabelRows", "of_array", "of_zarr", "opened_labels"]

# what damaged files make tifffile, NumPy and Pillow raise
_DAMAGE: tuple[type[Exception], ...] = (ValueError, OSError, EOFError, LookupError, TypeError, RuntimeError)
_DAMAGE = (*_DAMAGE, ArithmeticError, AttributeError, struct.error, zipfile.BadZipFile, zlib.error)
# pixels of the largest whole slide, and of a row of its tiles; a damaged directory says more
_MOST_PX, _MOST_BAND_PX = 1 << 37, 1 << 31
# kinds of JPEG in TIFF, which change numbers
_LOSSY = (6, 7, 33007, 34892)
_TIFF = (".tif", ".tiff", ".btf")
_PICKLE = (
    "Save the masks as TIFF or PNG: this file holds Python objects, and reading it runs code of its author."
)


@dataclass(frozen=True, slots=True, eq=False)
class LabelRows:
    """A label image: 0 is background, every other whole number a cell.

    Parameters
    ----------
    shape
        Height and width.
    rows
        Return rows from a first to before a last one, as integers.
    mpp
        µm per pixel that the file states; ``None`` where it states none.
    name
        For messages.
    """

    shape: tuple[int, int]
    rows: Callable[[int, int], Array]
    mpp: float | None = None
    name: str = ""


@contextmanager
def opened_labels(path: Path) -> Iterator[list[LabelRows]]:
    """Open a label image for a ``with`` block.

    Yields
    ------
    Its plane, or two of them, nuclei before cells, as InstanSeg writes them.

    Raises
    ------
    UsageError
        For files that hold Python objects.
    DataError
        When it is damaged, no image of whole numbers, or has another number of planes.
    """
    with ExitStack() as stack:
        try:
            planes = _planes(path, stack)
        except PermissionError as error:
            raise UsageError(f"No permission to read '{path}'.") from error
        except _DAMAGE as error:
            if "pickle" in str(error) or "Python objects" in str(error):
                raise UsageError(f"'{path}': {_PICKLE}") from error
            raise DataError(f"'{path}' is no label image ({error}). Save it again.") from error
        yield planes


def _planes(path: Path, stack: ExitStack) -> list[LabelRows]:
    name = path.name.lower()
    if path.is_dir():
        return [of_zarr(path)]
    if name.endswith(".npz"):
        return [_of_npz(path)]
    if name.endswith(_TIFF):
        return _of_tiff(path, stack)
    return of_array(
        np.load(path, mmap_mode="r", allow_pickle=False) if name.endswith(".npy") else _of_picture(path), path
    )


def of_array(array: Any, path: Path, *, mpp: float | None = None) -> list[LabelRows]:
    """Return the planes of an array (height, width) or (2, height, width).

    Raises
    ------
    DataError
        For fractional values or another shape.
    """
    shape = _refuse_planes(array.shape, path)
    if np.dtype(array.dtype).kind not in "uib":
        raise DataError(
            f"Expected whole numbers in the label image '{path}', got {array.dtype}. Save labels."
        )
    if len(shape) == 2:
        flat = array.reshape(shape) if array.ndim > 2 else array
        return [LabelRows((shape[0], shape[1]), _rows_of(flat), mpp, path.name)]
    planes = array.reshape(shape)
    size = (shape[1], shape[2])
    return [LabelRows(size, _rows_of(planes[index]), mpp, path.name) for index in (0, 1)]


def _refuse_planes(whole: tuple[int, ...], path: Path) -> tuple[int, ...]:
    """Return the shape of one or two planes; refuse others, as of colours and stacks."""
    shape = tuple(length for length in whole if length != 1 or len(whole) == 2)
    if len(shape) == 2 or (len(shape) == 3 and shape[0] == 2):
        return shape
    raise DataError(
        f"Expected a label image of one plane, or of two (nuclei, cells), in '{path}', got the shape {whole}. Save one "
        "plane of labels."
    )


def _rows_of(array: Any) -> Callable[[int, int], Array]:
    return lambda first, last: np.asarray(array[first:last])


def _of_npz(path: Path) -> LabelRows:
    """Return the labels of an archive of one array, or of a sparse matrix as bin2cell saves it."""
    from scipy import sparse

    with np.load(path, allow_pickle=False) as archive:
        names = archive.files
        if "format" not in names or "shape" not in names:
            if len(names) != 1:
                raise ValueError(f"it holds {len(names)} arrays: {', '.join(names[:5])}")
            return of_array(archive[names[0]], path)[0]
    matrix = sparse.load_npz(path).tocsr()
    if matrix.dtype.kind not in "uib":
        raise DataError(
            f"Expected whole numbers in the label image '{path}', got {matrix.dtype}. Save labels."
        )
    return LabelRows(matrix.shape, lambda first, last: matrix[first:last].toarray(), None, path.name)


def _of_picture(path: Path) -> Array:
    """Return the labels of a PNG, 8 or 16 bits, one channel."""
    from PIL import Image

    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise ValueError("JPEG changes numbers")
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "I", "I;16", "I;16B", "1", "P"):
                raise ValueError(f"its pixels are colours ({image.mode})")
            return np.asarray(image).astype(np.int64)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _of_tiff(path: Path, stack: ExitStack) -> list[LabelRows]:
    """Return the planes of a TIFF, whose strips or tiles are decoded when their rows are asked for."""
    import tifffile

    file = stack.enter_context(tifffile.TiffFile(path))
    series = file.series[0]
    pages = [page for page in series.pages if page is not None]
    shape = tuple(length for length in series.shape if length != 1)
    if len(shape) == 2 and len(pages) == 1 and pages[0].samplesperpixel == 1:
        return [_of_page(pages[0], _tiff_mpp(file, pages[0]), path)]
    if len(shape) == 3 and shape[0] == 2 and len(pages) == 2:
        return [_of_page(page, _tiff_mpp(file, pages[0]), path) for page in pages]
    # refused before its pixels are read: an H&E image would fill the memory
    _refuse_planes(series.shape, path)
    return of_array(series.asarray(), path, mpp=_tiff_mpp(file, pages[0]))


def _of_page(page: Any, mpp: float | None, path: Path) -> LabelRows:
    """Return the rows of a page; the strips or tiles of the last rows are kept for the next ones."""
    if np.dtype(page.dtype).kind not in "uib":
        raise DataError(f"Expected whole numbers in the label image '{path}', got {page.dtype}. Save labels.")
    if int(page.compression) in _LOSSY:
        raise DataError(
            f"The label image '{path}' is compressed as JPEG, which changes numbers. Save it again."
        )
    height, width = int(page.imagelength), int(page.imagewidth)
    deep = int(page.tilelength) if page.is_tiled else min(int(page.rowsperstrip), height)
    wide = int(page.tilewidth) if page.is_tiled else width
    if min(height, width, deep, wide) < 1 or height * width > _MOST_PX or width * deep > _MOST_BAND_PX:
        raise ValueError(f"its directory says {width} × {height} pixels in tiles of {wide} × {deep}")
    bands = _Bands(page, path, shape=(height, width), tile=(deep, wide))
    return LabelRows((height, width), bands.rows, mpp, path.name)


@dataclass(frozen=True, slots=True, eq=False)
class _Bands:
    """The rows of tiles (or strips) of a page; those that were asked for last are kept."""

    page: Any
    path: Path
    shape: tuple[int, int]
    tile: tuple[int, int]
    kept: dict[int, Array] = field(default_factory=dict)

    def rows(self, first: int, last: int) -> Array:
        """Return rows from a first to before a last one."""
        deep = self.tile[0]
        numbers = range(first // deep, -(-min(last, self.shape[0]) // deep))
        for number in [number for number in self.kept if number not in numbers]:
            del self.kept[number]
        if not len(numbers):
            return np.zeros((0, self.shape[1]), dtype=self.page.dtype)
        whole = np.concatenate([self._band(number) for number in numbers])
        return np.asarray(whole[first - numbers[0] * deep : last - numbers[0] * deep])

    def _band(self, number: int) -> Array:
        """Return the rows of one row of tiles."""
        if number not in self.kept:
            (height, width), (deep, wide) = self.shape, self.tile
            across = -(-width // wide)
            rows = np.zeros((min(deep, height - number * deep), width), dtype=self.page.dtype)
            for column in range(across):
                part = _segment(self.page, number * across + column, self.path)
                if part is not None:
                    target = rows[:, column * wide : (column + 1) * wide]
                    target[...] = part.reshape(part.shape[-3:-1])[: target.shape[0], : target.shape[1]]
            self.kept[number] = rows
        return self.kept[number]


def _segment(page: Any, index: int, path: Path) -> Array | None:
    """Return a decoded strip or tile; ``None`` for an empty one, which is background."""
    stream = page.parent.filehandle
    try:
        size = page.databytecounts[index]
        if size == 0:
            return None
        # asked before it is read: a damaged number would take the memory
        if page.dataoffsets[index] + size > stream.size:
            raise ValueError("the file ends before the tile does")
        stream.seek(page.dataoffsets[index])
        data = stream.read(size)
        part = page.decode(data, index)[0]
    except _DAMAGE as error:
        raise DataError(f"Tile {index} of '{path}' is damaged ({error}). Copy it again.") from error
    return None if part is None else np.asarray(part)


def _tiff_mpp(file: Any, page: Any) -> float | None:
    """Return µm per pixel of an OME-TIFF; the resolution of a plain TIFF is that of a printer."""
    text = file.ome_metadata if file.is_ome else None
    if not text:
        return None
    size = re.search(r'PhysicalSizeX="([^"]+)"', text)
    unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', text)
    factor = {"µm": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3}.get(unit[1] if unit else "µm")
    try:
        return float(size[1]) * factor if size and factor else None
    except ValueError:
        return None


def of_zarr(path: Path) -> LabelRows:
    """Return the labels of an OME-Zarr: the group of labels itself, or the image whose only labels they are.

    Raises
    ------
    DataError
        When there are none, several, or they are no whole numbers.
    """
    import zarr

    try:
        group = zarr.open_group(path, mode="r")
        attributes = dict(group.attrs.asdict())
        attributes = attributes.get("ome", attributes)
        if "labels" in group:
            names = [name for name, _ in group["labels"].groups()]
            if len(names) != 1:
                listed = ", ".join(names) or "none"
                raise DataError(
                    f"Expected one label image in '{path}', got {listed}. Give the path of one, …/labels/NAME."
                )
            return of_zarr(path / "labels" / names[0])
        dataset = attributes["multiscales"][0]["datasets"][0]
        array, scale = group[dataset["path"]], _zarr_mpp(attributes["multiscales"][0], dataset)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"'{path}' is no label image in OME-Zarr ({error}). Write it again.") from error
    if np.dtype(array.dtype).kind not in "uib":
        raise DataError(
            f"Expected whole numbers in the label image '{path}', got {array.dtype}. Save labels."
        )
    if any(length != 1 for length in array.shape[:-2]):
        raise DataError(f"Expected a label image of one plane in '{path}', got the shape {array.shape}.")
    before = (0,) * (array.ndim - 2)
    height, width = array.shape[-2:]
    return LabelRows(
        (height, width),
        lambda first, last: np.asarray(array[(*before, slice(first, last))]),
        scale,
        path.name,
    )


def _zarr_mpp(multiscale: Any, dataset: Any) -> float | None:
    """Return µm per pixel, where the axes have units; scales without a unit are ratios."""
    steps = [step for step in dataset.get("coordinateTransformations", ()) if step.get("type") == "scale"]
    axes = multiscale.get("axes") or [{}]
    unit = axes[-1].get("unit") if isinstance(axes[-1], dict) else None
    factor = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}.get(unit or "")
    return float(steps[0]["scale"][-1]) * factor if steps and factor else None
