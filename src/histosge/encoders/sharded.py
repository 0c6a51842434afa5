"""One encoder on several devices: each piece of work goes to a device that is free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import cast

import numpy as np

from histosge._runtime.types import Float32, UInt8
from histosge.errors import UsageError

from .base import Encoder, EncoderCard
from .dense import DenseEncoder, Tile

__all__ = ["DenseShardedEncoder", "ShardedEncoder", "sharded"]


@dataclass(frozen=True, slots=True, eq=False)
class ShardedEncoder:
    """Copies of an encoder, one a device.

    A batch, or a tile, is computed whole on one device: on devices of one kind vectors differ by no more than rounding
    with their number, and the fingerprint is the same.

    Parameters
    ----------
    parts
        The copies.
    """

    parts: tuple[Encoder, ...]
    _free: SimpleQueue[Encoder] = field(default_factory=SimpleQueue, repr=False)

    def __post_init__(self) -> None:
        for part in self.parts:
            self._free.put(part)

    @property
    def card(self) -> EncoderCard:
        """That of each copy."""
        return self.parts[0].card

    @property
    def fingerprint(self) -> str:
        """That of each copy."""
        return self.parts[0].fingerprint

    @contextmanager
    def free_part(self) -> Iterator[Encoder]:
        """Wait for a device, and lend its copy."""
        part = self._free.get()
        try:
            yield part
        finally:
            self._free.put(part)

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return one vector a location, computed on a device that is free."""
        with self.free_part() as part:
            return part.encode(patches)


@dataclass(frozen=True, slots=True, eq=False)
class DenseShardedEncoder(ShardedEncoder):
    """Copies of a dense encoder, one a device; each computes whole tiles.

    Parameters
    ----------
    parts
        The copies.
    """

    @property
    def tile_um(self) -> float:
        """Width of a tile without its margins."""
        return cast(DenseEncoder, self.parts[0]).tile_um

    @property
    def margins_px(self) -> tuple[int, ...]:
        """Width of the margins."""
        return cast(DenseEncoder, self.parts[0]).margins_px

    def encode_tile(self, tile: Tile) -> Float32[np.ndarray, "m d"]:
        """Return one vector for each location of a tile, computed on a device that is free."""
        with self.free_part() as part:
            return cast(DenseEncoder, part).encode_tile(tile)


def sharded(parts: Sequence[Encoder]) -> Encoder:
    """Return copies of an encoder as one; a single one is returned itself.

    Raises
    ------
    UsageError
        For copies that are not of the same encoder.
    """
    if len(parts) == 1:
        return parts[0]
    if len({part.fingerprint for part in parts}) != 1:
        raise UsageError("Expected the same encoder on each device, got others.")
    kind = DenseShardedEncoder if isinstance(parts[0], DenseEncoder) else ShardedEncoder
    return kind(tuple(parts))
