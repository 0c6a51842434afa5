"""What is stained in an image: the tissue, without fiducials, shadows, pen and what is no slide."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Bool, Float, UInt8

from .background import background, white_of

__all__ = ["densities", "stained"]

# smaller pieces are dust and lumina
_SPECK_UM2, _HOLE_UM2 = 150.0**2, 400.0**2
# narrower pieces are scratches, pen lines and the edges of stitched images
_NARROW_UM = 40.0
_BLUR_UM = 16.0
# wide enough that the colours at the edges of dark lines cancel
_COLOUR_BLUR_UM = 40.0
# optical density below which nothing is stained, whatever the threshold; even pale tissue is above 0.1
_FAINTEST_DENSITY = 0.04
# above that of glass; where tissue is dense Otsu's threshold lies higher and cuts pale stroma
_PALE_DENSITY = 0.04
# local standard deviation of density: pale stroma has 0.014 and more, glass and a haze of stain on it 0.007 and less
_LEAST_TEXTURE, _TEXTURE_BLUR_UM = 0.01, 30.0
# the two classes of an image that is tissue everywhere differ by less than this
_LEAST_CONTRAST = 0.06
# range of the channels' densities over their mean: tissue has 0.3 to 2, fiducials and shadows 0 to 0.2
_LEAST_COLOUR = 0.25
# of what is stained; where less has a colour the image is gray, and colour says nothing
_GRAY_IMAGE = 0.05
# share of glass from which its colour is taken
_LEAST_GLASS = 0.02
# the absorption of green by pen that is green or cyan, over that of the other colours
_GREEN_PEN = 0.5


def stained(
    rgb: UInt8[np.ndarray, "h w 3"], mpp: float, *, outside: Bool[np.ndarray, "h w"] | None = None
) -> Bool[np.ndarray, "h w"]:
    """Return where an image is stained.

    The density is compared with the threshold of Otsu (1979), or with that of glass where this keeps more pale tissue.
    Haematoxylin and eosin have a colour; fiducials, shadows of the frame, dust and black pen have none, and are left
    out. So are areas that are no slide: black ones, dark or flat ones at the edge, of any colour.

    Parameters
    ----------
    rgb
        The image.
    mpp
        µm per pixel, at most some 30.
    outside
        Its :func:`~.background.background`, where it is known.
    """
    from scipy.ndimage import gaussian_filter

    outside = background(rgb, mpp) if outside is None else outside
    white = white_of(rgb, outside)
    channels = densities(rgb, white)
    channels[:, outside] = 0
    density = gaussian_filter(_amount(channels), _BLUR_UM / mpp)
    pale, dense = _thresholds(density[~outside])
    tissue = density > dense
    if pale < dense:
        tissue |= (density > pale) & (_texture(channels[1], ~tissue, mpp) > _LEAST_TEXTURE)
    tissue &= ~outside
    coloured = _coloured(channels, tissue, outside, mpp)
    if (tissue & coloured).sum() > _GRAY_IMAGE * tissue.sum():
        tissue &= coloured
    return _cleaned(tissue, mpp)


def densities(rgb: UInt8[np.ndarray, "h w 3"], white: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 h w"]:
    """Return the optical density of each channel.

    Parameters
    ----------
    rgb
        The image.
    white
        Its glass.
    """
    values = np.arange(256, dtype=np.float32)
    tables = (-np.log10(np.clip(values / np.float32(level), 1 / 255, 1)) for level in white)
    return np.stack([table[rgb[..., channel]] for channel, table in enumerate(tables)])


def _amount(channels: Array) -> Array:
    """Return the amount of stain: half the mean of the channels' optical densities, plus their range."""
    return np.asarray(0.5 * channels.mean(axis=0) + np.ptp(channels, axis=0))


def _thresholds(density: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Return the densities from which on there is tissue, if it has a texture, and in any case."""
    from skimage.filters import threshold_otsu

    if not density.size or np.ptp(density) < 1e-6:
        return _FAINTEST_DENSITY, _FAINTEST_DENSITY
    # few very dark pixels (folds, pen) must not raise the threshold
    capped = np.minimum(density, np.percentile(density, 95))
    if np.ptp(capped) < 1e-6:
        return _FAINTEST_DENSITY, _FAINTEST_DENSITY
    cut = float(threshold_otsu(capped))
    below, above = capped[capped <= cut], capped[capped > cut]
    # an image that is tissue everywhere has no glass
    if below.mean() > 2 * _FAINTEST_DENSITY or above.mean() - below.mean() < _LEAST_CONTRAST:
        return _FAINTEST_DENSITY, _FAINTEST_DENSITY
    # Otsu's threshold lies too high where dense and pale tissue differ; halfway to the background keeps the pale one
    dense = max(_FAINTEST_DENSITY, min(cut, float(below.mean() + cut) / 2 + 0.01))
    return max(_FAINTEST_DENSITY, min(dense, _glass_density(below) + _PALE_DENSITY)), dense


def _texture(density: Float[np.ndarray, "h w"], among: Bool[np.ndarray, "h w"], mpp: float) -> Array:
    """Return the local standard deviation of a density among some pixels: the edge of dense tissue is no texture."""
    from scipy.ndimage import binary_erosion, gaussian_filter

    sigma = _TEXTURE_BLUR_UM / mpp
    weight = binary_erosion(among, iterations=2, border_value=1).astype(np.float32)
    density = density * weight
    total = np.maximum(gaussian_filter(weight, sigma), 1e-3)
    # variance = mean of squares − square of the mean
    variance = gaussian_filter(density**2, sigma) / total - (gaussian_filter(density, sigma) / total) ** 2
    return np.asarray(np.sqrt(np.maximum(variance, 0)))


def _glass_density(below: Float[np.ndarray, " n"]) -> float:
    """Return the most frequent density below the threshold: that of glass, which a haze of stain leaves as it is."""
    counts, edges = np.histogram(below, bins=50)
    # three bins together: the most frequent of single ones is a matter of chance
    smooth = np.convolve(counts, np.ones(3), mode="same")
    peak = int(np.argmax(smooth))
    return float(edges[peak] + edges[peak + 1]) / 2


def _coloured(channels: Array, tissue: Array, outside: Array, mpp: float) -> Array:
    """Return where the stain over the surroundings has a colour that haematoxylin and eosin can have."""
    from scipy.ndimage import binary_dilation, gaussian_filter

    glass = ~binary_dilation(tissue | outside, iterations=3)
    tint = np.median(channels[:, glass], axis=1) if glass.mean() > _LEAST_GLASS else np.zeros(3)
    sigma = _COLOUR_BLUR_UM / mpp
    red, green, blue = (gaussian_filter(channels[index] - tint[index], sigma) for index in range(3))
    most, others = np.maximum(np.maximum(red, green), blue), np.maximum(red, blue)
    range_ = most - np.minimum(np.minimum(red, green), blue)
    # both stains absorb green at least half as much as they absorb red and blue
    return np.asarray((range_ > _LEAST_COLOUR * (red + green + blue) / 3) & (green > _GREEN_PEN * others))


def _cleaned(mask: Array, mpp: float) -> Array:
    """Remove narrow and small pieces, and fill holes smaller than a spot's surroundings."""
    from scipy.ndimage import binary_opening
    from skimage.morphology import disk, remove_small_holes, remove_small_objects

    radius = round(_NARROW_UM / 2 / mpp)
    if radius:
        mask = binary_opening(mask, disk(radius))
    speck, hole = (max(1, int(area / mpp**2)) for area in (_SPECK_UM2, _HOLE_UM2))
    return np.asarray(remove_small_holes(remove_small_objects(mask, max_size=speck), max_size=hole))
