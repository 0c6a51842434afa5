"""An image of haematoxylin and eosin, drawn from the composition of a synthetic tissue."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Bool, Float, UInt8

__all__ = ["DARKNESS", "EOSIN", "GRID_UM", "HAEMATOXYLIN", "NUCLEI", "NUCLEUS_UM", "PAPER", "PINK", "stained"]

# stain vectors of Ruifrok & Johnston (2001): optical density of red, green, blue
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
EOSIN = np.array([0.07, 0.99, 0.11])
# tumour, stroma, immune cells: share of the grid positions with a nucleus, its darkness, the eosin around it
NUCLEI = np.array([0.50, 0.12, 0.85])
DARKNESS = np.array([0.9, 0.7, 1.3])
PINK = np.array([0.20, 0.32, 0.12])
# step of the jittered grid of nuclei, so that they hardly overlap
GRID_UM = 10.0
NUCLEUS_UM = 3.0
PAPER = np.array([243.0, 241.0, 244.0])


def stained(
    shares: Float[np.ndarray, "h w c"],
    density: Float[np.ndarray, "h w"],
    inside: Bool[np.ndarray, "h w"],
    *,
    size_px: tuple[int, int],
    mpp: float,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Return an RGB image.

    Parameters
    ----------
    shares
        Of tumour, stroma and immune cells, on a coarse grid over the image.
    density
        How many nuclei more (log scale) than the compartment has.
    inside
        Where tissue is.
    size_px
        Width and height of the image.
    mpp
        µm per pixel.
    rng
        Draws the positions of nuclei.
    """
    from scipy.ndimage import gaussian_filter

    maps = [_enlarged(shares[..., index], size_px) for index in range(shares.shape[2])]
    crowding = np.exp(0.6 * _enlarged(density, size_px))
    tissue = gaussian_filter((_enlarged(inside.astype(float), size_px) > 0.5).astype(float), 2.0)
    positions = _grid_positions(size_px, mpp, rng)
    chance = sum(share * weight for share, weight in zip(maps, NUCLEI, strict=True)) * crowding * tissue
    taken = rng.random(len(positions[0])) < np.clip(chance[positions], 0, 0.97)
    darkness = sum(share * weight for share, weight in zip(maps, DARKNESS, strict=True))
    dots = np.zeros(size_px[::-1])
    where = tuple(part[taken] for part in positions)
    dots[where] = darkness[where] * rng.uniform(0.7, 1.3, taken.sum())
    sigma = NUCLEUS_UM / mpp
    nuclei = gaussian_filter(dots, sigma) * 2 * np.pi * sigma**2
    fibres = 1 + 0.35 * maps[1] * _fibres(size_px, rng)
    eosin = sum(share * weight for share, weight in zip(maps, PINK, strict=True)) * fibres
    blue = 0.55 * np.minimum(nuclei, 1.6) + 0.05
    optical = tissue[..., None] * (blue[..., None] * HAEMATOXYLIN + eosin[..., None] * EOSIN)
    image = PAPER * 10.0**-optical + rng.normal(0, 2.0, (*size_px[::-1], 1))
    return np.asarray(np.clip(np.rint(image), 0, 255), dtype=np.uint8)


def _enlarged(coarse: Array, size_px: tuple[int, int]) -> Array:
    """Return a coarse grid at the size of the image."""
    from PIL import Image

    return np.asarray(Image.fromarray(coarse.astype(np.float32)).resize(size_px, Image.Resampling.BICUBIC))


def _grid_positions(size_px: tuple[int, int], mpp: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return rows and columns of the pixels that may hold a nucleus."""
    step = GRID_UM / mpp
    columns, rows = np.meshgrid(np.arange(step / 2, size_px[0], step), np.arange(step / 2, size_px[1], step))
    jitter = rng.uniform(-0.4 * step, 0.4 * step, (2, *columns.shape))
    row = np.clip(rows + jitter[0], 0, size_px[1] - 1).astype(int).ravel()
    column = np.clip(columns + jitter[1], 0, size_px[0] - 1).astype(int).ravel()
    return row, column


def _fibres(size_px: tuple[int, int], rng: np.random.Generator) -> Array:
    """Return streaks, of mean 0 and variance 1."""
    from scipy.ndimage import gaussian_filter

    streaks = gaussian_filter(rng.normal(size=size_px[::-1]), (1.0, 8.0))
    return np.asarray(streaks / streaks.std())
