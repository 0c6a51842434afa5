"""``NAME@dense``: the tokens or feature maps of a network computed once a tile, and averaged around each location."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from histosge._runtime.device import Precision
from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Array, Bool, Float32, UInt8
from histosge.errors import UsageError, WeightsError

from .base import EncoderCard, PatchSize
from .dense import DENSE, Tile
from .feature_maps import MapShape
from .network import NetworkEncoder, normalise
from .weights import Module, Tensor
from .window_sums import Sums, Windows

__all__ = ["DenseNetworkEncoder", "averaged", "dense_card", "dense_form"]

# raised whenever the numbers change, so that stored features are not mistaken for new ones
_VERSION = 1
# inputs of a network computed at once, in pixels: a batch of 16 inputs of 224 px
_PIXELS_AT_ONCE = 16 * 224 * 224
# a tile holds about so many pixels in width, in whole inputs
_TILE_PX = 3200
# channels summed at once: a table of sums takes eight bytes for each
_CHANNELS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class DenseNetworkEncoder:
    """A network whose maps are computed once a tile; a location gets their mean over its patch.

    A tile is cut into inputs of the network that overlap: at each edge of an input, ``shape.context_px`` are only
    context, so that no location has a token from the border of an input. Of a vision transformer the patch tokens after
    the last normalisation are averaged, not its class token, as there is one of these an input and not a location. Of
    a network that pools its last maps, the mean is what it computes of the patch, but for the surroundings it sees.

    Parameters
    ----------
    card
        Describes the encoder; the width of its patch says what is averaged, in the network's own pixels.
    network
        In evaluation mode, on ``device``, without gradients.
    shape
        Of inputs and maps.
    weights_hash
        Hash of the weights' content.
    maps
        From the network and normalised pixels to maps, b × channels × rows × columns.
    device, precision
        Where it runs, and whether under bf16 autocast.
    compiled
        Whether the network is compiled; see :func:`~histosge.encoders.compiled.compiled`.
    """

    card: EncoderCard
    network: Module = field(repr=False, compare=False)
    shape: MapShape
    weights_hash: str
    maps: Callable[[Module, Tensor], Tensor] = field(repr=False, compare=False)
    device: str = "cpu"
    precision: Precision = "fp32"
    compiled: bool = False

    @property
    def fingerprint(self) -> str:
        """Hash all that determines the output: card, weights, precision, inputs, compiling."""
        compiled = ("compiled",) if self.compiled else ()
        return fingerprint(self.card, self.weights_hash, self.precision, self.shape, _VERSION, *compiled)

    @property
    def tile_um(self) -> float:
        """Width of a tile: with what is averaged at its edges, whole inputs."""
        return self._tile_px * self.card.patches[0].mpp

    @property
    def margins_px(self) -> tuple[int, ...]:
        """Half a patch, a token and the context of an input."""
        return (self._margin_px,)

    @property
    def _margin_px(self) -> int:
        exact = self.card.patches[0].px // 2 + 1 + self.shape.token_px + self.shape.context_px
        return -(-exact // 4) * 4

    @property
    def _tile_px(self) -> int:
        inner = self.shape.inner_px
        around = 2 * (self._margin_px - self.shape.context_px) + 8
        inputs = max(round(_TILE_PX / inner), math.ceil(2 * around / inner), 1)
        return inputs * inner - around

    def over(self, patch_um: float) -> DenseNetworkEncoder:
        """Return the same network averaged over another width; its µm per pixel stays."""
        own = self.card.patches[0]
        px = max(1, round(patch_um / own.mpp))
        return replace(self, card=replace(self.card, patches=(PatchSize(px * own.mpp, px),)))

    def encode_tile(self, tile: Tile) -> Float32[np.ndarray, "m d"]:
        """Return the mean of the maps over the patch of each location of a tile.

        Raises
        ------
        WeightsError
            When the network's maps have other channels than the card.
        """
        (image,), (centres,) = tile.images, tile.centres_px
        windows = Windows.around(
            (centres - self.shape.context_px) / self.shape.token_px,
            self.card.patches[0].px / self.shape.token_px,
        )
        return averaged(self.tile_maps(image, windows), windows)

    def tile_maps(
        self, image: UInt8[np.ndarray, "h h 3"], windows: Windows
    ) -> Float32[np.ndarray, "rows rows d"]:
        """Return the maps of an image without its context; inputs that no window touches are left at zero.

        Raises
        ------
        WeightsError
            When the network's maps have other channels than the card.
        """
        token, context, inner = self.shape.token_px, self.shape.context_px, self.shape.inner_px
        inputs = -(-(image.shape[0] - 2 * context) // inner)
        beyond = inputs * inner + 2 * context - image.shape[0]
        # what is added lies beyond all patches
        image = np.pad(image, ((0, beyond), (0, beyond), (0, 0)), mode="edge")
        maps = np.zeros((inputs * inner // token,) * 2 + (self.card.dim,), dtype=np.float32)
        side = inner // token
        for (row, column), part in self._computed(image, np.argwhere(_needed(windows, inputs, side))):
            maps[row * side : (row + 1) * side, column * side : (column + 1) * side] = part
        return maps

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return the mean of the maps of patches that are given one by one, as large as the network's input.

        Raises
        ------
        UsageError
            For patches of other sizes.
        WeightsError
            When the network's maps have other channels than the card.
        """
        if len(patches) != 1 or patches[0].shape[1:3] != (self.card.patches[0].px,) * 2:
            shapes = [batch.shape for batch in patches]
            raise UsageError(f"'{self.card.name}' encodes one batch of its own size, got shapes {shapes}.")
        means = [self._run(patches[0][row : row + 1]).mean(axis=(2, 3)) for row in range(len(patches[0]))]
        return np.concatenate(means) if means else np.empty((0, self.card.dim), dtype=np.float32)

    def _computed(self, image: Array, inputs: Array) -> Iterator[tuple[tuple[int, int], Array]]:
        """Yield row and column of inputs, and the inner part of their maps: rows × columns × channels."""
        size, inner = self.shape.input_px, self.shape.inner_px
        edge, side = self.shape.context_px // self.shape.token_px, inner // self.shape.token_px
        at_once = max(1, _PIXELS_AT_ONCE // size**2)
        for start in range(0, len(inputs), at_once):
            some = inputs[start : start + at_once]
            pixels = np.stack(
                [image[r * inner : r * inner + size, c * inner : c * inner + size] for r, c in some]
            )
            maps = self._run(pixels)[:, :, edge : edge + side, edge : edge + side]
            yield from zip(map(tuple, some.tolist()), np.moveaxis(maps, 1, 3), strict=True)

    def _run(self, pixels: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d rows columns"]:
        import torch

        card, side = self.card, pixels.shape[1]
        kind = torch.device(self.device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16"):
            mean, std = card.mean or (0.0, 0.0, 0.0), card.std or (1.0, 1.0, 1.0)
            maps = self.maps(self.network, normalise(pixels, side, mean, std, device=self.device))
            values = np.asarray(maps.float().cpu().numpy(), dtype=np.float32)
        if values.shape[1] != card.dim:
            raise WeightsError(
                f"Expected maps of {card.dim} channels from '{card.name}', got {values.shape[1]}; give the weights "
                "published for it."
            )
        return values


def dense_card(card: EncoderCard, shape: MapShape) -> EncoderCard:
    """Return the card of a network's dense form."""
    return replace(
        card,
        name=card.name + DENSE,
        dim=shape.channels,
        summary=f"{card.summary.rstrip('.')}; its maps computed once a tile and averaged over the patch.",
    )


def dense_form(
    encoder: NetworkEncoder, shape: MapShape, maps: Callable[[Module, Tensor], Tensor]
) -> DenseNetworkEncoder:
    """Return the dense form of an encoder with its weights loaded."""
    return DenseNetworkEncoder(
        card=dense_card(encoder.card, shape),
        network=encoder.network,
        shape=shape,
        weights_hash=encoder.weights_hash,
        maps=maps,
        device=encoder.device,
        precision=encoder.precision,
    )


def _needed(windows: Windows, inputs: int, side: int) -> Bool[np.ndarray, "n n"]:
    """Return which inputs hold a token of a window."""
    needed = np.zeros((inputs, inputs), dtype=bool)
    edges = [
        np.clip(np.floor(edge / side).astype(int), 0, inputs - 1)
        for first in (windows.top, windows.left)
        for edge in (first, first + windows.px)
    ]
    for top, bottom, left, right in np.unique(np.stack(edges, axis=1), axis=0):
        needed[top : bottom + 1, left : right + 1] = True
    return needed


def averaged(maps: Float32[np.ndarray, "rows columns d"], windows: Windows) -> Float32[np.ndarray, "m d"]:
    """Return the means of maps over windows."""
    means = np.empty((len(windows.top), maps.shape[2]), dtype=np.float32)
    for start in range(0, maps.shape[2], _CHANNELS_AT_ONCE):
        some = slice(start, start + _CHANNELS_AT_ONCE)
        table = np.zeros((maps.shape[0] + 1, maps.shape[1] + 1, maps[:, :, some].shape[2]))
        table[1:, 1:] = maps[:, :, some]
        means[:, some] = Sums.from_cells(table).means(windows)
    return means
