"""DenseNet-121 trained on photographs: the network ST-Net starts from."""

from __future__ import annotations

import re
from functools import partial

from .base import EncoderCard, PatchSize
from .network import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, timm_network
from .weights import Module, State, Tensor

__all__ = ["DENSENET121", "ENTRIES"]

# torchvision's own file, older than its code, has norm.1 where the code has norm1
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)\.")


def _pooled(network: Module, pixels: Tensor) -> Tensor:
    """Return the last features, averaged over the patch."""
    vectors: Tensor = network.forward_features(pixels).float().mean(dim=(2, 3))
    return vectors


def _current_names(state: State) -> State:
    return {_OLD_NAME.sub(r"\1\2.", key): value for key, value in state.items()}


DENSENET121 = NetworkSpec(
    card=EncoderCard(
        name="densenet121",
        dim=1024,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="Apache-2.0 as republished, BSD-3-Clause in torchvision",
        gated=False,
        source="timm/densenet121.tv_in1k",
        revision=None,
        citation="huang2017densenet",
        summary="DenseNet-121 trained on ImageNet, last features averaged; no pathology seen.",
    ),
    network=partial(timm_network, "densenet121"),
    files=("model.safetensors", "pytorch_model.bin"),
    readout=_pooled,
    convert=_current_names,
)

ENTRIES = (DENSENET121.entry,)
