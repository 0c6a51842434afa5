"""Image features that are 0 at the bottom and on the right of an image, as of iStar's code (Zhang et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.images.slide import SlideImage
from histosge.section.inputs import FeatureRows

from .base import Encoder
from .windowed import WindowedEncoder

__all__ = ["WeightedRows", "shares_before_edge", "with_blank_edge"]


def with_blank_edge(
    features: FeatureRows,
    encoder: Encoder,
    slide: SlideImage,
    *,
    xy_um: Float[np.ndarray, "n 2"],
    edge_um: float,
) -> FeatureRows:
    """Return features as if they were 0 in a strip at the bottom and on the right, and averaged over each window.

    Parameters
    ----------
    features
        Of ``encoder`` at ``xy_um``.
    encoder
        Says where windows around a location are, and how wide.
    slide
        The image, padded on the right and below to a multiple of ``edge_um``.
    xy_um
        Locations.
    edge_um
        Width of the strip of the padded image.
    """
    windows = encoder.parts if isinstance(encoder, WindowedEncoder) else ((encoder, (0.0, 0.0)),)
    shares, columns = [], []
    for part, offset in windows:
        patches = part.card.patches
        # a vector without a window is that of its point
        width_um = patches[0].size_um if patches else 0.0
        shares.append(shares_before_edge(xy_um + offset, width_um, slide.size_um, edge_um=edge_um))
        columns.append(part.card.dim)
    return WeightedRows(features, np.stack(shares, axis=1).astype(np.float32), tuple(columns))


def shares_before_edge(
    centres_um: Float[np.ndarray, "n 2"], width_um: float, size_um: tuple[float, float], *, edge_um: float
) -> Float[np.ndarray, " n"]:
    """Return the share of each square window that is not in the strip at the bottom and on the right of an image.

    Examples
    --------
    An image of 300 × 250 µm is padded to 384 × 256 µm, so that the strip begins at x = 256 and y = 128:

    >>> shares_before_edge(np.array([[100.0, 100], [256, 100], [256, 128], [300, 10]]), 32.0, (300, 250), edge_um=128)
    array([1.  , 0.5 , 0.25, 0.  ])
    """
    # what is left of a whole number of strips by rounding is no further strip
    begin_um = np.array([(math.ceil(side / edge_um - 1e-9) - 1) * edge_um for side in size_um])
    if width_um > 0:
        sides = np.clip((begin_um - centres_um) / width_um + 0.5, 0.0, 1.0)
    else:
        sides = (centres_um < begin_um).astype(np.float64)
    return np.asarray(sides.prod(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class WeightedRows:
    """Features multiplied by a weight of each window, read by rows; see :class:`FeatureRows`.

    Parameters
    ----------
    features
        Of several windows side by side.
    weights
        One for each row and window.
    columns
        Number of features of each window.
    """

    features: FeatureRows
    weights: Float[np.ndarray, "n w"]
    columns: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of the features."""
        return self.features.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Array:
        """Return rows: an integer array, a slice or a boolean mask in, float32 out."""
        weights = np.repeat(self.weights[index], self.columns, axis=1)
        return np.asarray(np.asarray(self.features[index]) * weights)
