"""ResNet-50 trained on photographs: freely available, up to its third stage."""

from __future__ import annotations

from functools import partial

from .base import EncoderCard, PatchSize
from .network import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, timm_network
from .weights import Module, Tensor

__all__ = ["ENTRIES", "RESNET50"]


def _third_stage(network: Module, pixels: Tensor) -> Tensor:
    """Return the maps of the third stage."""
    maps = network.act1(network.bn1(network.conv1(pixels)))
    maps = network.layer3(network.layer2(network.layer1(network.maxpool(maps))))
    tensor: Tensor = maps
    return tensor


def _averaged(network: Module, pixels: Tensor) -> Tensor:
    """Return the output of the third stage, averaged over the patch."""
    return _third_stage(network, pixels).float().mean(dim=(2, 3))


RESNET50 = NetworkSpec(
    card=EncoderCard(
        name="resnet50",
        dim=1024,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="BSD-3-Clause",
        gated=False,
        source="timm/resnet50.tv_in1k",
        revision=None,
        citation="he2016resnet",
        summary="ResNet-50 trained on ImageNet, third stage averaged; no pathology seen.",
    ),
    network=partial(timm_network, "resnet50"),
    files=("model.safetensors", "pytorch_model.bin"),
    readout=_averaged,
    maps=_third_stage,
)

ENTRIES = (RESNET50.entry,)
