"""Cells of a slide: nuclei found in the image tile by tile, and grown to cells."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.errors import DataError, UsageError
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

from .cells import Cells
from .outlines import outlines_of
from .segmenters import SEGMENTERS, Segment, Segmenter, SegmenterCard
from .tiles import Tile, sampling_mpp, tiles_of

__all__ = ["GROWTH_UM", "find_cells", "named_segmenter", "refuse_coarse"]

Progress: TypeAlias = Callable[[int, int, str], None]

#: how far a cell may reach beyond its nucleus, as in QuPath's cell detection: with a nucleus of 8 µm a cell of up to
#: 18 µm, and neighbours in tumour (8 to 12 µm apart) share the ground between them
GROWTH_UM = 5.0
# 200 MB a tile at 0.5 µm per pixel with the surroundings
_TILE_UM = 640.0
# a scale that the spots' pitch tells is exact to some per mille
_SCALE_TOLERANCE = 1.02
# of the smaller of two nuclei: more is one nucleus that two tiles have found
_SAME_NUCLEUS = 0.3
# nuclei found this far beyond a tile's own square count too
_SEAM_UM = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class _Detected:
    """What a tile found: centres of nuclei (pixels), outlines of nuclei and cells."""

    xy_px: Float[np.ndarray, "n 2"]
    nuclei: Array
    outlines: Array


def find_cells(
    slide: SlideImage,
    *,
    segmenter: str = "nuclei",
    mask: TissueMask | None = None,
    growth_um: float = GROWTH_UM,
    tile_um: float = _TILE_UM,
    progress: Progress | None = None,
) -> Cells:
    """Find the nuclei in a slide image, and grow each to a cell.

    Only tissue is searched. The outline of a cell is that of its nucleus, grown by ``growth_um`` or to halfway to its
    neighbour. Memory holds one tile a core, and the outlines. Cells are numbered row by row, from 1.

    Parameters
    ----------
    slide
        An H&E image.
    segmenter
        What finds nuclei: see ``histosge list segmenters``; with weights, ``stardist=FOLDER``.
    mask
        Where tissue is; by default what is stained in the image.
    growth_um
        Of nuclei to cells; 0 leaves the nuclei.
    tile_um
        Width of the tiles. With the built-in segmenter it does not change the result.
    progress
        Called with tiles done, tiles in all, and words.

    Raises
    ------
    UsageError
        For an unknown segmenter or one that is not installed, sizes that are not positive, and an image that is too
        coarse to show nuclei.
    WeightsError
        When weights that are needed are missing.
    DataError
        Where nothing is found.

    Examples
    --------
    >>> from histosge.datasets.stained_nuclei import stained_nuclei
    >>> image = stained_nuclei(300.0, 0.5)
    >>> cells = find_cells(SlideImage.from_array(image.rgb, image.mpp))
    >>> bool(100 < len(cells) < 400), bool((cells.area_um2 > 20).all())
    (True, True)
    """
    if growth_um < 0 or not tile_um > 0:
        raise UsageError(
            f"Expected `growth_um` of 0 or more and a positive `tile_um`, got {growth_um:g} and {tile_um:g}."
        )
    entry, weights = named_segmenter(segmenter)
    refuse_coarse(entry.card, slide.mpp)
    mask = TissueMask.from_slide(slide) if mask is None else mask
    mpp = sampling_mpp(slide, entry.card.mpp)
    tiles = tiles_of(slide, mask, mpp=mpp, tile_um=tile_um, halo_um=entry.card.reach_um + growth_um)
    detected = _searched(
        slide, mask, tiles, entry.ready(slide, mask, weights), growth_um=growth_um, progress=progress
    )
    cells = _joined(detected, tiles, source=entry.card.name)
    if not len(cells):
        raise DataError(
            f"Expected nuclei on {mask.mask.sum() * mask.mpp**2 / 1e6:.2g} mm² of tissue, found none. Check that the "
            "image is stained with haematoxylin, and its µm per pixel."
        )
    return cells


def named_segmenter(name: str) -> tuple[Segmenter, Path | None]:
    """Return a segmenter, and the path of its weights, of ``NAME`` or ``NAME=PATH``.

    Raises
    ------
    UsageError
        For an unknown name.

    Examples
    --------
    >>> entry, weights = named_segmenter("stardist=models/he")
    >>> entry.card.name, weights.as_posix()
    ('stardist', 'models/he')
    """
    name, equals, path = name.partition("=")
    return SEGMENTERS[name], Path(path) if equals else None


def refuse_coarse(card: SegmenterCard, mpp: float) -> None:
    """Refuse an image in which nuclei are too few pixels wide.

    Raises
    ------
    UsageError
        For more µm per pixel than the segmenter can use.
    """
    if mpp > card.coarsest_mpp * _SCALE_TOLERANCE:
        raise UsageError(
            f"Nuclei need an image of {card.coarsest_mpp:g} µm per pixel or finer, got {mpp:.3g} µm per pixel: a "
            f"nucleus of 8 µm is {8 / mpp:.1f} pixels wide in it. Give the full-resolution scan as `image`."
        )


def _searched(
    slide: SlideImage,
    mask: TissueMask,
    tiles: list[Tile],
    segment: Segment,
    *,
    growth_um: float,
    progress: Progress | None,
) -> list[_Detected]:
    """Return what each tile found, as many tiles at a time as there are cores."""
    lock = threading.Lock()
    done = 0

    def search(tile: Tile) -> _Detected:
        nonlocal done
        with lock:
            rgb = tile.read(slide)
        labels = _on_tissue(segment(rgb, tile.mpp), tile, mask)
        detected = _outlined(labels, tile, growth_um)
        with lock:
            done += 1
            if progress is not None:
                progress(done, len(tiles), "nuclei")
        return detected

    return map_parts(search, tiles)


def _on_tissue(labels: Array, tile: Tile, mask: TissueMask) -> Array:
    """Return the labels, numbered without gaps, of nuclei whose centres are on tissue."""
    numbers, inverse = np.unique(labels, return_inverse=True)
    labels = (inverse.reshape(labels.shape) + (numbers[0] > 0)).astype(np.int32)
    centres = _centres(labels, tile)
    kept = np.r_[False, mask.contains(centres * tile.mpp)]
    return np.asarray(np.where(kept, np.cumsum(kept), 0)[labels])


def _centres(labels: Int[np.ndarray, "h w"], tile: Tile) -> Float[np.ndarray, "n 2"]:
    """Return the mean position of labels 1, 2, … in pixels of the whole image: whole numbers are added up."""
    row, column = np.nonzero(labels)
    at = labels[row, column]
    total = np.maximum(np.bincount(at), 1)
    corner = tile.corner_px()
    sums = (np.bincount(at, part + start) for part, start in ((column, corner[0]), (row, corner[1])))
    return np.stack([part / total + 0.5 for part in sums], axis=1)[1:]


def _outlined(labels: Array, tile: Tile, growth_um: float) -> _Detected:
    """Return the outlines of the nuclei in a tile's square or at its seam, and of their cells."""
    from skimage.segmentation import expand_labels

    centres = _centres(labels, tile)
    seam = round(_SEAM_UM / tile.mpp)
    near = Tile(tile.column - seam, tile.row - seam, tile.size_px + 2 * seam, 0, tile.mpp)
    chosen = np.flatnonzero(near.owns(centres)) + 1
    cells = expand_labels(labels, growth_um / tile.mpp) if growth_um else labels
    nuclei, outlines = (
        outlines_of(part, chosen, mpp=tile.mpp, corner_px=tile.corner_px()) for part in (labels, cells)
    )
    whole = np.array(
        [nucleus is not None and cell is not None for nucleus, cell in zip(nuclei, outlines, strict=True)]
    )
    whole = whole.astype(bool)
    return _Detected(centres[chosen - 1][whole], nuclei[whole], outlines[whole])


def _joined(detected: list[_Detected], tiles: list[Tile], *, source: str) -> Cells:
    """Return the cells of all tiles: each nucleus of the tile in which its centre lies.

    A nucleus beyond the seam counts where the neighbour has none there: a network may see it otherwise in each tile.
    """
    import shapely

    empty = _Detected(np.empty((0, 2)), np.empty(0, dtype=object), np.empty(0, dtype=object))
    parts = [empty, *detected]
    xy_px, nuclei, outlines = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("xy_px", "nuclei", "outlines")
    )
    own = np.concatenate(
        [
            np.empty(0, dtype=bool),
            *(tile.owns(part.xy_px) for tile, part in zip(tiles, detected, strict=True)),
        ]
    )
    number = np.repeat(np.arange(len(detected)), [len(part.xy_px) for part in detected])
    kept = _without_doubles(nuclei, own, number)
    # row by row; rounded, so that the order does not hang on the last bit
    order = kept[np.lexsort((xy_px[kept, 0].round(3), xy_px[kept, 1].round(3)))]
    outlines, nuclei = outlines[order], nuclei[order]
    centroids = shapely.centroid(outlines) if len(order) else np.empty(0, dtype=object)
    return Cells(
        np.arange(1, len(order) + 1).astype(str),
        shapely.get_coordinates(centroids).reshape(-1, 2),
        outlines,
        nuclei,
        source=source,
    )


def _without_doubles(nuclei: Array, own: Array, number: Array) -> Int[np.ndarray, " m"]:
    """Return the rows to keep: of nuclei of two tiles that cover each other, the one of its own tile, or the first."""
    import shapely

    if not len(nuclei):
        return np.empty(0, dtype=int)
    tree = shapely.STRtree(nuclei)
    first, second = tree.query(nuclei, predicate="intersects")
    apart = number[first] != number[second]
    first, second = first[apart], second[apart]
    area = shapely.area(nuclei)
    common = shapely.area(shapely.intersection(nuclei[first], nuclei[second]))
    doubles = common > _SAME_NUCLEUS * np.minimum(area[first], area[second])
    kept = np.ones(len(nuclei), dtype=bool)
    for better, worse in zip(first[doubles], second[doubles], strict=True):
        # own ones come first, then those of earlier tiles
        if kept[better] and (~own[better], number[better]) < (~own[worse], number[worse]):
            kept[worse] = False
    return np.flatnonzero(kept)
