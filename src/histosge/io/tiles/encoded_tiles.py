"""Image features of locations as tiles: squares of whole pixels of the image, which other tools read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array, Int
from histosge.encoders.base import EncoderCard
from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.geometry.spacing import median_spacing_um
from histosge.images.slide import SlideImage
from histosge.section.inputs import FeatureRows

__all__ = ["EncodedTiles", "plain_name", "refuse_foreign_file"]

#: the attribute, or the entry of ``uns``, that says that this program wrote a file
MARK = "histosge"


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTiles:
    """Features of tiles, in pixels of the image.

    Parameters
    ----------
    name
        Of the section; files are named after it.
    slide
        The image.
    card
        Of the encoder.
    corners_px
        Upper left corners (x, y).
    side_px
        Width of a tile.
    overlap_px
        By how much neighbouring tiles overlap; 0 where they do not.
    ids
        Of the locations in the middle of the tiles.
    features
        One row a location that was encoded.
    rows
        Which of them are tiles.
    """

    name: str
    slide: SlideImage
    card: EncoderCard
    corners_px: Int[np.ndarray, "n 2"]
    side_px: int
    overlap_px: int
    ids: Array
    features: FeatureRows
    rows: Int[np.ndarray, " n"]

    @classmethod
    def of(
        cls, name: str, slide: SlideImage, card: EncoderCard, points: Points, features: FeatureRows
    ) -> EncodedTiles:
        """Return the tiles around locations, as wide as the encoder's finest patch.

        Corners are rounded to whole pixels, so that a tile's middle lies up to half a pixel from its location. Tiles
        that reach beyond the image are left out.

        Raises
        ------
        UsageError
            For features that were read from tiles of a file, and where no tile lies on the image.
        """
        if not card.patches:
            raise UsageError(
                f"'{card.name}' are features of tiles already; leave `formats` out, or choose an encoder of the image."
            )
        side_px = max(1, round(card.patches[0].size_um / slide.mpp))
        corners = np.rint(points.xy / slide.mpp - side_px / 2).astype(np.int64)
        height, width = slide.backend.shapes[0]
        inside = ((corners >= 0) & (corners + side_px <= (width, height))).all(axis=1)
        if not inside.any():
            raise UsageError(
                f"No patch of {card.patches[0].size_um:g} µm around a location lies on the image, so that there are no "
                "tiles to write. Leave `formats` out."
            )
        rows = np.flatnonzero(inside)
        spacing_px = median_spacing_um(points.xy[rows]) / slide.mpp if len(rows) > 1 else side_px
        overlap_px = max(0, round(side_px - spacing_px))
        return cls(
            name,
            slide,
            card,
            corners[rows],
            side_px,
            overlap_px,
            np.asarray(points.ids)[rows],
            features,
            rows,
        )

    @property
    def shape_px(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.slide.backend.shapes[0]

    @property
    def messages(self) -> tuple[Message, ...]:
        """Where the tiles lie, and how many are left out."""
        height, width = self.shape_px
        text = (
            f"{len(self.rows)} tiles of {self.side_px} px ({self.side_px * self.slide.mpp:.4g} µm) are written in "
            f"pixels of the image of {width} × {height} px at {self.slide.mpp:.4g} µm per pixel: open them with that "
            "image."
        )
        left_out = self.features.shape[0] - len(self.rows)
        if not left_out:
            return (Message("info", text),)
        warning = (
            f"{left_out} locations whose patch reaches beyond the image are not among the tiles written."
        )
        return Message("info", text), Message("warning", warning)

    @property
    def about(self) -> Mapping[str, Any]:
        """What files say of the encoder, in plain values."""
        return {"encoder": self.card.name, "licence": self.card.licence, "section": self.name}

    def vectors(self) -> Array:
        """Return the features of all tiles."""
        return np.asarray(self.features[self.rows], dtype=np.float32)


def plain_name(text: str) -> str:
    """Return a text as a name of a file or of a table: letters, digits, full stops, hyphens and underscores.

    Examples
    --------
    >>> plain_name("timm:resnet50@2+texture")
    'timm_resnet50_2_texture'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._") or "unnamed"


def refuse_foreign_file(path: Path) -> None:
    """Refuse to replace an HDF5 file that this program did not write.

    Raises
    ------
    UsageError
        For any other file.
    """
    import h5py

    if not path.exists():
        return
    try:
        with h5py.File(path) as file:
            if MARK in file.attrs or f"uns/{MARK}" in file:
                return
    except (OSError, RuntimeError):
        pass
    raise UsageError(f"'{path}' is a file that histosge did not write; choose another `out`.")


def as_text(about: Mapping[str, Any]) -> str:
    """Return what files say of the encoder as one attribute."""
    return json.dumps(dict(about), ensure_ascii=False)
