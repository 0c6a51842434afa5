"""Nuclei found without weights: what has more haematoxylin than its surroundings, divided where it narrows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histosge._runtime.types import Array, Float, Int, UInt8
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask
from histosge.segmentation.fragments import joined
from histosge.segmentation.levels import Levels, local_levels, slide_levels
from histosge.segmentation.stain import Stains, estimate_stains, sampled_pixels

from .base import Segment, Segmenter, SegmenterCard

__all__ = ["ENTRIES", "HaematoxylinNuclei", "prepare"]

# standard deviations in µm: of what is compared with the levels, and of the valleys between fragments
_SMOOTH_UM, _VALLEY_UM = 0.5, 1.0
# of the Laplacian of Gaussian: it answers most to disks of √2 times the radius, 2.0 to 4.0 µm
_SCALES_UM = (1.4, 2.0, 2.8)
# half the distance that two peaks have at least
_PEAK_UM = 1.0
# where flooding ends, as a share of the way from the surroundings to the nuclei; the outline lies halfway
_FLOOD, _OUTLINE = 0.35, 0.5
# at most this share of the slide's contrast counts for flooding: thin nuclei in muscle are paler than those of tumour
_MOST_CONTRAST = 0.6
# what is fainter than this share of the slide's contrast, or than an optical density of 0.06, is no nucleus
_LEAST_CONTRAST, _LEAST_DENSITY = 0.3, 0.06
# µm²: disks of 3.2 µm (a thin nucleus, or one cut off its middle) and of 24 µm
_SMALLEST_UM2, _LARGEST_UM2 = 8.0, 450.0
# haematoxylin absorbs blue half as much as red; dust, ink and pigment absorb them alike
_MOST_BLUE = 0.85


@dataclass(frozen=True, slots=True)
class HaematoxylinNuclei:
    """Finds nuclei in tiles of one slide.

    Parameters
    ----------
    stains
        Colours of the slide.
    levels
        Haematoxylin of nuclei and surroundings over the slide.

    Examples
    --------
    >>> from histosge.datasets.stained_nuclei import stained_nuclei
    >>> image = stained_nuclei(80.0, 0.5)
    >>> segment = HaematoxylinNuclei.of_pixels(image.rgb.reshape(-1, 3), white=np.full(3, 243.0))
    >>> labels = segment(image.rgb, image.mpp)
    >>> labels.shape == image.labels.shape, 10 < len(np.unique(labels)) < 30
    (True, True)
    """

    stains: Stains
    levels: Levels

    @classmethod
    def of_pixels(cls, rgb: UInt8[np.ndarray, "n 3"], white: Float[np.ndarray, " 3"]) -> HaematoxylinNuclei:
        """Take colours and levels from pixels on tissue."""
        stains = estimate_stains(rgb, white)
        return cls(stains, slide_levels(stains.unmixed(rgb[:, None])[0, :, 0]))

    def __call__(self, rgb: UInt8[np.ndarray, "h w 3"], mpp: float) -> Int[np.ndarray, "h w"]:
        """Return which nucleus covers a pixel, from 1; 0 where there is none.

        Parameters
        ----------
        rgb
            A tile.
        mpp
            µm per pixel.
        """
        from scipy.ndimage import distance_transform_edt, gaussian_filter

        raw = self.stains.unmixed(rgb)[0]
        stain = gaussian_filter(raw, _SMOOTH_UM / mpp)
        beside, nuclei = local_levels(stain, self.levels, mpp)
        most = np.float32(_MOST_CONTRAST * self.levels.contrast)
        labels = _flooded(raw, stain > beside + _FLOOD * np.minimum(nuclei - beside, most), mpp)
        if not labels.any():
            return labels
        halfway = stain > beside + _OUTLINE * (nuclei - beside)
        depth_um = gaussian_filter(distance_transform_edt(halfway).astype(np.float32) * mpp, _SMOOTH_UM / mpp)
        labels = joined(labels, gaussian_filter(raw, _VALLEY_UM / mpp) - beside, depth_um, mpp)
        labels = self._outlined(
            np.unique(labels, return_inverse=True)[1].reshape(labels.shape), stain, beside
        )
        return _cleaned(self._stained(labels, rgb), mpp)

    def _outlined(self, labels: Array, stain: Array, beside: Array) -> Array:
        """Cut each nucleus at half of its own contrast, and drop faint ones: pale and dark nuclei lie side by side."""
        within = labels > 0
        at, values, around = labels[within], stain[within], beside[within]
        number = int(labels.max()) + 1
        mean = _means(at, values, number)
        upper = values > mean[at]
        high, low = _means(at[upper], values[upper], number), _means(at, around, number)
        faint = high - low < max(_LEAST_CONTRAST * self.levels.contrast, _LEAST_DENSITY)
        kept = (values > (low + _OUTLINE * (high - low))[at]) & ~faint[at]
        outlined = np.zeros_like(labels)
        outlined[within] = np.where(kept, at, 0)
        return outlined

    def _stained(self, labels: Array, rgb: Array) -> Array:
        """Drop what has no colour of haematoxylin."""
        red, _, blue = self.stains.densities(rgb)
        within = labels > 0
        number = int(labels.max()) + 1
        red_mean, blue_mean = (_means(labels[within], part[within], number) for part in (red, blue))
        return np.asarray(np.where((blue_mean > _MOST_BLUE * red_mean)[labels], 0, labels))


def _means(labels: Array, values: Array, number: int) -> Array:
    """Return the mean of the values of each label; 0 for labels without any."""
    total = np.bincount(labels, values.astype(np.float64), number)
    return np.asarray(total / np.maximum(np.bincount(labels, minlength=number), 1))


def _flooded(raw: Array, mask: Array, mpp: float) -> Array:
    """Return fragments: the basins of the peaks of the Laplacian of Gaussian over scales (Lindeberg 1998)."""
    from scipy.ndimage import gaussian_laplace, label, maximum_filter
    from skimage.segmentation import watershed

    response = np.full(raw.shape, -np.inf, dtype=np.float32)
    for sigma in (scale / mpp for scale in _SCALES_UM):
        # times σ², so that answers of all scales can be compared
        np.maximum(response, -(sigma**2) * gaussian_laplace(raw, sigma, truncate=3.0), out=response)
    mask = mask & (response > 0)
    wide = 2 * max(1, round(_PEAK_UM / mpp)) + 1
    peaks = label((response == maximum_filter(response, wide)) & mask, np.ones((3, 3)))[0]
    return np.asarray(watershed(-response, peaks, mask=mask))


def _cleaned(labels: Array, mpp: float) -> Array:
    """Keep the largest piece of each nucleus, if it has the size of one, with its holes filled."""
    from skimage.measure import label

    pieces = label(labels, connectivity=1)
    area = np.bincount(pieces.ravel()) * mpp**2
    owner = np.zeros(len(area), dtype=int)
    owner[pieces.ravel()] = labels.ravel()
    order = np.lexsort((-area, owner))
    largest = np.zeros(len(area), dtype=bool)
    largest[order[np.r_[True, np.diff(owner[order]) > 0]]] = True
    kept = largest & (owner > 0) & (area >= _SMALLEST_UM2) & (area <= _LARGEST_UM2)
    labels = np.where(kept[pieces], labels, 0)
    return np.asarray(_filled(labels))


def _filled(labels: Array) -> Array:
    """Fill holes: background that one label encloses."""
    from skimage.measure import label

    holes = label(labels == 0, connectivity=1)
    number = holes.max() + 1
    lowest = np.full(number, np.iinfo(np.int64).max)
    highest = np.zeros(number, dtype=np.int64)
    for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        for a, b in ((here, there), (there, here)):
            at = (holes[a] > 0) & (labels[b] > 0)
            np.minimum.at(lowest, holes[a][at], labels[b][at])
            np.maximum.at(highest, holes[a][at], labels[b][at])
    for border in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        highest[border] = 0
    enclosed = (lowest == highest) & (highest > 0)
    return np.asarray(np.where(enclosed[holes] & (holes > 0), highest[holes], labels))


def prepare(slide: SlideImage, mask: TissueMask, weights: Path | None) -> Segment:
    """Return what finds nuclei in a slide: with its own colours, from fields spread evenly over the tissue."""
    rgb, white = sampled_pixels(slide, mask, ENTRIES[0].card.mpp)
    return HaematoxylinNuclei.of_pixels(rgb, white)


ENTRIES = (
    Segmenter(
        SegmenterCard(
            name="nuclei",
            summary="nuclei by their haematoxylin, without weights: stain separation, blobs, watershed",
            mpp=0.5,
            coarsest_mpp=1.0,
            # 2 passes of 2 × 12 µm, and two nuclei
            reach_um=80.0,
            licence="BSD-3-Clause",
            citation="ruifrok2001",
        ),
        prepare,
    ),
)
