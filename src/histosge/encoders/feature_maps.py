"""Feature maps of networks: the patch tokens of a vision transformer, or the last maps of a convolutional network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from histosge.errors import UsageError

from .weights import Module, Tensor

__all__ = ["MapShape", "feature_maps", "map_shape", "stage_maps"]

# tokens at each edge of a transformer's input that are context only
_CONTEXT_TOKENS = 1
# the same of a convolutional network, in pixels, and how many times its usual input it computes at once: padding with
# zeros at the edges reaches far, and maps of larger inputs cost no more for each pixel
_CONTEXT_PX, _INPUTS = 96, 4


@dataclass(frozen=True, slots=True)
class MapShape:
    """How a network is applied to an image that is larger than its input.

    Parameters
    ----------
    channels
        Of the maps.
    token_px
        Pixels of the input for each token or pixel of the maps.
    input_px
        Width of what is computed at once.
    context_px
        Of these, so many at each edge are context only.
    """

    channels: int
    token_px: int
    input_px: int
    context_px: int

    @property
    def inner_px(self) -> int:
        """Width of an input without its context."""
        return self.input_px - 2 * self.context_px


def feature_maps(network: Module, pixels: Tensor) -> Tensor:
    """Return the last maps of a network of timm, b × channels × rows × columns.

    Of a transformer these are its patch tokens, after the last normalisation and without class token and registers.

    Raises
    ------
    UsageError
        For networks whose features have another form.
    """
    features: Tensor = network.forward_features(pixels)
    channels = network.num_features
    if features.ndim == 3:
        tokens = features[:, getattr(network, "num_prefix_tokens", 0) :]
        side = math.isqrt(tokens.shape[1])
        if side * side == tokens.shape[1] and tokens.shape[2] == channels:
            return tokens.transpose(1, 2).reshape(len(tokens), channels, side, side)
    elif features.ndim == 4:
        if features.shape[1] == channels:
            return features
        if features.shape[3] == channels:
            # some transformers keep their channels last
            return features.permute(0, 3, 1, 2)
    raise UsageError(
        f"Expected feature maps of {channels} channels, but the network gives an array of shape "
        f"{tuple(features.shape)}: it has no dense form. Leave '@dense' out."
    )


def stage_maps(network: Module, pixels: Tensor, *, stage: int) -> Tensor:
    """Return the maps of an inner stage; later stages are not computed."""
    (maps,) = network.forward_intermediates(
        pixels, indices=[stage], stop_early=True, output_fmt="NCHW", intermediates_only=True
    )
    tensor: Tensor = maps
    return tensor


def map_shape(network: Module, maps: Callable[[Module, Tensor], Tensor], px: int, *, name: str) -> MapShape:
    """Return how a network is applied to larger images, from a network without weights; nothing is computed.

    A transformer takes inputs of its own size, at which its position embeddings were trained. A network that computes
    larger inputs too is convolutional, and takes them.

    Parameters
    ----------
    network
        On PyTorch's device ``meta``.
    maps
        What is read from it.
    px
        Width of its usual input.
    name
        Of the encoder, for errors.

    Raises
    ------
    UsageError
        Where the maps have no whole number of pixels for each token.
    """
    import torch

    with torch.device("meta"):
        _, channels, rows, columns = maps(network.eval(), torch.empty(1, 3, px, px)).shape
    if rows != columns or px % rows:
        raise UsageError(
            f"Expected maps whose tokens are whole pixels, but '{name}' makes {rows} × {columns} of {px} pixels: "
            "it has no dense form. Leave '@dense' out."
        )
    token = px // rows
    if getattr(network, "pos_embed", None) is not None or hasattr(network, "patch_embed"):
        context = _CONTEXT_TOKENS * token
        return MapShape(channels, token, px, context)
    context = -(-_CONTEXT_PX // token) * token
    return MapShape(channels, token, _INPUTS * px, context)
