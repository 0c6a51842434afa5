"""The statistics of ``texture`` averaged over five overlapping patches around a location; no weights, no download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.types import Float32, UInt8

from .base import EncoderCard, EncoderEntry, PatchSize, Setup
from .computed import ComputedEncoder
from .texture import CARD as TEXTURE
from .texture import statistics

__all__ = ["CARD", "ENTRIES", "AveragedTextureEncoder"]

# µm from the middle patch to the four around it: with it they stand for a disk of 75 µm, whose mean squared radius
# they have. Wider disks blur sections of spots of 55 µm (docs/results/image-support.md)
_STEP_UM = 30.0
# the patches of one size, in steps to the right and down
_POINTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))


def _steps_px(patch: PatchSize) -> int:
    """Return the step in pixels of a patch of ``texture``."""
    return round(_STEP_UM / patch.mpp)


def _with_margin(patch: PatchSize) -> PatchSize:
    """Return the patch that all five patches fit into, at the same µm per pixel."""
    px = patch.px + 2 * _steps_px(patch)
    return PatchSize(patch.mpp * px, px)


CARD = replace(
    TEXTURE,
    name="texture@averaged",
    patches=tuple(_with_margin(patch) for patch in TEXTURE.patches),
    summary="The statistics of texture, averaged over five patches within 75 µm; no weights.",
)


@dataclass(frozen=True, slots=True)
class AveragedTextureEncoder(ComputedEncoder):
    """The columns of ``texture``, each the mean over a patch and four around it, 30 µm away.

    The patches of the card hold all five: 66, 50 and 40 pixels wide, of which patches of 32 pixels are cut. Statistics
    of one patch are noisy, above all those of the narrowest; and a spot is often wider than it. What this is worth:
    docs/results/image-support.md.

    Parameters
    ----------
    card
        Describes the encoder; other patch sizes give other scales.
    """

    card: EncoderCard = CARD

    def vectors(self, patches: Sequence[UInt8[np.ndarray, "b _ _ 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return the averaged statistics of all patch sizes, side by side."""
        return np.concatenate([_averaged(batch) for batch in patches], axis=1)


def _averaged(rgb: UInt8[np.ndarray, "b _ _ 3"]) -> Float32[np.ndarray, "b d"]:
    """Return the mean statistics of the five patches in patches of one size."""
    side = TEXTURE.patches[0].px
    step = (rgb.shape[1] - side) // 2
    total = np.zeros((), dtype=np.float32)
    for right, down in _POINTS:
        top, left = step * (1 + down), step * (1 + right)
        total = total + statistics(rgb[:, top : top + side, left : left + side])
    return np.asarray(total * np.float32(1 / len(_POINTS)), dtype=np.float32)


def _build(setup: Setup) -> AveragedTextureEncoder:
    """Return the encoder; it runs on the CPU whatever the device."""
    return AveragedTextureEncoder()


ENTRIES = (EncoderEntry(CARD, _build),)
