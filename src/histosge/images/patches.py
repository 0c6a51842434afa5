"""Patches of a slide image around positions, read when indexed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Float, UInt8, frozen
from histosge.errors import UsageError

from .slide import SlideImage

__all__ = ["Patches"]


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Square patches around positions; no pixel is read before the patches are indexed.

    Parameters
    ----------
    slide
        The image.
    xy_um
        Centres.
    size_um, px
        Width of a patch in µm, and in the pixels it is sampled with.
    channel_order
        ``"bgr"`` swaps red and blue, as the published code of HisToSGE does unintentionally.
    """

    slide: SlideImage
    xy_um: Float[np.ndarray, "n 2"]
    size_um: float
    px: int
    channel_order: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        if not (self.size_um > 0 and self.px >= 1):
            raise UsageError(f"A patch needs a positive size, got {self.size_um} µm and {self.px} px.")
        object.__setattr__(self, "xy_um", frozen(np.asarray(self.xy_um, dtype=np.float64)))

    def __len__(self) -> int:
        return len(self.xy_um)

    def __getitem__(self, index: Any) -> UInt8[np.ndarray, "b px px 3"]:
        """Read the patches at a slice, an integer array or a boolean mask."""
        patches = self.slide.read_many(self.xy_um[index], self.size_um, self.px)
        return patches if self.channel_order == "rgb" else np.ascontiguousarray(patches[..., ::-1])

    @property
    def fingerprint(self) -> str:
        """A hash of all that determines the pixels."""
        return fingerprint(self.slide.fingerprint, self.xy_um, self.size_um, self.px, self.channel_order)

    def take(self, index: Any) -> Patches:
        """Return the patches at ``index``."""
        return replace(self, xy_um=self.xy_um[index])
