"""``filters@dense``: the steerable filters of ``filters`` applied once a tile, and summed around locations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.types import Array, Float32, UInt8

from .base import EncoderCard, EncoderEntry, Setup
from .computed import DenseComputedEncoder
from .dense import DENSE, Tile
from .dense_texture import dense_statistics
from .filter_bank import curvatures, gradient, smoothed
from .filters import CARD as CROP_CARD
from .texture import stains_of
from .window_sums import Sums, Windows

__all__ = ["CARD", "ENTRIES", "DenseFiltersEncoder"]

# keeps coherence finite where there are no edges
_LEAST_ENERGY = 1e-8

CARD = replace(
    CROP_CARD,
    name=CROP_CARD.name + DENSE,
    summary="The filters of filters computed once a tile, to be joined: texture@dense+filters@dense; no weights.",
)


@dataclass(frozen=True, slots=True)
class DenseFiltersEncoder(DenseComputedEncoder):
    """The responses of :class:`~histosge.encoders.filters.FiltersEncoder` from tables of sums.

    The columns are the same. How edges are clustered is averaged over every position of the squares of 2 × 2 and 4 × 4
    pixels, where a patch has one grid of them; the fingerprint differs.

    Parameters
    ----------
    card
        Describes the encoder; other patch sizes give other scales.
    """

    card: EncoderCard = CARD

    def encode_tile(self, tile: Tile) -> Float32[np.ndarray, "m d"]:
        """Return the statistics of the widest patch, then the responses on all patches."""
        windows = [
            Windows.around(centres, patch.px)
            for centres, patch in zip(tile.centres_px, self.card.patches, strict=True)
        ]
        filtered = [_filtered(image, around) for image, around in zip(tile.images, windows, strict=True)]
        return np.concatenate([dense_statistics(tile.images[-1], windows[-1]), *filtered], axis=1)


def _filtered(rgb: UInt8[np.ndarray, "h w 3"], windows: Windows) -> Float32[np.ndarray, "m d"]:
    """Return the responses to haematoxylin, eosin and grey at windows, in the columns of `filters`."""
    red, green, blue = np.moveaxis(rgb, 2, 0).astype(np.float32) / np.float32(255)
    grey = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    haematoxylin, eosin, _ = stains_of(red, green, blue)
    columns = [column for plane in (haematoxylin, eosin, grey) for column in _responses(plane, windows)]
    return np.stack(columns, axis=1).astype(np.float32)


def _responses(plane: Array, windows: Windows) -> list[Array]:
    """Return what :func:`~histosge.encoders.filter_bank.responses` returns of patches."""
    # smoothing takes two pixels at each edge, a derivative one: the same corner is three pixels further inside
    smooth = smoothed(smoothed(plane[None]))
    down, right = (derivative[0] for derivative in gradient(smooth))
    down2, right2 = down * down, right * right
    strength = np.sqrt(down2 + right2)
    laplacian, difference = (values[0] for values in curvatures(smooth))
    curved = (laplacian, laplacian + difference, laplacian - difference)
    rectified = [np.maximum(values, 0) for values in curved]
    inner = Windows(windows.top, windows.left, windows.px - 6)
    sums = Sums.of([strength, down2, right2, down * right, *rectified, laplacian, difference])
    mean, vertical, horizontal, mixed, *positive, expected, anisotropy = sums.means(inner).T
    energy = vertical + horizontal
    deviation = np.sqrt(np.maximum(energy - mean * mean, 0))
    coherence = np.sqrt((horizontal - vertical) ** 2 + (2 * mixed) ** 2) / np.maximum(energy, _LEAST_ENERGY)
    means = (expected, expected + anisotropy, expected - anisotropy)
    signs = [
        column
        for part, whole in zip(positive, means, strict=True)
        for column in (part, np.maximum(part - whole, 0))
    ]
    return [mean, deviation, coherence, *_clusters(strength, windows), *signs, anisotropy]


def _clusters(strength: Array, windows: Windows) -> list[Array]:
    """Return the mean gradient strength of gradient strength, averaged over 2 × 2 and 4 × 4 pixels."""
    columns, level, side = [], strength, 1
    # of the patch without the edges that smoothing and the gradient take, whole squares of 4 × 4
    left_out = (windows.px - 6) % 4 // 2
    whole = (windows.px - 6) // 4 * 4
    for _ in range(2):
        # means of squares of twice the width, at every pixel: a square is named by its upper left pixel
        rows = level[:-side] + level[side:]
        level = np.float32(0.25) * (rows[:, :-side] + rows[:, side:])
        side *= 2
        half, apart = np.float32(0.5), 2 * side
        down = half * (level[apart:, side:-side] - level[:-apart, side:-side])
        right = half * (level[side:-side, apart:] - level[side:-side, :-apart])
        # squares from the second to the last but one: their first pixels, at every position
        inner = Windows(windows.top + left_out, windows.left + left_out, whole - 3 * side + 1)
        columns.append(Sums.of([np.sqrt(down * down + right * right)]).means(inner)[:, 0])
    return columns


def _build(setup: Setup) -> DenseFiltersEncoder:
    """Return the encoder; it runs on the CPU whatever the device."""
    return DenseFiltersEncoder()


ENTRIES = (EncoderEntry(CARD, _build),)
