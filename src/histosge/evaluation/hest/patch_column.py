"""Patches of a file as one image, so that every encoder reads them as it reads a slide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histosge._runtime.hashing import fingerprint, fingerprint_file
from histosge._runtime.types import Float, UInt8
from histosge.errors import DataError
from histosge.images.slide import SlideImage

__all__ = ["PatchColumn"]


@dataclass(frozen=True, slots=True)
class PatchColumn:
    """The patches of an HDF5 file, one below the other: a backend of :class:`~histosge.images.slide.SlideImage`.

    Patches have no pixels in common and no order. What reads beyond the edge of one would read another: an encoder must
    not read wider ones.

    Parameters
    ----------
    path
        The file; its array ``img`` is read when patches are asked for.
    content_hash
        Of the file.
    number, px
        How many patches, and the width of each in pixels.
    """

    path: Path
    content_hash: str
    number: int
    px: int

    @classmethod
    def of(cls, path: Path, shape: tuple[int, ...]) -> PatchColumn:
        """Return the patches of a file whose array ``img`` has this shape."""
        return cls(path, fingerprint_file(path), shape[0], shape[1])

    def __len__(self) -> int:
        return self.number

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of the column."""
        return ((self.number * self.px, self.px),)

    @property
    def mpp(self) -> None:
        """Not in the file."""
        return None

    @property
    def fingerprint(self) -> str:
        """A hash of the file."""
        return fingerprint(self.content_hash, "column of patches")

    def read(self, level: int, corner: tuple[int, int], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        """Return a rectangle of the column.

        Raises
        ------
        DataError
            When the file was damaged or changed since.
        """
        import h5py

        (left, top), (width, height) = corner, size
        first, last = top // self.px, -(-(top + height) // self.px)
        try:
            with h5py.File(self.path) as file:
                some = np.asarray(file["img"][first:last])
        except (OSError, KeyError, RuntimeError) as error:
            raise DataError(f"'{self.path}' cannot be read ({error}). Copy it again.") from error
        rows = some.reshape(-1, self.px, 3)[top - first * self.px :][:height]
        return np.ascontiguousarray(rows[:, left : left + width], dtype=np.uint8)

    def close(self) -> None:
        """Nothing to release."""

    def slide(self, width_um: float) -> SlideImage:
        """Return the column as a slide image whose patches are so wide."""
        return SlideImage(self, width_um / self.px)

    def centres_um(self, width_um: float) -> Float[np.ndarray, "n 2"]:
        """Return the centres of the patches in that slide image."""
        rows = (np.arange(self.number) + 0.5) * width_um
        return np.stack([np.full(self.number, width_um / 2), rows], axis=1)
