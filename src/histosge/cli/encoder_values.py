"""Values of options that belong to encoders: one for all, or one for each by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from histosge.errors import UsageError

__all__ = ["TileFile", "patch_widths", "weight_files", "with_features"]

TileFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|FOLDER",
        help="Features of tiles that TRIDENT, CLAM, HEST or LazySlide computed, joined to the encoder; of a "
        "folder, the file named as the section.",
    ),
]


def with_features(encoder: str, file: Path | None) -> str:
    """Return the encoder, joined with the features of a file where there is one.

    Raises
    ------
    UsageError
        For a path that holds the sign that joins encoders.
    """
    if file is None:
        return encoder
    from histosge.encoders.joined import JOIN
    from histosge.encoders.tile_features import FEATURES

    if JOIN in str(file.resolve()):
        raise UsageError(f"Expected `features` in a path without '{JOIN}', got '{file}'. Rename or copy it.")
    # a fit is used again from other folders
    return f"{encoder}{JOIN}{FEATURES}{file.resolve()}"


def weight_files(texts: list[str] | None) -> Any:
    """Return files of weights: one path, or paths by the name of the encoder in ``ENCODER=FILE``.

    Raises
    ------
    UsageError
        For several files without the names of their encoders.
    """
    # a path may hold the sign too
    return _by_encoder(texts, "weights", Path, plain=lambda text: "=" not in text or Path(text).exists())


def patch_widths(texts: list[str] | None) -> Any:
    """Return widths in µm: one number, or numbers by the name of the encoder in ``ENCODER=UM``.

    Raises
    ------
    UsageError
        For a text that is no number, and for several widths without the names of their encoders.
    """
    return _by_encoder(texts, "patch_um", _number, plain=lambda text: "=" not in text)


def _by_encoder(
    texts: list[str] | None, option: str, value: Callable[[str], Any], *, plain: Callable[[str], bool]
) -> Any:
    if not texts:
        return None
    if len(texts) == 1 and plain(texts[0]):
        return value(texts[0])
    named = {}
    for text in texts:
        name, equals, content = text.partition("=")
        if not equals or name in named:
            raise UsageError(
                f"Expected one `{option}` for each encoder, as ENCODER=VALUE; got {' and '.join(texts)}."
            )
        named[name.strip()] = value(content)
    return named


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"Expected `patch_um` as a number of µm, got '{text}'.") from None
