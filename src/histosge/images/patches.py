"""Windows of tissue around places, read when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Float, UInt8, frozen
from histosge.errors import UsageError

from .slide import SlideImage

__all__ = ["PatchSource"]


@dataclass(frozen=True, slots=True, eq=False)
class PatchSource:
    """Square windows around places; nothing is read before it is asked for.

    Parameters
    ----------
    slide
        The image.
    xy_um
        Centres.
    size_um, px
        Width of a window, and pixels it is sampled with.
    channel_order
        ``"bgr"`` swaps red and blue, as the published code does by accident.
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
        """Read the windows of a slice, an integer array or a boolean mask of places."""
        windows = self.slide.read_many(self.xy_um[index], self.size_um, self.px)
        return windows if self.channel_order == "rgb" else np.ascontiguousarray(windows[..., ::-1])

    @property
    def fingerprint(self) -> str:
        """A hash of all that determines the pixels."""
        return fingerprint(self.slide.fingerprint, self.xy_um, self.size_um, self.px, self.channel_order)

    def take(self, index: Any) -> PatchSource:
        """Return the patches at ``index``."""
        return PatchSource(self.slide, self.xy_um[index], self.size_um, self.px, self.channel_order)
