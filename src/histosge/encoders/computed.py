"""Encoders without weights: features that a function computes from patches, or from tiles of the image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Array, Float32, UInt8
from histosge.errors import DataError

from .base import EncoderCard
from .dense import Tile

__all__ = ["ComputedEncoder", "DenseComputedEncoder"]

# windows reach so far beyond half their width: between pixels, and to whole squares of a histogram
_BEYOND_PX, _SQUARE_PX = 4, 4
# a tile is so many times as wide as the widest patch: wider ones need more memory, narrower ones have more margin
_TILE_PATCHES = 2
# what lies beyond a patch has no weight, but is looked up
_AROUND_PX = 8


@dataclass(frozen=True, slots=True)
class ComputedEncoder(ABC):
    """An :class:`~histosge.encoders.base.Encoder` whose vectors a function computes, some patches at a time.

    Every number is computed patch by patch in a fixed order, so that the same patch gives the same bits in any batch.

    Parameters
    ----------
    card
        Describes the encoder; other patch sizes give other scales.
    """

    card: EncoderCard

    #: raised whenever the numbers change, so that stored features are not mistaken for new ones
    version: ClassVar[int] = 1
    #: locations worked on at once: their planes stay in the processor's cache
    at_once: ClassVar[int] = 64

    @property
    def fingerprint(self) -> str:
        """Hash name, version and patch sizes."""
        return fingerprint(self.card.name, self.version, self.card.patches)

    @abstractmethod
    def vectors(self, patches: Sequence[UInt8[np.ndarray, "b _ _ 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return one vector a location, for some locations."""

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b _ _ 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return one vector a location; ``patches`` holds one batch of RGB images for each size of the card.

        Raises
        ------
        DataError
            When the number of patch sizes is not the card's.
        """
        if len(patches) != len(self.card.patches):
            raise DataError(f"Expected patches of {len(self.card.patches)} sizes, got {len(patches)}.")
        features = np.empty((len(patches[0]), self.card.dim), dtype=np.float32)
        for start in range(0, len(features), self.at_once):
            some = slice(start, start + self.at_once)
            features[some] = self.vectors([batch[some] for batch in patches])
        return features


@dataclass(frozen=True, slots=True)
class DenseComputedEncoder(ComputedEncoder):
    """A :class:`~histosge.encoders.dense.DenseEncoder` whose vectors a function computes, a tile at a time.

    Parameters
    ----------
    card
        Describes the encoder; other patch sizes give other scales.
    """

    at_once: ClassVar[int] = 1

    @property
    def tile_um(self) -> float:
        """Width of a tile."""
        return _TILE_PATCHES * max(patch.size_um for patch in self.card.patches)

    @property
    def margins_px(self) -> tuple[int, ...]:
        """Half a patch and a little more at each scale, in whole squares."""
        return tuple(
            -(-(patch.px // 2 + _BEYOND_PX) // _SQUARE_PX) * _SQUARE_PX for patch in self.card.patches
        )

    @abstractmethod
    def encode_tile(self, tile: Tile) -> Float32[np.ndarray, "m d"]:
        """Return one vector for each location of a tile."""

    def vectors(self, patches: Sequence[UInt8[np.ndarray, "b _ _ 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return the vector of a single patch, as of a tile with one location in its middle."""
        images: list[Array] = [
            np.pad(size[0], ((_AROUND_PX,) * 2, (_AROUND_PX,) * 2, (0, 0)), mode="reflect")
            for size in patches
        ]
        centres = [np.full((1, 2), image.shape[0] / 2) for image in images]
        return self.encode_tile(Tile(tuple(images), tuple(centres)))
