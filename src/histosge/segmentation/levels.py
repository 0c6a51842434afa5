"""How much haematoxylin nuclei and their surroundings have, over a slide and around each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["Levels", "local_levels", "slide_levels"]

# radius (standard deviation) of the surroundings in µm: some three nuclei; and where its weight ends
_LOCAL_UM, _TRUNCATE = 12.0, 2.0
# share of the surroundings that the slide's own levels count for: where there is no nucleus, or nothing else
_PRIOR_SHARE = 0.05
_PASSES = 2


@dataclass(frozen=True, slots=True)
class Levels:
    """Optical density of haematoxylin, averaged over a slide: in nuclei, and beside them."""

    beside: float
    nuclei: float

    @property
    def contrast(self) -> float:
        """How much more of it nuclei have."""
        return self.nuclei - self.beside


def slide_levels(haematoxylin: Float[np.ndarray, " n"]) -> Levels:
    """Return the means below and above the threshold of Otsu (1979) of pixels on tissue."""
    from skimage.filters import threshold_otsu

    if not haematoxylin.size or np.ptp(haematoxylin) < 1e-6:
        return Levels(0.0, 0.0)
    dense = haematoxylin > threshold_otsu(haematoxylin)
    return Levels(float(haematoxylin[~dense].mean()), float(haematoxylin[dense].mean()))


def local_levels(
    haematoxylin: Float[np.ndarray, "h w"], slide: Levels, mpp: float
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Return what surroundings and nuclei have around each pixel.

    Pixels are divided at the midpoint of the two levels, which are then averaged over the surroundings, twice: the
    local form of the threshold of Ridler & Calvard (1978). A blurred edge lies at that midpoint.

    Parameters
    ----------
    haematoxylin
        Amount of the stain.
    slide
        Levels of the slide, which count where one of the classes is rare.
    mpp
        µm per pixel.
    """
    from scipy.ndimage import gaussian_filter

    def mean(values: Array) -> Array:
        return np.asarray(gaussian_filter(values, _LOCAL_UM / mpp, truncate=_TRUNCATE))

    everything = mean(haematoxylin)
    beside: Array = np.asarray(slide.beside, dtype=np.float32)
    nuclei: Array = np.asarray(slide.nuclei, dtype=np.float32)
    share = np.float32(_PRIOR_SHARE)
    for _ in range(_PASSES):
        dense = (haematoxylin > (beside + nuclei) / 2).astype(np.float32)
        weight, amount = mean(dense), mean(dense * haematoxylin)
        nuclei = (amount + share * np.float32(slide.nuclei)) / (weight + share)
        beside = (everything - amount + share * np.float32(slide.beside)) / (1 - weight + share)
    return np.asarray(beside), np.asarray(nuclei)
