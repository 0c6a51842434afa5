"""Image features written as tiles, for users of TRIDENT, LazySlide and AnnData."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from histosge._runtime.names import near_misses
from histosge.errors import UsageError

from .encoded_tiles import EncodedTiles
from .lazyslide import require, write_store
from .table import write_table
from .trident import write_folder

__all__ = ["FORMATS", "EncodedTiles", "refuse_formats", "write_tiles"]

#: formats by name; each writes tiles into a folder and returns the path of the features
FORMATS: Mapping[str, Callable[[Path, EncodedTiles], Path]] = {
    "trident": write_folder,
    "lazyslide": write_store,
    "anndata": write_table,
}


def refuse_formats(formats: Sequence[str]) -> None:
    """Refuse formats that there are not, and those that lack a package, before anything is computed.

    Raises
    ------
    UsageError
        For such a format.
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError(
                f"Expected `formats` among {', '.join(FORMATS)}, got '{name}'.{near_misses(name, FORMATS)}"
            )
    if "lazyslide" in formats:
        require()


def write_tiles(folder: Path, tiles: EncodedTiles, formats: Sequence[str]) -> tuple[Path, ...]:
    """Write tiles in each of some formats, and return the paths of the features.

    Raises
    ------
    UsageError
        Where another program's file stands at a path, or it cannot be written.
    OutputError
        When the disk is full.
    """
    return tuple(FORMATS[name](folder, tiles) for name in dict.fromkeys(formats))
