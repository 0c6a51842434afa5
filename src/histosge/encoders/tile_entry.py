"""The registry entry of ``features:FILE`` and ``features:FOLDER``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .base import Encoder, EncoderCard, EncoderEntry, Setup
from .tile_features import FEATURES, TileFeatures
from .tile_files import is_tile_file, read_tile_file
from .tile_folder import TileFolder, files_in

__all__ = ["entry"]

# what TRIDENT and LazySlide call encoders, in small letters and digits, and their names here
_NAMES = {
    "univ1": "uni",
    "univ2": "uni2",
    "uni2h": "uni2",
    "conchv1": "conch",
    "conchv15": "conch15",
    "titan": "conch15",
    "phikonv1": "phikon",
    "phikonv2": "phikon2",
    "provgigapath": "gigapath",
}


def entry(name: str, licence_of: Callable[[str], str | None]) -> EncoderEntry:
    """Return the registry entry of ``features:PATH``; reads the file, or the first one of a folder.

    Parameters
    ----------
    name
        With the path.
    licence_of
        Gives the licence of an encoder of this package by its name; ``None`` for any other name.

    Raises
    ------
    UsageError
        Where there is no such file, or no file in the folder.
    DataError
        When it is damaged.
    """
    path = Path(name.removeprefix(FEATURES))
    files = files_in(path) if path.is_dir() and not is_tile_file(path) else ()
    tiles = read_tile_file(files[0] if files else path)
    made_by = tiles.encoder or "a network that the file does not name"
    what = f"{len(files)} files of tiles" if files else f"{len(tiles.vectors)} tiles"
    card = EncoderCard(
        name=name,
        dim=int(tiles.vectors.shape[1]),
        patches=(),
        licence=_licence(tiles.encoder, licence_of),
        summary=f"{what} encoded by {made_by}.",
    )

    def build(setup: Setup) -> Encoder:
        if files:
            return TileFolder(card, files)
        return TileFeatures(card, tiles, tiles.content_hash)

    return EncoderEntry(card, build)


def _licence(encoder: str, licence_of: Callable[[str], str | None]) -> str:
    """Return the licence of the encoder that a file names."""
    plain = "".join(letter for letter in encoder.lower() if letter.isalnum())
    known = licence_of(_NAMES.get(plain, plain)) if plain else None
    if known is not None:
        return f"that of {encoder}: {known}"
    return (
        f"not stated by the file: that of the weights of {encoder or 'a network that the file does not name'}"
    )
