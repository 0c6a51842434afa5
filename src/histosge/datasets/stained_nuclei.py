"""Images of haematoxylin and eosin whose nuclei are known: outlined, textured, elongated, overlapping."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int, UInt8
from histosge.errors import UsageError

__all__ = ["Drawing", "NucleusImage", "stained_nuclei"]

# stain vectors of Ruifrok & Johnston (2001): optical density of red, green, blue
_HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
_EOSIN = np.array([0.07, 0.99, 0.11])
_WHITE = np.array([243.0, 241.0, 244.0])
# µm per pixel at which tissue is drawn, before it is blurred and sampled as the scanner would
_FINE_MPP = 0.25
# harmonics of an outline's radius over its angle, and their amplitude: nuclei are no ellipses
_HARMONICS, _WAVINESS = (2, 3, 4, 5), 0.035
# µm over which chromatin, eosin and the direction of nuclei vary
_CHROMATIN_UM, _CLOUD_UM, _DIRECTION_UM = 0.7, 25.0, 60.0
# red cells: radius in µm, and optical density of eosin
_RED_CELL_UM, _RED_CELL_DENSITY = 3.2, 0.9
_TRIES = 12


@dataclass(frozen=True, slots=True, eq=False)
class NucleusImage:
    """An image and the nuclei in it.

    Parameters
    ----------
    rgb
        The image.
    labels
        Which nucleus covers a pixel, from 1; of overlapping ones, the one on top. 0 where there is none.
    mpp
        µm per pixel of both.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    labels: Int[np.ndarray, "h w"]
    mpp: float

    def f1(self, labels: Int[np.ndarray, "h w"], *, overlap: float = 0.5) -> float:
        """Return the harmonic mean of precision and recall of a segmentation.

        A nucleus counts where one label covers it by more than ``overlap`` of their union, which at 0.5 and above
        one label can do alone.
        """
        from scipy.sparse import coo_matrix

        names, pairs = zip(
            *(np.unique(part, return_inverse=True) for part in (self.labels, labels)), strict=True
        )
        pairs = tuple(part.ravel() for part in pairs)
        common = coo_matrix((np.ones(pairs[0].size), pairs)).tocsr().tocoo()
        areas = [np.bincount(part) for part in pairs]
        union = areas[0][common.row] + areas[1][common.col] - common.data
        both = (names[0][common.row] > 0) & (names[1][common.col] > 0)
        hits = int(((common.data > overlap * union) & both).sum())
        number = sum((part > 0).sum() for part in names)
        return float(2 * hits / max(number, 1))


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn: nuclei and the tissue between them.

    Parameters
    ----------
    radius_um
        Median of the radii of disks of the nuclei's areas; single ones differ by a fifth (standard deviation).
    density_mm2
        Nuclei per mm²; as many as fit.
    haematoxylin, eosin
        Optical density of nuclei, and of what lies between them.
    blur_um
        Standard deviation of the blur of the microscope.
    elongation
        Median ratio of length to width.
    overlap
        Share of the distance of two nuclei that merely touch by which they may be closer.
    rotation
        Of the stains' colours towards each other, as a share of their difference: another laboratory.
    jpeg
        Quality of compression; ``None`` for none.
    """

    radius_um: float = 4.0
    density_mm2: float = 3000.0
    haematoxylin: float = 0.7
    eosin: float = 0.3
    blur_um: float = 0.4
    elongation: float = 1.5
    overlap: float = 0.15
    rotation: float = 0.0
    jpeg: int | None = 80


def stained_nuclei(
    size_um: float = 200.0, mpp: float = 0.5, drawing: Drawing = Drawing(), *, seed: int = 0
) -> NucleusImage:
    """Draw a square of tissue.

    Nuclei have wavy outlines, rough chromatin, a size, darkness and elongation of their own, and lie along a direction
    that changes slowly. Between them are fibres and clouds of eosin, red cells, and faint haematoxylin of the
    cytoplasm.

    Parameters
    ----------
    size_um
        Width of the square.
    mpp
        µm per pixel, at least 0.25.
    drawing
        Of nuclei and tissue.
    seed
        Another seed, another tissue.

    Raises
    ------
    UsageError
        For an image without pixels, or finer than 0.25 µm per pixel.

    Examples
    --------
    >>> image = stained_nuclei(60.0, 0.5)
    >>> image.rgb.shape, bool(image.labels.max() > 3)
    ((120, 120, 3), True)
    """
    if not (size_um > 4 * drawing.radius_um and mpp >= _FINE_MPP):
        raise UsageError(
            f"Expected `mpp` of {_FINE_MPP} or more and `size_um` above 4 radii, got {mpp:g} and {size_um:g}."
        )
    rng = np.random.default_rng(seed)
    side = round(size_um / _FINE_MPP)
    direction = np.pi * _smooth(rng, side, _DIRECTION_UM)
    nuclei, labels = _drawn(rng, _shapes(rng, size_um, drawing), direction)
    blue = drawing.haematoxylin * nuclei + 0.08 * (1 + 0.5 * _smooth(rng, side, 8.0))
    pink = drawing.eosin * _stroma(rng, direction) * (1 - 0.6 * (labels > 0)) + _red_cells(rng, labels)
    vectors = _stain_vectors(drawing.rotation)
    optical = np.maximum(blue, 0)[..., None] * vectors[0] + np.maximum(pink, 0)[..., None] * vectors[1]
    return _scanned(rng, _WHITE * 10.0**-optical, labels, mpp=mpp, drawing=drawing)


def _stain_vectors(rotation: float) -> Float[np.ndarray, "2 3"]:
    """Return unit vectors of the stains, each moved towards the other by a share of their difference."""
    pair = np.stack([_HAEMATOXYLIN, _EOSIN])
    pair = pair + rotation * (pair[::-1] - pair)
    return np.asarray(pair / np.linalg.norm(pair, axis=1, keepdims=True))


def _smooth(rng: np.random.Generator, side: int, length_um: float) -> Array:
    """Return noise of mean 0 and variance 1 that varies over a length."""
    from scipy.ndimage import gaussian_filter, zoom

    # coarse noise is enlarged: a wide filter at 0.25 µm per pixel would take long
    step = max(1, int(length_um / _FINE_MPP / 8))
    coarse = rng.normal(size=(side // step + 8,) * 2)
    coarse = gaussian_filter(coarse, length_um / _FINE_MPP / step / 2, mode="wrap")
    coarse = (coarse - coarse.mean()) / coarse.std()
    return np.asarray(zoom(coarse, step, order=1)[:side, :side])


@dataclass(frozen=True, slots=True, eq=False)
class _Shapes:
    """Centres (x, y), half widths and half lengths of the nuclei in µm, and their darkness."""

    xy_um: Array
    half_um: Array
    darkness: Array


def _shapes(rng: np.random.Generator, size_um: float, drawing: Drawing) -> _Shapes:
    """Return nuclei set down one after the other, none too close to an earlier one."""
    number = round(drawing.density_mm2 * (size_um / 1000) ** 2)
    radii = drawing.radius_um * np.clip(rng.lognormal(0, 0.2, number), 0.6, 1.6)
    ratio = 1 + (drawing.elongation - 1) * rng.gamma(4.0, 0.25, number)
    half = np.stack([radii / np.sqrt(ratio), radii * np.sqrt(ratio)], axis=1)
    placed = np.empty((0, 2))
    kept: list[int] = []
    for index in range(number):
        for xy in rng.uniform(0, size_um, (_TRIES, 2)):
            apart = (1 - drawing.overlap) * (radii[index] + radii[kept])
            if not len(kept) or (np.hypot(*(placed - xy).T) > apart).all():
                placed, kept = np.vstack([placed, xy]), [*kept, index]
                break
    return _Shapes(placed, half[kept], rng.lognormal(0, 0.2, len(kept)))


def _drawn(rng: np.random.Generator, shapes: _Shapes, direction: Array) -> tuple[Array, Array]:
    """Return the haematoxylin of the nuclei, about 1, and which of them is on top."""
    side = len(direction)
    nuclei, labels = np.zeros((side, side)), np.zeros((side, side), dtype=np.int32)
    chromatin = _smooth(rng, side, 2 * _CHROMATIN_UM)
    for number, (xy_um, half_um, darkness) in enumerate(
        zip(shapes.xy_um, shapes.half_um, shapes.darkness, strict=True), start=1
    ):
        reach = int(1.3 * half_um[1] / _FINE_MPP) + 2
        column, row = (int(part / _FINE_MPP) for part in xy_um)
        rows, columns = (slice(max(0, at - reach), min(side, at + reach + 1)) for at in (row, column))
        y, x = np.mgrid[rows, columns] + 0.5
        depth = _depth(
            rng, x * _FINE_MPP - xy_um[0], y * _FINE_MPP - xy_um[1], half_um, direction[row, column]
        )
        inside = depth < 1
        # denser at the rim, as in vesicular nuclei
        tone = darkness * (0.85 + 0.25 * depth**4 + 0.18 * chromatin[rows, columns])
        # two nuclei on top of each other absorb more than one, but lie partly within one another
        nuclei[rows, columns] = np.where(
            inside,
            np.maximum(tone, nuclei[rows, columns]) + 0.2 * nuclei[rows, columns],
            nuclei[rows, columns],
        )
        labels[rows, columns][inside] = number
    return nuclei, labels


def _depth(rng: np.random.Generator, x: Array, y: Array, half_um: Array, angle: float) -> Array:
    """Return the distance from the centre as a share of that of the outline in the same direction."""
    turn = angle + rng.normal(0, 0.3)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    theta = np.arctan2(across, along)
    wave = sum(
        rng.normal(0, _WAVINESS) * np.cos(order * theta + rng.uniform(0, 2 * np.pi)) for order in _HARMONICS
    )
    return np.asarray(np.hypot(along / half_um[1], across / half_um[0]) / (1 + wave))


def _stroma(rng: np.random.Generator, direction: Array) -> Array:
    """Return the eosin between nuclei, about 1: clouds, and fibres along the direction of the nuclei."""
    side = len(direction)
    clouds = 1 + 0.35 * _smooth(rng, side, _CLOUD_UM)
    y, x = np.mgrid[:side, :side] * _FINE_MPP
    phase = (y * np.cos(direction.mean()) - x * np.sin(direction.mean())) + 1.5 * direction
    fibres = 1 + 0.25 * np.sin(phase * 2 * np.pi / 3.5 + _smooth(rng, side, 10.0))
    return np.asarray(np.clip(clouds, 0.2, None) * fibres)


def _red_cells(rng: np.random.Generator, labels: Array) -> Array:
    """Return the eosin of red cells, some 100 per mm², beside the nuclei."""
    side = len(labels)
    y, x = np.mgrid[:side, :side] * _FINE_MPP
    density = np.zeros((side, side))
    for _ in range(round(100 * (side * _FINE_MPP / 1000) ** 2)):
        at = rng.uniform(0, side * _FINE_MPP, 2)
        density[np.hypot(x - at[0], y - at[1]) < _RED_CELL_UM] = _RED_CELL_DENSITY
    return np.asarray(density * (labels == 0))


def _scanned(
    rng: np.random.Generator, rgb: Array, labels: Array, *, mpp: float, drawing: Drawing
) -> NucleusImage:
    """Return what a scanner makes of the light: blurred, sampled, with noise, compressed."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    side = round(len(rgb) * _FINE_MPP / mpp)
    size = (side, side)
    channels = [gaussian_filter(rgb[..., channel], drawing.blur_um / _FINE_MPP) for channel in range(3)]
    sampled = [
        np.asarray(Image.fromarray(part.astype(np.float32)).resize(size, Image.Resampling.BOX))
        for part in channels
    ]
    pixels = np.stack(sampled, axis=-1) + rng.normal(0, 2.0, (side, side, 3))
    image = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if drawing.jpeg is not None:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=drawing.jpeg)
        image = np.asarray(Image.open(buffer))
    truth = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    return NucleusImage(image, truth.astype(np.int32), mpp)
