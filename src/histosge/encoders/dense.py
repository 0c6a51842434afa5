"""Dense encoding: a whole tile of the image is computed once, and each location reads its part of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from histosge._runtime.parallel import cores
from histosge._runtime.types import Array, Float, Float32, Int, UInt8
from histosge.images.slide import SlideImage

from .base import EncoderCard, PatchSize

__all__ = ["DENSE", "DenseEncoder", "Tile", "ahead", "encoded_tiles", "read_tile"]

#: after the name of an encoder: its dense form, as in ``texture@dense``
DENSE = "@dense"

# tiles begin at multiples of so many pixels
_SQUARE_PX = 4

ChannelOrder: TypeAlias = Literal["rgb", "bgr"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of the image at the scales of an encoder, and the locations in it.

    Parameters
    ----------
    images
        One for each patch size of the card, at its µm per pixel, with margins on all sides.
    centres_px
        Locations (x, y) in pixels of each of the images; pixel i covers [i, i + 1).
    """

    images: tuple[UInt8[np.ndarray, "_ _ 3"], ...]
    centres_px: tuple[Float[np.ndarray, "m 2"], ...]


@runtime_checkable
class DenseEncoder(Protocol):
    """An :class:`~histosge.encoders.base.Encoder` that computes a tile at once.

    Tiles are a fixed grid on the image, each read with margins: the vector of a location depends on the image around
    it, and not on which other locations are asked for.
    """

    @property
    def card(self) -> EncoderCard:
        """Describe the encoder."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of all that determines the output."""
        ...

    @property
    def tile_um(self) -> float:
        """Width of a tile without its margins."""
        ...

    @property
    def margins_px(self) -> tuple[int, ...]:
        """Width of the margins for each patch size of the card, in its pixels: a multiple of four."""
        ...

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return one vector a patch."""
        ...

    def encode_tile(self, tile: Tile) -> Float32[np.ndarray, "m d"]:
        """Return one vector for each location of a tile."""
        ...


def encoded_tiles(
    slide: SlideImage,
    xy_um: Float[np.ndarray, "n 2"],
    encoder: DenseEncoder,
    *,
    rows: Int[np.ndarray, " k"],
    channel_order: ChannelOrder = "rgb",
    shards: int = 1,
) -> Iterator[tuple[Int[np.ndarray, " m"], Float32[np.ndarray, "m d"]]]:
    """Yield rows and their vectors, tile by tile from top to bottom.

    The next tiles are read, and where the encoder is no network also encoded, while one is handed over: on as many
    cores as linear algebra may use.

    Parameters
    ----------
    slide
        The image.
    xy_um
        Locations.
    encoder
        Computes tiles.
    rows
        Which locations.
    channel_order
        ``"bgr"`` passes red as blue.
    shards
        Devices that the encoder has.
    """

    def read(piece: tuple[Array, Array]) -> Tile:
        return read_tile(slide, xy_um[piece[1]], encoder, piece[0], channel_order)

    def read_and_encode(piece: tuple[Array, Array]) -> Array:
        return encoder.encode_tile(read(piece))

    pieces = _by_tile(xy_um, rows, encoder.tile_um)
    # a network uses all cores, or its whole device, itself
    if encoder.card.source is None or shards > 1:
        threads = shards if shards > 1 else cores()
        for (_, members), vectors in zip(pieces, ahead(read_and_encode, pieces, threads), strict=True):
            yield members, vectors
    else:
        for (_, members), tile in zip(pieces, ahead(read, pieces, 1), strict=True):
            yield members, encoder.encode_tile(tile)


def read_tile(
    slide: SlideImage, xy_um: Array, encoder: DenseEncoder, tile: Array, channel_order: ChannelOrder
) -> Tile:
    """Read a tile, named by its column and row in the grid of tiles."""
    images, centres = [], []
    for patch, margin in zip(encoder.card.patches, encoder.margins_px, strict=True):
        corner, side = tile_pixels(patch, margin, tile, encoder.tile_um)
        image = slide.read_region(corner * patch.mpp, patch.mpp, (side, side))
        images.append(image if channel_order == "rgb" else np.ascontiguousarray(image[..., ::-1]))
        centres.append(xy_um / patch.mpp - corner)
    return Tile(tuple(images), tuple(centres))


def tile_pixels(patch: PatchSize, margin: int, tile: Array, tile_um: float) -> tuple[Array, int]:
    """Return the first pixel (x, y) of a tile with its margins, and its width in pixels.

    Pixels are a fixed grid too: pixel i of a patch size covers [i, i + 1) times its µm per pixel. So are the squares
    of 4 × 4 pixels that histograms count: where tiles meet, nothing changes.
    """
    corner = np.floor(np.asarray(tile) * tile_um / patch.mpp / _SQUARE_PX) * _SQUARE_PX - margin
    return corner, math.ceil(tile_um / patch.mpp) + _SQUARE_PX + 2 * margin


def _by_tile(xy_um: Array, rows: Array, tile_um: float) -> list[tuple[Array, Array]]:
    """Return tiles (column, row) and the rows of the locations in them, from top to bottom."""
    if not len(rows):
        return []
    tiles = np.floor(xy_um[rows] / tile_um).astype(np.int64)
    order = np.lexsort((tiles[:, 0], tiles[:, 1]))
    changes = np.flatnonzero(np.any(np.diff(tiles[order], axis=0) != 0, axis=1)) + 1
    return [(tiles[members[0]], rows[members]) for members in np.split(order, changes)]


def ahead(work: Callable[[Any], Any], pieces: Sequence[Any], threads: int) -> Iterator[Any]:
    """Yield what work makes of pieces, in order; one piece a thread is made ahead, not more: memory stays bounded."""
    with ThreadPoolExecutor(threads) as executor:
        waiting: deque[Future[Any]] = deque()
        try:
            for piece in pieces:
                waiting.append(executor.submit(work, piece))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
