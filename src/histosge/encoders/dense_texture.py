"""``texture@dense``: the statistics of ``texture`` as filtered images, for locations that lie close together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.types import Array, Float32, UInt8

from .base import EncoderCard, EncoderEntry, Setup
from .computed import DenseComputedEncoder
from .dense import DENSE, Tile
from .texture import CARD as CROP_CARD
from .texture import DISTANCES_PX, PERCENTILES, hue_of, patterns_of, stains_of
from .window_sums import Histograms, Sums, Windows

__all__ = ["CARD", "ENTRIES", "DenseTextureEncoder", "dense_statistics"]

# bins of percentiles, and the value around which they begin to widen: of stain density, and of gradient strength
_BINS = 64
_EASY_DENSITY, _EASY_STRENGTH = 0.1, 0.1
# least and greatest haematoxylin of any colour, and the greatest gradient strength of it
_DENSITY = (-1.65, 4.55)
_STRONGEST = 8.8

CARD = replace(
    CROP_CARD,
    name=CROP_CARD.name + DENSE,
    summary="The statistics of texture computed once a tile, for many locations close together; no weights.",
)


@dataclass(frozen=True, slots=True)
class DenseTextureEncoder(DenseComputedEncoder):
    """The statistics of :class:`~histosge.encoders.texture.TextureEncoder` from tables of sums.

    The columns are the same. Means, deviations, madograms, gradients and patterns of a location on the pixels' grid
    equal those of its patches up to rounding; between pixels, windows with edges between pixels are taken, where a
    patch is resampled. Percentiles come from histograms of 64 bins. As the numbers differ a little, so does the
    fingerprint: a fit by one form is not applied to features of the other.

    Parameters
    ----------
    card
        Describes the encoder; other patch sizes give other scales.
    """

    card: EncoderCard = CARD

    def encode_tile(self, tile: Tile) -> Float32[np.ndarray, "m d"]:
        """Return the statistics of all patch sizes, side by side."""
        scales = [
            dense_statistics(image, Windows.around(centres, patch.px))
            for image, centres, patch in zip(tile.images, tile.centres_px, self.card.patches, strict=True)
        ]
        return np.concatenate(scales, axis=1)


def dense_statistics(rgb: UInt8[np.ndarray, "h w 3"], windows: Windows) -> Float32[np.ndarray, "m d"]:
    """Return the statistics of one scale at windows, in the columns of `texture`."""
    red, green, blue = np.moveaxis(rgb, 2, 0).astype(np.float32) / np.float32(255)
    grey = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    stains = stains_of(red, green, blue)
    planes = (stains[0], grey)
    moments = _moments([red, green, blue, *stains, *hue_of(red, green, blue)], windows)
    histograms = (Histograms.of(*_density_bins(stains[0])), Histograms.of(*_grey_bins(grey)))
    *slopes, patterns = _inner_columns(planes, windows)
    columns = [moments]
    for histogram, madograms, slope in zip(histograms, _madograms(planes, windows), slopes, strict=True):
        columns += [histogram.percentiles(windows, PERCENTILES), madograms, slope]
    return np.concatenate([*columns, patterns], axis=1).astype(np.float32)


def _moments(planes: list[Array], windows: Windows) -> Array:
    """Return mean and standard deviation of each plane, one after the other."""
    means = Sums.of([*planes, *(plane * plane for plane in planes)]).means(windows)
    mean, square = means[:, : len(planes)], means[:, len(planes) :]
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.stack([mean, deviation], axis=2).reshape(len(means), -1)


def _madograms(planes: Sequence[Array], windows: Windows) -> Array:
    """Return for each plane the mean absolute difference of pixels at several distances: planes × m × distances."""
    differences = []
    for distance in DISTANCES_PX:
        differences += [np.abs(plane[distance:] - plane[:-distance]) for plane in planes]
        differences += [np.abs(plane[:, distance:] - plane[:, :-distance]) for plane in planes]
    sums, n, columns = Sums.of(differences), len(planes), []
    for index, distance in enumerate(DISTANCES_PX):
        # a difference down lacks the last rows of the window, one to the right the last columns
        start = 2 * n * index
        down = sums.means(windows, less=(distance, 0))[:, start : start + n]
        right = sums.means(windows, less=(0, distance))[:, start + n : start + 2 * n]
        columns.append((down + right) / 2)
    return np.stack(columns, axis=2).transpose(1, 0, 2)


def _inner_columns(planes: Sequence[Array], windows: Windows) -> list[Array]:
    """Return what is computed from neighbours, in the window less a pixel at each edge.

    For each plane mean, deviation and largest tenth of gradient strength, and how far its directions agree; after them
    the histogram of local binary patterns of the last plane.
    """
    # these planes lack the first row and column, so that the same corner is a pixel further inside
    inner = Windows(windows.top, windows.left, windows.px - 2)
    middle = Windows(windows.top + 1, windows.left + 1, windows.px - 2)
    summed, strengths = [], []
    for plane in planes:
        down, right = plane[2:, 1:-1] - plane[:-2, 1:-1], plane[1:-1, 2:] - plane[1:-1, :-2]
        down2, right2 = down * down, right * right
        strengths.append(np.sqrt(down2 + right2))
        summed += [strengths[-1], down2 + right2, right2 - down2, 2 * right * down]
    code = patterns_of(planes[-1][None])[0]
    means = Sums.of([*summed, *(code == value for value in range(10))]).means(inner)
    columns = []
    for index, strength in enumerate(strengths):
        mean, square, twice_x, twice_y = means[:, 4 * index : 4 * index + 4].T
        deviation = np.sqrt(np.maximum(square - mean * mean, 0))
        # with its edges again, so that squares of pixels lie alike on either side of a window
        histogram = Histograms.of(*_strength_bins(np.pad(strength, 1, mode="edge")))
        (strong,) = histogram.percentiles(middle, (90.0,)).T
        agreement = np.sqrt(twice_x**2 + twice_y**2) / np.maximum(square, 1e-8)
        columns.append(np.stack([mean, deviation, strong, agreement], axis=1))
    return [*columns, means[:, 4 * len(planes) :]]


def _grey_bins(grey: Array) -> tuple[Array, Array]:
    return np.minimum((grey * _BINS).astype(np.intp), _BINS - 1), np.linspace(0, 1, _BINS + 1)


def _density_bins(density: Array) -> tuple[Array, Array]:
    return _eased_bins(density, *_DENSITY, _EASY_DENSITY)


def _strength_bins(strength: Array) -> tuple[Array, Array]:
    return _eased_bins(strength, 0.0, _STRONGEST, _EASY_STRENGTH)


def _eased_bins(values: Array, least: float, most: float, easy: float) -> tuple[Array, Array]:
    """Return bins that are narrow near zero, where most values are, and widen with distance from it."""
    low, high = np.arcsinh(least / easy), np.arcsinh(most / easy)
    eased = np.arcsinh(values / np.float32(easy))
    bins = ((eased - np.float32(low)) * np.float32(_BINS / (high - low))).astype(np.intp)
    return np.clip(bins, 0, _BINS - 1), easy * np.sinh(np.linspace(low, high, _BINS + 1))


def _build(setup: Setup) -> DenseTextureEncoder:
    """Return the encoder; it runs on the CPU whatever the device."""
    return DenseTextureEncoder()


ENTRIES = (EncoderEntry(CARD, _build),)
