"""``features:FILE``: features of tiles that another tool computed, as an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from histosge._runtime.hashing import fingerprint
from histosge._runtime.messages import Message
from histosge._runtime.types import Array, Float, Float32, UInt8
from histosge.errors import DataError, UsageError
from histosge.images.slide import SlideImage

from .base import EncoderCard
from .tile_file import TileFile

__all__ = ["FEATURES", "TileFeatures", "TileRows", "placed", "rows_of"]

#: before the path of a file of features
FEATURES = "features:"

# raised whenever the numbers change, so that stored features are not mistaken for new ones
_VERSION = 1
# least part of a location's square that tiles must cover
_LEAST_COVERED = 0.1
# locations whose tiles are looked up at once
_CHECKED_AT_ONCE = 4096
# relative difference of µm per pixel that rounding explains
_ROUNDING = 0.02
# how many times as large as its copy a slide is at least
_LEAST_SHRUNKEN = 1.2


@dataclass(frozen=True, slots=True)
class TileFeatures:
    """Features of tiles, averaged over a square around each location by the area that they share with it.

    With a square as wide as a tile, this is bilinear interpolation between the tiles of a regular grid; of smaller
    tiles it is the mean over the square.

    Parameters
    ----------
    card
        Describes it.
    tiles
        The file.
    content_hash
        Of the file.
    support_um
        Width of the square; ``None`` takes that of a tile.
    messages
        Grows by one for each slide: where its tiles lie.
    """

    card: EncoderCard
    tiles: TileFile = field(repr=False, compare=False)
    content_hash: str
    support_um: float | None = None
    messages: list[Message] = field(default_factory=list, repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """Hash the file's content and the square."""
        return fingerprint(self.content_hash, self.support_um, _VERSION)

    def over(self, patch_um: float) -> TileFeatures:
        """Return the same features averaged over another width."""
        return replace(self, support_um=patch_um)

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Refuse patches.

        Raises
        ------
        UsageError
            Always: a file holds features of its own tiles.
        """
        raise UsageError(f"'{self.card.name}' holds features of tiles; it does not compute those of patches.")

    def at(self, slide: SlideImage, xy_um: Float[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n d"]:
        """Return the features of locations.

        Parameters
        ----------
        slide
            The image that the tiles were cut from, or a smaller copy of it.
        xy_um
            Locations.

        Raises
        ------
        DataError
            When the file is that of another slide, or has no tile at a location.
        """
        corners_um, side_um = placed(self.tiles, slide)
        support_um = self.support_um or side_um
        weights, used = _shared_areas(corners_um + side_um / 2, xy_um, side_um, support_um)
        total = np.asarray(weights.sum(axis=1)).ravel()
        lacking = int((total < _LEAST_COVERED * support_um**2).sum())
        if lacking:
            raise DataError(
                f"Expected tiles at all {len(xy_um)} locations, but '{self.tiles.path}' has none at {lacking} of them. "
                "Compute features of the whole tissue, or leave out locations beyond it."
            )
        means = weights @ self.tiles.vectors[used].astype(np.float64) / total[:, None]
        return np.asarray(means, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class TileRows:
    """Features of tiles at locations, computed when asked for by rows; see :class:`FeatureRows`.

    Parameters
    ----------
    encoder, slide, xy_um
        As for :meth:`TileFeatures.at`.
    """

    encoder: TileFeatures
    slide: SlideImage
    xy_um: Float[np.ndarray, "n 2"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Locations and features."""
        return len(self.xy_um), self.encoder.card.dim

    def __len__(self) -> int:
        return len(self.xy_um)

    def __getitem__(self, index: Any) -> Array:
        """Return rows: an integer array, a slice or a boolean mask in, float32 out."""
        return self.encoder.at(self.slide, self.xy_um[index])


def rows_of(encoder: TileFeatures, slide: SlideImage, xy_um: Float[np.ndarray, "n 2"]) -> TileRows:
    """Return the features of locations, after a check that there are tiles at all of them.

    Raises
    ------
    DataError
        When the file is that of another slide, or has no tile at a location.
    """
    corners_um, side_um = placed(encoder.tiles, slide)
    # neither TRIDENT nor CLAM writes µm per pixel: what was taken is said
    text = (
        f"{len(corners_um)} tiles of '{encoder.tiles.path}' lie on the image as squares of {side_um:.1f} µm: "
        f"{side_um / encoder.tiles.side_px:.4g} µm per pixel of the slide."
    )
    message = Message("info", text)
    if message not in encoder.messages:
        encoder.messages.append(message)
    rows = TileRows(encoder, slide, np.asarray(xy_um, dtype=np.float64))
    for start in range(0, len(rows), _CHECKED_AT_ONCE):
        rows[start : start + _CHECKED_AT_ONCE]
    return rows


def placed(tiles: TileFile, slide: SlideImage) -> tuple[Float[np.ndarray, "n 2"], float]:
    """Return upper left corners and the width of tiles in µm of the slide.

    µm per pixel are those of the slide, as most files do not say them. Where a file says how large the slide is, the
    image at hand may be a smaller copy.

    Raises
    ------
    DataError
        When the file is that of another slide.
    """
    height, width = slide.backend.shapes[0]
    mpp = slide.mpp if tiles.mpp is None else tiles.mpp
    if tiles.slide_px is not None:
        shrunken = tiles.slide_px[0] / width
        # a smaller copy has the proportions of the slide to a pixel; an image of nearly its size is another slide
        alike = abs(tiles.slide_px[1] / shrunken - height) <= 1
        if tiles.slide_px != (width, height) and not (alike and shrunken >= _LEAST_SHRUNKEN):
            raise DataError(
                f"'{tiles.path}' holds features of a slide of {tiles.slide_px[0]} × {tiles.slide_px[1]} px, but the "
                f"image has {width} × {height} px: another slide. Give its own features."
            )
        mpp = slide.mpp / shrunken
        if tiles.mpp is not None and abs(tiles.mpp / mpp - 1) > _ROUNDING:
            raise _another_scale(tiles, tiles.mpp, mpp)
    elif tiles.mpp is not None:
        _refuse_another_scale(tiles, tiles.mpp, slide)
    side_um = tiles.side_px * mpp
    furthest = tiles.corners_px.max(axis=0) * mpp + side_um
    limit = np.array(slide.size_um) * (1 + _ROUNDING) + side_um
    if (furthest > limit).any() or (tiles.corners_px < 0).any():
        raise DataError(
            f"Tiles of '{tiles.path}' reach to {furthest[0]:.0f} × {furthest[1]:.0f} µm at {mpp:g} µm per pixel, "
            f"beyond the image of {slide.size_um[0]:.0f} × {slide.size_um[1]:.0f} µm: another slide, another "
            "µm per pixel, or a smaller copy of the image. Give the image that the features were computed from."
        )
    return tiles.corners_px * mpp, side_um


def _refuse_another_scale(tiles: TileFile, mpp: float, slide: SlideImage) -> None:
    """Refuse µm per pixel of a file that are not those of the image, where the image is not a smaller copy.

    Raises
    ------
    DataError
        Where they are not.
    """
    height, width = slide.backend.shapes[0]
    is_whole = (tiles.corners_px.max(axis=0) + tiles.side_px <= (width, height)).all()
    if is_whole and abs(mpp / slide.mpp - 1) > _ROUNDING:
        raise _another_scale(tiles, mpp, slide.mpp)


def _another_scale(tiles: TileFile, mpp: float, slide_mpp: float) -> DataError:
    return DataError(
        f"'{tiles.path}' was made at {mpp:g} µm per pixel, but the image has {slide_mpp:g}. Give the right one as "
        "`mpp`, or the image that the features were computed from."
    )


def _shared_areas(
    centres_um: Array, xy_um: Array, side_um: float, support_um: float
) -> tuple[csr_array, Array]:
    """Return the area that the square around each location shares with tiles, and which tiles these are."""
    reach = (side_um + support_um) / 2
    near = KDTree(centres_um).query_ball_point(xy_um, reach, p=np.inf)
    members = [np.asarray(some, dtype=np.int64) for some in near]
    tiles = np.concatenate([*members, np.empty(0, dtype=np.int64)])
    rows = np.repeat(np.arange(len(xy_um)), [len(some) for some in members])
    apart = np.abs(centres_um[tiles] - xy_um[rows])
    shared = np.clip(reach - apart, 0, min(side_um, support_um)).prod(axis=1)
    used, columns = np.unique(tiles, return_inverse=True)
    return csr_array((shared, (rows, columns)), shape=(len(xy_um), len(used))), used
