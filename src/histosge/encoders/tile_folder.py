"""Features of tiles in a folder of one file a slide: which file belongs to a section is decided by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.messages import Message
from histosge._runtime.types import Float32, UInt8
from histosge.errors import DataError, UsageError
from histosge.images.slide import SlideImage

from .base import EncoderCard
from .tile_features import TileFeatures
from .tile_files import is_tile_file, read_tile_file

__all__ = ["TileFolder", "files_in"]

# endings of names of slides and stores, the longer ones first
_ENDINGS = (".ome.tiff", ".ome.tif", ".h5ad.zarr")
# names listed in a sentence
_MOST_LISTED = 12


@dataclass(frozen=True, slots=True)
class TileFolder:
    """Features of tiles of many slides.

    A fit belongs to the folder as it is: names, sizes and times of its files are part of the fingerprint, as hashing
    the contents of all slides would take long. A folder that was copied or added to is another one.

    Parameters
    ----------
    card
        Describes the first file; the others must have as many features.
    files
        One a slide.
    support_um
        As for :class:`~histosge.encoders.tile_features.TileFeatures`.
    messages
        Grows by two for each slide: which file was taken, and where its tiles lie.
    """

    card: EncoderCard
    files: tuple[Path, ...]
    support_um: float | None = None
    messages: list[Message] = field(default_factory=list, repr=False, compare=False)
    _read: dict[Path, TileFeatures] = field(default_factory=dict, repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """Hash names, sizes and times of the files, and the square."""
        return fingerprint([_stamp(path) for path in self.files], self.support_um)

    def over(self, patch_um: float) -> TileFolder:
        """Return the same features averaged over another width."""
        return replace(self, support_um=patch_um, _read={})

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Refuse patches.

        Raises
        ------
        UsageError
            Always: files hold features of their own tiles.
        """
        raise UsageError(f"'{self.card.name}' holds features of tiles; it does not compute those of patches.")

    def of(self, slide: SlideImage, name: str | None = None) -> TileFeatures:
        """Return the features of a slide: of the file that is named as its section, or as its image.

        Parameters
        ----------
        slide
            The image.
        name
            Of the section.

        Raises
        ------
        UsageError
            Where no file, or more than one, has such a name.
        DataError
            When the file is damaged, or has another number of features than the first.
        """
        path = self._named(slide, name)
        if path not in self._read:
            tiles = read_tile_file(path)
            if tiles.vectors.shape[1] != self.card.dim:
                raise DataError(
                    f"Expected {self.card.dim} features a tile as in '{self.files[0]}', got "
                    f"{tiles.vectors.shape[1]} in '{path}'. Give a folder of one encoder."
                )
            self._read[path] = TileFeatures(
                self.card, tiles, tiles.content_hash, self.support_um, self.messages
            )
            self.messages.append(
                Message("info", f"Features of tiles of '{name or path.stem}' are read from '{path}'.")
            )
        return self._read[path]

    def _named(self, slide: SlideImage, name: str | None) -> Path:
        """Return the file of a slide.

        Raises
        ------
        UsageError
            Where no file, or more than one, has its name.
        """
        image = slide.backend.path
        names = {text for text in (name, None if image is None else _stem(image.name)) if text}
        matches = [path for path in self.files if _stem(path.name) in names]
        if len(matches) == 1:
            return matches[0]
        named = "none" if not matches else " and ".join(f"'{path.name}'" for path in matches)
        raise UsageError(
            f"Expected one file named {' or '.join(sorted(names)) or 'as the section'} in '{self.files[0].parent}', "
            f"got {named}. It has {_listed(self.files)}. Rename one, or give the file itself."
        )


def files_in(folder: Path) -> tuple[Path, ...]:
    """Return the files of features in a folder, one a slide, sorted by name.

    Raises
    ------
    UsageError
        Where there are none.
    """
    files = tuple(sorted(path for path in folder.iterdir() if is_tile_file(path)))
    if files:
        return files
    inside = [path for path in folder.iterdir() if path.is_dir() and any(map(is_tile_file, path.iterdir()))]
    hint = f" Files are in its folders {_listed(sorted(inside))}: give one of them." if inside else ""
    raise UsageError(
        f"Expected files with features of tiles in the folder '{folder}' (.h5, .h5ad, .zarr), found none.{hint}"
    )


def _listed(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths[:_MOST_LISTED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _stem(name: str) -> str:
    """Return a file's name without its ending."""
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    # a name may have full stops of its own: only what files end with is taken off
    stem, _, ending = name.rpartition(".")
    return stem if stem and ending.isalnum() and len(ending) <= 5 and not ending.isdigit() else name


def _stamp(path: Path) -> tuple[str, int, int]:
    """Return the name, the size and the latest time of a file or of a folder with all that is in it."""
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
    states = [file.stat() for file in files]
    return path.name, sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)
