"""An encoder on several windows around a location: their features stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Float32, UInt8

from .base import Encoder, EncoderCard

__all__ = ["WindowedEncoder"]


@dataclass(frozen=True, slots=True)
class WindowedEncoder:
    """One encoder, with patches of one or several widths, on windows around a location.

    Parameters
    ----------
    parts
        For each window the encoder with its width, and the offset (x, y) from the location, µm. Each is computed and
        stored by itself.
    """

    parts: tuple[tuple[Encoder, tuple[float, float]], ...]

    @property
    def card(self) -> EncoderCard:
        """The card of the encoder, with the number of features of all windows."""
        first = self.parts[0][0].card
        return replace(first, dim=sum(part.card.dim for part, _ in self.parts))

    @property
    def fingerprint(self) -> str:
        """Hash encoders, widths and offsets."""
        return fingerprint([[part.fingerprint, *offset] for part, offset in self.parts])

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return the vectors of all windows side by side; the patches of each window stand one after another."""
        vectors, start = [], 0
        for part, _ in self.parts:
            end = start + len(part.card.patches)
            vectors.append(np.asarray(part.encode(patches[start:end]), dtype=np.float32))
            start = end
        return np.concatenate(vectors, axis=1)
