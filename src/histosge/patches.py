"""Windows of tissue around places, read when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ._types import Float, UInt8
from .slide import SlideImage

__all__ = ["PatchSource"]


@dataclass(frozen=True, slots=True, eq=False)
class PatchSource:
    """Square RGB windows around places."""

    slide: SlideImage
    xy_um: Float[np.ndarray, "n 2"]
    size_um: float
    px: int
    channel_order: Literal["rgb", "bgr"] = "rgb"

    def __len__(self) -> int:
        return len(self.xy_um)

    def __getitem__(self, index: Any) -> UInt8[np.ndarray, "b px px 3"]:
        raise IndexError

    def take(self, index: Any) -> PatchSource:
        """Return the patches at ``index``."""
        return PatchSource(self.slide, self.xy_um[index], self.size_um, self.px, self.channel_order)
