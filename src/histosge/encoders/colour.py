"""Mean colour: the three numbers that the HisToSGE paper joins to the features of UNI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Float32, UInt8

from .base import EncoderCard, EncoderEntry, PatchSize, Setup
from .computed import ComputedEncoder

__all__ = ["CARD", "ENTRIES", "ColourEncoder"]

CARD = EncoderCard(
    name="colour",
    dim=3,
    patches=(PatchSize(55.0, 16),),
    mean=None,
    std=None,
    licence="BSD-3-Clause",
    gated=False,
    source=None,
    revision=None,
    citation="shi2024histosge",
    summary="Mean red, green and blue of the patch, in 0 … 1.",
)


@dataclass(frozen=True, slots=True)
class ColourEncoder(ComputedEncoder):
    """The mean colour of a patch.

    Parameters
    ----------
    card
        Describes the encoder; another patch size gives another width.
    """

    card: EncoderCard = CARD

    def vectors(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return the mean of red, green and blue."""
        (rgb,) = patches
        return np.asarray(rgb.mean(axis=(1, 2), dtype=np.float64) / 255, dtype=np.float32)


def _build(setup: Setup) -> ColourEncoder:
    return ColourEncoder()


ENTRIES = (EncoderEntry(CARD, _build),)
