"""Areas of an image that are no slide: padding of scanners, masks of other programs, a holder around the slide."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Bool, Float, UInt8

__all__ = ["WITHOUT_COLOUR", "background", "white_of"]

# of 255; stained tissue is brighter at 8 µm per pixel, even a fold
_BLACK, _DARK = 8, 64
# of 255; tissue and glass vary by more within five pixels, padding does not
_FLAT, _EVEN_PX = 1, 5
# tissue may touch the edge, in drawings with one colour
_SHARE_OF_EDGE = 0.15
# of 255; padding as light as glass is treated as glass
_LIGHT = 200
# smaller dark areas at the edge are folds
_SMALLEST_UM2 = 250.0**2
# pixels at the border of an area are mixtures with it
_BORDER_PX = 3
# wider than what the opening removes
_PAD_PX = 5
# some scanners' glass is mid-grey
_DARKEST_WHITE = 110.0
#: range of the channels' optical densities below which a colour is gray; glass of any scanner has less
WITHOUT_COLOUR = 0.06


def background(rgb: UInt8[np.ndarray, "h w 3"], mpp: float) -> Bool[np.ndarray, "h w"]:
    """Return where an image shows no slide: black areas, dark or flat ones that begin at its edge.

    Flat white or light gray is left out: it is treated as glass.

    Parameters
    ----------
    rgb
        The image.
    mpp
        µm per pixel.
    """
    from scipy.ndimage import binary_dilation, binary_opening

    # the image goes on beyond its edge, where lines of padding may be one pixel wide
    brightest = np.pad(np.maximum(np.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2]), _PAD_PX, mode="edge")
    black, dark = (binary_opening(brightest < level, iterations=2) for level in (_BLACK, _DARK))
    areas = (black | _at_edge(dark, mpp))[_PAD_PX:-_PAD_PX, _PAD_PX:-_PAD_PX] | _flat(rgb)
    return np.asarray(binary_dilation(areas, iterations=_BORDER_PX) if areas.any() else areas)


def white_of(rgb: UInt8[np.ndarray, "h w 3"], outside: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, " 3"]:
    """Return the colour of empty glass: the 99th percentile of each channel, but not darker than mid-grey.

    Where the slide was cut out along the tissue, the brightest pixels have a colour, and white is taken instead.

    Parameters
    ----------
    rgb
        The image.
    outside
        Where it shows no slide.
    """
    slide = rgb[~outside] if outside.any() else rgb.reshape(-1, 3)
    if not len(slide):
        return np.full(3, 255.0)
    white = np.maximum(np.percentile(slide, 99, axis=0), _DARKEST_WHITE)
    if outside.any() and np.ptp(np.log10(white)) > WITHOUT_COLOUR:
        return np.full(3, 255.0)
    return np.asarray(white)


def _at_edge(areas: Array, mpp: float) -> Array:
    """Return those connected areas that touch the edge of the image and are not small."""
    from scipy.ndimage import label

    pieces, number = label(areas)
    edge = np.zeros(number + 1, dtype=bool)
    for border in (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]):
        edge[border] = True
    large = np.bincount(pieces.ravel(), minlength=number + 1) * mpp**2 >= _SMALLEST_UM2
    keep = edge & large
    keep[0] = False
    return np.asarray(keep[pieces])


def _flat(rgb: Array) -> Array:
    """Return areas of the colours that are exactly even along much of the edge; glass is none of them."""
    from scipy.ndimage import maximum_filter, minimum_filter

    even = np.ones(rgb.shape[:2], dtype=bool)
    for channel in np.moveaxis(rgb, 2, 0):
        even &= maximum_filter(channel, _EVEN_PX) - minimum_filter(channel, _EVEN_PX) <= _FLAT
    flat = np.zeros(even.shape, dtype=bool)
    rings = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])
    edge = np.concatenate([np.where(even[ring][:, None], rgb[ring].astype(int), -1) for ring in rings])
    colours, counts = np.unique(edge, axis=0, return_counts=True)
    for colour in colours[counts >= _SHARE_OF_EDGE * len(edge)]:
        if colour[0] >= 0 and not _glass(colour):
            flat |= even & (np.abs(rgb.astype(int) - colour).max(axis=2) <= _FLAT)
    return flat


def _glass(colour: Array) -> bool:
    """Return whether a colour is white or a light gray."""
    return bool(colour.min() >= _LIGHT and np.ptp(np.log10(colour)) < WITHOUT_COLOUR)
