"""A whole-slide image addressed in micrometres."""

from __future__ import annotations

from dataclasses import dataclass

from .slides._contract import PixelSource

__all__ = ["SlideImage"]


@dataclass(frozen=True, slots=True, eq=False)
class SlideImage:
    """An image with a scale."""

    source: PixelSource
    mpp: float
