"""What a source of pixels must offer: levels, and windows of them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from .._types import UInt8

__all__ = ["PixelSource"]


@runtime_checkable
class PixelSource(Protocol):
    """A pyramid of 8-bit RGB images; level 0 is the largest. Pixels are spoken of here and nowhere else.

    Attributes
    ----------
    path
        The file, or ``None`` for an array in memory.
    shapes
        ``(height, width)`` of each level, largest first; a flat image has one.
    mpp
        µm per pixel of level 0 as the file's own metadata states it, ``None`` where it does not.
    fingerprint
        Changes whenever the pixels could have changed; cheap (path-independent for arrays; for files: size,
        modification time and a hash of the first and last MiB).
    """

    path: Path | None
    shapes: tuple[tuple[int, int], ...]
    mpp: float | None
    fingerprint: str

    def read(self, level: int, left: int, top: int, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
        """Return a window of ``level`` in that level's own pixels; the window lies wholly inside the level."""
        ...

    def close(self) -> None:
        """Release files; reading afterwards is an error."""
        ...
