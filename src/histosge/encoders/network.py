"""Encoders that are PyTorch networks: normalise, batch, run, read out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from histosge._runtime.device import Precision, require_deep
from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Float32, UInt8
from histosge.errors import UsageError, WeightsError

from .base import EncoderCard, EncoderEntry, Setup
from .feature_maps import MapShape, feature_maps, map_shape
from .strict_loading import load_strictly
from .weights import Module, State, Tensor, content_hash, find_weights, read_state

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Interpolation",
    "NetworkEncoder",
    "NetworkSpec",
    "normalise",
    "timm_network",
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Interpolation: TypeAlias = Literal["bilinear", "bicubic"]

# bounds memory whatever batch the caller hands over; more patches at once are no faster on a CPU
_AT_ONCE = 32


def network_output(network: Module, pixels: Tensor) -> Tensor:
    """Return the output of the network."""
    vectors: Tensor = network(pixels)
    return vectors


def unchanged(state: State) -> State:
    """Return the tensors under their published names."""
    return state


def timm_network(architecture: str, *, swiglu: bool = False, **options: Any) -> Module:
    """Make a timm network on PyTorch's current default device.

    Parameters
    ----------
    architecture
        timm's name, without a tag of weights.
    swiglu
        Whether its blocks have gated SiLU perceptrons, as the larger DINOv2 networks do.
    options
        As for ``timm.create_model``; later ones override earlier ones.
    """
    import timm
    from timm.layers import SwiGLUPacked
    from torch import nn

    if swiglu:
        options = {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU, **options}
    network: Module = timm.create_model(architecture, **options)
    return network


def normalise(
    patches: UInt8[np.ndarray, "b h w 3"],
    px: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    *,
    interpolation: Interpolation = "bilinear",
    device: str = "cpu",
) -> Tensor:
    """Return patches as a network reads them: b × 3 × px × px, resized where needed, centred and scaled.

    The whole patch is resized, with antialiasing; no border is cropped. Values are clipped to [0, 1] before ``mean``
    is subtracted, as bicubic resizing overshoots.
    """
    import torch
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(np.array(patches)).to(device).permute(0, 3, 1, 2).float() / 255
    if pixels.shape[-1] != px:
        pixels = interpolate(pixels, (px, px), mode=interpolation, antialias=True, align_corners=False)
        pixels = pixels.clamp(0, 1)
    centre = torch.tensor(mean, device=device).view(1, 3, 1, 1)
    scale = torch.tensor(std, device=device).view(1, 3, 1, 1)
    return (pixels - centre) / scale


@dataclass(frozen=True, slots=True)
class NetworkEncoder:
    """A PyTorch network as an :class:`~histosge.encoders.base.Encoder`.

    The vector of a patch depends on that patch alone: the network is in evaluation mode. Other patches of a batch can
    change the order of summation inside a matrix product, which moves a vector by about 1e-6 of its length in
    fp32; the same batch gives the same bits on one kind of CPU, with the same libraries and number of threads.

    Parameters
    ----------
    card
        Describes the encoder; its patch size may be replaced, as patches are resized to ``px`` in any case.
    network
        In evaluation mode, on ``device``, without gradients.
    px
        Side of the network's input.
    weights_hash
        Hash of the weights' content.
    device, precision
        Where it runs, and whether under bf16 autocast.
    readout
        From the network and normalised pixels to one vector a patch.
    interpolation
        How patches of another size are resized.
    compiled
        Whether the network is compiled; see :func:`~histosge.encoders.compiled.compiled`.
    """

    card: EncoderCard
    network: Module = field(repr=False, compare=False)
    px: int
    weights_hash: str
    device: str = "cpu"
    precision: Precision = "fp32"
    readout: Callable[[Module, Tensor], Tensor] = field(default=network_output, repr=False, compare=False)
    interpolation: Interpolation = "bilinear"
    compiled: bool = False

    @property
    def fingerprint(self) -> str:
        """Hash all that determines the output: card, weights, precision, resizing, compiling."""
        compiled = ("compiled",) if self.compiled else ()
        return fingerprint(
            self.card, self.weights_hash, self.precision, self.px, self.interpolation, *compiled
        )

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return one vector a patch, for one batch of square RGB patches of any size in pixels.

        Raises
        ------
        UsageError
            When there is not one batch of square patches.
        WeightsError
            When the network's vectors have another length than the card's.
        """
        if len(patches) != 1 or patches[0].shape[1] != patches[0].shape[2]:
            shapes = [batch.shape for batch in patches]
            raise UsageError(f"'{self.card.name}' encodes one batch of square patches, got shapes {shapes}.")
        batch = patches[0]
        vectors = np.empty((len(batch), self.card.dim), dtype=np.float32)
        for start in range(0, len(batch), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            vectors[rows] = self._run(batch[rows])
        return vectors

    def _run(self, patches: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d"]:
        import torch

        card = self.card
        kind = torch.device(self.device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16"):
            pixels = normalise(
                patches,
                self.px,
                card.mean or (0.0, 0.0, 0.0),
                card.std or (1.0, 1.0, 1.0),
                interpolation=self.interpolation,
                device=self.device,
            )
            vectors = self.readout(self.network, pixels).float().cpu().numpy()
        if vectors.shape != (len(patches), card.dim):
            raise WeightsError(
                f"Expected {card.dim} numbers a patch from '{card.name}', got an array of shape {vectors.shape}; "
                "give the weights published for it."
            )
        return np.asarray(vectors, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network encoder and its published weights; calling it loads them.

    Parameters
    ----------
    card
        Describes the encoder.
    network
        Makes the bare network on PyTorch's current default device; keyword arguments override options of the
        architecture, which lets tests make it shallow.
    files
        Names under which the weights are published, the preferred one first.
    readout
        From network and pixels to vectors.
    convert
        From the published names of tensors to the network's.
    interpolation
        How the publishers resize.
    maps
        From network and pixels to the maps of the dense form, b × channels × rows × columns.
    """

    card: EncoderCard
    network: Callable[..., Module]
    files: tuple[str, ...]
    readout: Callable[[Module, Tensor], Tensor] = network_output
    convert: Callable[[State], State] = unchanged
    interpolation: Interpolation = "bilinear"
    maps: Callable[[Module, Tensor], Tensor] = feature_maps

    @property
    def entry(self) -> EncoderEntry:
        """What the registry holds."""
        return EncoderEntry(self.card, self)

    def map_shape(self) -> MapShape:
        """Return how the network is applied to larger images; loads nothing.

        Raises
        ------
        UsageError
            Where it has no dense form.
        """
        require_deep(f"The encoder '{self.card.name}'")
        import torch

        with torch.device("meta"):
            network = self.network()
        return map_shape(network, self.maps, self.card.patches[0].px, name=self.card.name)

    def __call__(self, setup: Setup) -> NetworkEncoder:
        """Find, read and strictly load the weights, and return the encoder.

        Raises
        ------
        WeightsError
            When the weights are missing, gated, damaged or another network's.
        """
        name = self.card.name
        require_deep(f"The encoder '{name}'")
        import torch

        path = find_weights(self.card, self.files, setup.weights)
        state = self.convert(read_state(path, name))
        with torch.device("meta"):
            network = self.network()
        load_strictly(network, state, name=name, path=path)
        return NetworkEncoder(
            card=self.card,
            network=network.eval().requires_grad_(False).to(setup.device),
            px=self.card.patches[0].px,
            weights_hash=content_hash(path),
            device=setup.device,
            precision=setup.precision,
            readout=self.readout,
            interpolation=self.interpolation,
        )
