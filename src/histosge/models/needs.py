"""What a model reads of the image: features of an encoder, mean colour or patches, and where they are taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from histosge._runtime.types import Float
from histosge.errors import UsageError
from histosge.geometry.lattice import Lattice

__all__ = ["Crop", "Needs", "Windows"]


@dataclass(frozen=True, slots=True)
class Crop:
    """The patch that a model reads around a location, where it differs from the encoder's own.

    Exactly one of the sizes is set. ``size_px`` counts pixels of the full-resolution image, as most published systems
    do; the section's ``mpp`` turns it into µm. ``size_diameters`` counts diameters of the section's spots.

    Parameters
    ----------
    size_um, size_px, size_diameters
        Width of the patch.
    channel_order
        Order of the colour channels; ``"bgr"`` where a published system read images with OpenCV.

    Examples
    --------
    >>> Crop.of(None, 112)
    Crop(size_um=None, size_px=112, channel_order='rgb', size_diameters=None)
    """

    size_um: float | None = None
    size_px: int | None = None
    channel_order: Literal["rgb", "bgr"] = "rgb"
    size_diameters: float | None = None

    def width_um(self, mpp: float, diameter_um: float) -> float | None:
        """Return the width in µm on a section; ``None`` where no size is set: the encoder's own.

        Parameters
        ----------
        mpp
            µm per pixel of the full-resolution image.
        diameter_um
            Of a spot.

        Raises
        ------
        UsageError
            For a width in diameters where spots have none.
        """
        if self.size_diameters is not None:
            if not diameter_um > 0:
                raise UsageError(
                    "The patch is so many diameters of a spot wide, and these spots have none. Set `crop_um`."
                )
            return self.size_diameters * diameter_um
        return self.size_um if self.size_px is None else self.size_px * mpp

    @classmethod
    def of(cls, size_um: float | None, size_px: int | None) -> Crop | None:
        """Return the patch in µm where ``size_um`` is set, else in pixels; ``None`` means the encoder's own."""
        if size_um is not None:
            return cls(size_um)
        return None if size_px is None else cls(size_px=size_px)


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows around a location, each of which gets image features of its own.

    Parameters
    ----------
    offsets
        From the location to the centre of each window, (x, y).
    share
        Width of each window, as a share of that of the model's patch.
    in_pitches
        Whether offsets count pitches of the section, and not widths of the windows.
    on_array
        Whether offsets are columns and rows of the section's array; see :meth:`array`.

    Examples
    --------
    >>> Windows.grid(3).number, Windows.ring(6).number
    (9, 6)
    >>> Windows.grid(2, share=0.5).offsets_um(100.0, 200.0).tolist()
    [[-25.0, -25.0], [25.0, -25.0], [-25.0, 25.0], [25.0, 25.0]]
    """

    offsets: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    share: float = 1.0
    in_pitches: bool = False
    on_array: bool = False

    @classmethod
    def grid(cls, side: int, *, share: float = 1.0) -> Windows:
        """Return side × side touching windows, row by row."""
        steps = [index - (side - 1) / 2 for index in range(side)]
        return cls(tuple((x, y) for y in steps for x in steps), share)

    @classmethod
    def ring(cls, number: int) -> Windows:
        """Return windows on a circle with a radius of one pitch; six of them surround a location as on Visium."""
        angles = (2 * math.pi * index / number for index in range(number))
        return cls(tuple((math.cos(angle), math.sin(angle)) for angle in angles), in_pitches=True)

    @classmethod
    def array(cls) -> Windows:
        """Return eight windows at the neighbours by column and row: the four of Visium twice, which no maximum sees."""
        return cls(tuple((x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y), on_array=True)

    @property
    def number(self) -> int:
        """How many windows."""
        return len(self.offsets)

    def offsets_um(
        self, width_um: float, pitch_um: float, lattice: Lattice | None = None
    ) -> Float[np.ndarray, "w 2"]:
        """Return the offsets in µm, for a model's patch of ``width_um``; ``lattice``: that of the section."""
        if self.on_array:
            near = np.empty((0, 2)) if lattice is None else lattice.array_neighbours_um()
            if not len(near):
                raise UsageError(
                    "The model reads neighbours on an array; these spots have none. Set `around` to 6."
                )
            return near[np.arange(self.number) % len(near)]
        unit = pitch_um if self.in_pitches else width_um * self.share
        return np.asarray(self.offsets, dtype=np.float64) * unit


@dataclass(frozen=True, slots=True)
class Needs:
    """What the workflow must prepare for a model.

    Parameters
    ----------
    features
        Image features of an encoder.
    colour
        Mean colour of the patch.
    patch_px
        Side of the raw patches that the model trains its own network on; ``None`` for models that read features.
    crop
        The patch to take instead of the encoder's own.
    windows
        Windows around a location whose image features stand side by side, in this order, in place of those at the
        location alone; empty: the location alone.
    blank_edge_um
        Width of a strip at the bottom and on the right of the image, padded to a multiple of it, in which features are
        0; 0: there is none.
    """

    features: bool = False
    colour: bool = False
    patch_px: int | None = None
    crop: Crop | None = None
    windows: tuple[Windows, ...] = ()
    blank_edge_um: float = 0.0

    @property
    def image(self) -> bool:
        """Whether any of it comes from the image."""
        return self.features or self.colour or self.patch_px is not None
