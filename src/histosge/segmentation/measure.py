"""What is measured of each cell: size and shape of its outlines, stains and texture in the image, neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.errors import DataError
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

from .cells import Cells
from .rasters import painted
from .stain import Stains, estimate_stains, sampled_pixels
from .tiles import Tile, sampling_mpp

if TYPE_CHECKING:
    import pandas as pd

    DataFrame: TypeAlias = pd.DataFrame
else:
    # run-time type checkers must not import pandas
    DataFrame = Any

__all__ = ["MEASUREMENTS", "measure"]

# µm per pixel at which stains are measured: nuclei have some 200 pixels
_MPP = 0.5
_TILE_UM = 500.0
# radius of the neighbourhood, and standard deviation of what texture is measured against
_NEAR_UM, _TEXTURE_UM = 50.0, 1.0

#: name of each measurement and what it is; those of nuclei are NaN for cells without one
MEASUREMENTS: dict[str, str] = {
    "Nucleus: Area µm^2": "area of the nucleus",
    "Nucleus: Perimeter µm": "length of its outline",
    "Nucleus: Circularity": "4π · area / perimeter²: 1 for a disk",
    "Nucleus: Solidity": "area over that of the convex hull: 1 without bays",
    "Nucleus: Length µm": "longer side of the smallest rectangle around it",
    "Nucleus: Width µm": "shorter side of that rectangle",
    "Cell: Area µm^2": "area of the cell",
    "Cell: Perimeter µm": "length of its outline",
    "Cell: Circularity": "4π · area / perimeter²",
    "Cell: Solidity": "area over that of the convex hull",
    "Nucleus/Cell area ratio": "area of the nucleus over that of the cell",
    "Nucleus: Hematoxylin OD mean": "mean amount of haematoxylin in the nucleus, optical density",
    "Nucleus: Hematoxylin OD std dev": "its standard deviation over pixels",
    "Nucleus: Hematoxylin texture": "standard deviation of haematoxylin less its mean over 1 µm around: chromatin",
    "Nucleus: Eosin OD mean": "mean amount of eosin in the nucleus, optical density",
    "Nucleus: Eosin OD std dev": "its standard deviation over pixels",
    "Cell: Hematoxylin OD mean": "mean amount of haematoxylin in the cell, nucleus included",
    "Cell: Hematoxylin OD std dev": "its standard deviation over pixels",
    "Cell: Eosin OD mean": "mean amount of eosin in the cell, nucleus included",
    "Cell: Eosin OD std dev": "its standard deviation over pixels",
    "Neighbours within 50 µm": "number of other cells whose centroids are within 50 µm",
    "Nearest neighbour µm": "distance to the nearest other centroid",
}
# of the pixels of an outline: haematoxylin, its square, eosin, its square, texture squared, number
_SUMS = 6


def measure(cells: Cells, slide: SlideImage, *, mask: TissueMask | None = None) -> DataFrame:
    """Measure each cell, whatever its source.

    Colours of the stains are the slide's own. Outlines are painted tile by tile: memory holds one tile a core.
    A cell that covers no middle of a pixel has no colour: NaN.

    Parameters
    ----------
    cells
        With outlines.
    slide
        The image in whose µm they are.
    mask
        Tissue from which the colours are taken; by default what is stained.

    Returns
    -------
    float32, one row a cell by its id, one column each of :data:`MEASUREMENTS`.

    Raises
    ------
    DataError
        For cells without outlines.

    Examples
    --------
    >>> import shapely
    >>> slide = SlideImage.from_array(np.full((80, 80, 3), 200, dtype=np.uint8), 0.5)
    >>> cells = Cells(np.array(["a"]), np.array([[20.0, 20.0]]), np.array([shapely.box(15, 15, 25, 25)]))
    >>> table = measure(cells, slide)
    >>> float(table.loc["a", "Cell: Area µm^2"]), table.shape == (1, len(MEASUREMENTS))
    (100.0, True)
    """
    import pandas as pd

    if cells.outlines is None:
        raise DataError(
            "Expected cells with outlines, got centroids alone. Give outlines, or find them: 'nuclei'."
        )
    nuclei = np.full(len(cells), None, dtype=object) if cells.nuclei is None else cells.nuclei
    columns: dict[str, Array] = {}
    columns |= _shape_of(nuclei, "Nucleus") | _shape_of(cells.outlines, "Cell")
    with np.errstate(invalid="ignore"):
        columns["Nucleus/Cell area ratio"] = columns["Nucleus: Area µm^2"] / columns["Cell: Area µm^2"]
    mask = TissueMask.from_slide(slide) if mask is None else mask
    rgb, white = sampled_pixels(slide, mask, _MPP)
    sums = _summed((nuclei, cells.outlines), slide, estimate_stains(rgb, white))
    columns |= _stains_of(sums[0], "Nucleus") | _stains_of(sums[1], "Cell")
    columns |= _neighbours_of(cells.xy_um)
    table = {name: np.asarray(columns[name], dtype=np.float32) for name in MEASUREMENTS}
    return pd.DataFrame(table, index=pd.Index(cells.ids, name="cell"))


def _shape_of(outlines: Array, part: str) -> dict[str, Array]:
    """Return size and shape of outlines; NaN where there is none."""
    import shapely

    area, perimeter = shapely.area(outlines), shapely.length(outlines)
    box = shapely.get_exterior_ring(shapely.oriented_envelope(outlines))
    hull = shapely.area(shapely.convex_hull(outlines))
    sides = [
        shapely.distance(shapely.get_point(box, here), shapely.get_point(box, here + 1)) for here in (0, 1)
    ]
    absent = np.array([outline is None for outline in outlines], dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            "Area µm^2": area,
            "Perimeter µm": perimeter,
            "Circularity": 4 * np.pi * area / perimeter**2,
            "Solidity": area / hull,
            "Length µm": np.maximum(*sides),
            "Width µm": np.minimum(*sides),
        }
    return {f"{part}: {name}": np.where(absent, np.nan, value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class _Part:
    """A tile and the cells that are measured in it."""

    tile: Tile
    rows: Int[np.ndarray, " n"]


def _parts(outlines: Array, slide: SlideImage) -> Iterator[_Part]:
    """Yield tiles that hold all of their cells: each cell belongs to the tile of the middle of its bounds."""
    import shapely

    mpp = sampling_mpp(slide, _MPP)
    bounds = shapely.bounds(outlines)
    middle_px = (bounds[:, :2] + bounds[:, 2:]) / 2 / mpp
    size = round(_TILE_UM / mpp)
    squares, part = np.unique((middle_px // size).astype(int), axis=0, return_inverse=True)
    order = np.argsort(part.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(part.ravel(), minlength=len(squares)))
    half_px = (bounds[:, 2:] - bounds[:, :2]).max(axis=1) / 2 / mpp
    for (column, row), rows in zip(squares, np.split(order, ends[:-1]), strict=True):
        halo = int(np.ceil(half_px[rows].max() + 3 * _TEXTURE_UM / mpp)) + 1
        yield _Part(Tile(int(column) * size, int(row) * size, size, halo, mpp), rows)


def _summed(outlines: tuple[Array, Array], slide: SlideImage, stains: Stains) -> Float[np.ndarray, "2 n s"]:
    """Return sums over the pixels of the outlines of each nucleus and each cell."""
    totals = np.zeros((2, len(outlines[1]), _SUMS))
    width, height = slide.size_um

    def add(part: _Part) -> None:
        tile, corner = part.tile, part.tile.corner_px()
        if corner[0] * tile.mpp >= width or corner[1] * tile.mpp >= height:
            return
        pixels = tile.read(slide)
        if not pixels.size:
            return
        values = _values(stains, pixels, tile.mpp)
        for total, kind in zip(totals, outlines, strict=True):
            labels = painted(kind[part.rows], pixels.shape[:2], mpp=tile.mpp, corner_px=corner)
            within = labels > 0
            at = labels[within] - 1
            sums = [np.bincount(at, value[within], len(part.rows)) for value in values]
            total[part.rows] = np.stack(sums, axis=1)

    map_parts(add, list(_parts(outlines[1], slide)))
    return totals


def _values(stains: Stains, pixels: Array, mpp: float) -> list[Array]:
    """Return what is summed, pixel by pixel."""
    from scipy.ndimage import gaussian_filter

    haematoxylin, eosin, _ = (part.astype(np.float64) for part in stains.unmixed(pixels))
    rough = (haematoxylin - gaussian_filter(haematoxylin, _TEXTURE_UM / mpp, truncate=3.0)) ** 2
    return [haematoxylin, haematoxylin**2, eosin, eosin**2, rough, np.ones_like(eosin)]


def _stains_of(sums: Float[np.ndarray, "n s"], part: str) -> dict[str, Array]:
    """Return means and standard deviations of sums over pixels."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[:, :5] / sums[:, 5:]
    values = {
        "Hematoxylin OD mean": means[:, 0],
        "Hematoxylin OD std dev": np.sqrt(np.maximum(means[:, 1] - means[:, 0] ** 2, 0)),
        "Hematoxylin texture": np.sqrt(means[:, 4]),
        "Eosin OD mean": means[:, 2],
        "Eosin OD std dev": np.sqrt(np.maximum(means[:, 3] - means[:, 2] ** 2, 0)),
    }
    return {f"{part}: {name}": value for name, value in values.items()}


def _neighbours_of(xy_um: Float[np.ndarray, "n 2"]) -> dict[str, Array]:
    """Return how many other cells are near, and how far the nearest is; NaN for a single cell."""
    from scipy.spatial import cKDTree

    tree = cKDTree(xy_um)
    near = tree.query_ball_point(xy_um, _NEAR_UM, return_length=True) - 1
    nearest = tree.query(xy_um, k=2)[0][:, 1] if len(xy_um) > 1 else np.full(len(xy_um), np.nan)
    return {"Neighbours within 50 µm": near, "Nearest neighbour µm": nearest}
