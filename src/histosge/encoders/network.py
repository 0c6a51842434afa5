"""The one encoder that PyTorch stands behind: normalise, batch, run, read out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from histosge._runtime.device import Precision
from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Float32, UInt8
from histosge.errors import UsageError, WeightsError

from .base import EncoderCard, EncoderEntry, Setup
from .weights import Module, State, Tensor, content_hash, find_weights, load_strictly, read_state

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

# bounds memory whatever batch the caller hands over; more windows at once are no faster on a CPU
_AT_ONCE = 32


def answer(network: Module, pixels: Tensor) -> Tensor:
    """Return what the network returns."""
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
    windows: UInt8[np.ndarray, "b h w 3"],
    px: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    *,
    interpolation: Interpolation = "bilinear",
    device: str = "cpu",
) -> Tensor:
    """Return windows as a network wants them: b × 3 × px × px, resized where needed, centred and scaled.

    The whole window is resized, with antialiasing: the window *is* what the network sees, and no border is
    cropped. Values stay within [0, 1] before ``mean`` is taken off, also where bicubic resizing would overshoot.
    """
    import torch
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(np.array(windows)).to(device).permute(0, 3, 1, 2).float() / 255
    if pixels.shape[-1] != px:
        pixels = interpolate(pixels, (px, px), mode=interpolation, antialias=True, align_corners=False)
        pixels = pixels.clamp(0, 1)
    centre = torch.tensor(mean, device=device).view(1, 3, 1, 1)
    scale = torch.tensor(std, device=device).view(1, 3, 1, 1)
    return (pixels - centre) / scale


@dataclass(frozen=True, slots=True)
class NetworkEncoder:
    """A PyTorch network as an :class:`~histosge.encoders.base.Encoder`.

    A window's vector depends on that window alone: the network is in evaluation mode. Companions in a batch can
    change the order of summation inside a matrix product, which moves a vector by about 1e-6 of its length in
    fp32; the same batch gives the same bits on a CPU.

    Parameters
    ----------
    card
        The facts; its views may be replaced, as the window is resized to ``px`` in any case.
    network
        In evaluation mode, on ``device``, without gradients.
    px
        Side of the network's input.
    weights_hash
        Hash of the weights' content.
    device, precision
        Where it runs, and whether under bf16 autocast.
    readout
        From the network and normalised pixels to one vector a window.
    interpolation
        How windows of another size are resized.
    """

    card: EncoderCard
    network: Module = field(repr=False, compare=False)
    px: int
    weights_hash: str
    device: str = "cpu"
    precision: Precision = "fp32"
    readout: Callable[[Module, Tensor], Tensor] = field(default=answer, repr=False, compare=False)
    interpolation: Interpolation = "bilinear"

    @property
    def fingerprint(self) -> str:
        """A hash of all that determines the output: card, weights, precision, resizing."""
        return fingerprint(self.card, self.weights_hash, self.precision, self.px, self.interpolation)

    def encode(self, windows: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return one vector a window, for one batch of square RGB windows of any size in pixels.

        Raises
        ------
        UsageError
            When there is not one batch of square windows.
        WeightsError
            When the network's vectors are not as long as the card says.
        """
        if len(windows) != 1 or windows[0].shape[1] != windows[0].shape[2]:
            shapes = [batch.shape for batch in windows]
            raise UsageError(f"'{self.card.name}' looks at one batch of square windows, got shapes {shapes}.")
        batch = windows[0]
        vectors = np.empty((len(batch), self.card.dim), dtype=np.float32)
        for start in range(0, len(batch), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            vectors[rows] = self._run(batch[rows])
        return vectors

    def _run(self, windows: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d"]:
        import torch

        card = self.card
        kind = torch.device(self.device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16"):
            pixels = normalise(
                windows,
                self.px,
                card.mean or (0.0, 0.0, 0.0),
                card.std or (1.0, 1.0, 1.0),
                interpolation=self.interpolation,
                device=self.device,
            )
            vectors = self.readout(self.network, pixels).float().cpu().numpy()
        if vectors.shape != (len(windows), card.dim):
            raise WeightsError(
                f"Expected {card.dim} numbers a window from '{card.name}', got an array of shape {vectors.shape}; "
                "give the weights published for it."
            )
        return np.asarray(vectors, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """How to make one encoder from published weights; calling it makes it.

    Parameters
    ----------
    card
        The facts.
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
    """

    card: EncoderCard
    network: Callable[..., Module]
    files: tuple[str, ...]
    readout: Callable[[Module, Tensor], Tensor] = answer
    convert: Callable[[State], State] = unchanged
    interpolation: Interpolation = "bilinear"

    @property
    def entry(self) -> EncoderEntry:
        """What the registry holds."""
        return EncoderEntry(self.card, self)

    def __call__(self, setup: Setup) -> NetworkEncoder:
        """Find, read and strictly load the weights, and return the encoder.

        Raises
        ------
        WeightsError
            When the weights are missing, gated, damaged or another network's.
        """
        import torch

        name = self.card.name
        path = find_weights(self.card, self.files, setup.weights)
        state = self.convert(read_state(path, name))
        with torch.device("meta"):
            network = self.network()
        load_strictly(network, state, name=name, path=path)
        return NetworkEncoder(
            card=self.card,
            network=network.eval().requires_grad_(False).to(setup.device),
            px=self.card.views[0].px,
            weights_hash=content_hash(path),
            device=setup.device,
            precision=setup.precision,
            readout=self.readout,
            interpolation=self.interpolation,
        )
